"""A machine of its own, booted by a real systemd: in namespaces, on a copy of this root that nobody sees."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from mvm_ci.testing.cluster import ROOT

UNITS: Final = ROOT / "deploy" / "systemd"
SYSTEMD: Final = next(
    (path for path in map(Path, ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")) if path.exists()), None
)
PROGRAM: Final = "/opt/mvm-ci/bin/mvm-ci"
_BOOT_S: Final = 60.0
_COMMAND_S: Final = 120
_CGROUPS: Final = Path("/sys/fs/cgroup")
_STATES: Final = {"running", "degraded"}

BOOT: Final = r"""
set -eu
place=$1 python=$2 site=$3 source=$4
mount --make-rprivate /
mount -t tmpfs tmpfs "$place"
root=$place/root
mkdir "$root" "$place/upper" "$place/work"
mount -t overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work" overlay "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
    mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
    mkdir "$root/sys/fs/cgroup/unified" "$root/sys/fs/cgroup/systemd"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
    mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
fi
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
# As docs/deployment/systemd.md installs it, but what is installed is this clone.
rm -rf "$root/opt/mvm-ci" "$root/etc/mvm-ci"
mkdir -p "$root/opt/mvm-ci/bin" "$root/opt/mvm-ci/python" "$root/opt/mvm-ci/site" "$root/opt/mvm-ci/src"
mount --rbind "$python" "$root/opt/mvm-ci/python"
mount --rbind "$site" "$root/opt/mvm-ci/site"
mount --rbind "$source" "$root/opt/mvm-ci/src"
install -d -m 0755 "$root/etc/mvm-ci"
cat >"$root/opt/mvm-ci/bin/mvm-ci" <<'END'
#!/bin/sh
export PYTHONPATH=/opt/mvm-ci/src:/opt/mvm-ci/site LD_LIBRARY_PATH=/opt/mvm-ci/python/lib
exec /opt/mvm-ci/python/bin/python3 -m mvm_ci "$@"
END
chmod 0755 "$root/opt/mvm-ci/bin/mvm-ci"
# Not chroot: nothing below one may make user namespaces.
mkdir "$root/run/before"
cd "$root"
pivot_root . run/before
umount -l /run/before
# As systemd does it where it is no guest: credentials are mounted for a service from elsewhere.
mount --make-rshared /
exec env -i container=mvm-ci PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    "$6" --system --unit=basic.target --log-target=journal --show-status=0
"""


@dataclass
class Machine:
    """A booted machine. ``pid``: of its systemd, seen from here."""

    pid: int

    def run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command on it, as root, to its end."""
        inside = ("nsenter", "--target", str(self.pid), "--all", "--root", "--wd")
        environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "SYSTEMD_PAGER": ""}
        return subprocess.run(
            [*inside, *command],
            env=environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )

    def ok(self, *command: str, stdin: str = "") -> str:
        """What a command that must succeed printed."""
        done = self.run(*command, stdin=stdin)
        assert done.returncode == 0, (
            f"{command}: {done.returncode}: {done.stdout}{done.stderr}{self.journal()}"
        )
        return done.stdout.strip()

    def write(self, path: str, text: str, mode: str = "0644") -> None:
        """Writes a file of root's."""
        self.ok("install", "-D", "-m", mode, "/dev/stdin", path, stdin=text)

    def override(self, unit: str, *lines: str) -> None:
        """A drop-in, as ``systemctl edit`` makes it."""
        self.write(f"/etc/systemd/system/{unit}.d/test.conf", "\n".join(["[Service]", *lines, ""]))
        self.ok("systemctl", "daemon-reload")

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.ok("systemctl", "show", "--value", "--property", name, unit)

    def until(self, fact: Callable[[], bool], what: str) -> None:
        """Waits for a fact; time decides only that it never came true."""
        deadline = time.monotonic() + _BOOT_S
        while not fact():
            assert time.monotonic() < deadline, f"{what}: {self.journal()}"
            time.sleep(0.1)

    def journal(self) -> str:
        """What the units said last."""
        return self.run("journalctl", "--no-pager", "-n", "60", "-u", "mvm-ci-*").stdout


@contextlib.contextmanager
def booted(place: Path) -> Iterator[Machine]:
    """A machine until the block ends."""
    if os.geteuid() != 0 or SYSTEMD is None:
        pytest.fail("this test boots systemd: run it as root, with Debian's systemd installed", pytrace=False)
    groups = list(_own_groups())
    for group in groups:
        group.mkdir()
    site = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    arguments = (str(place), sys.base_prefix, str(site), str(ROOT / "src"), "-", str(SYSTEMD))
    joins = "".join(f"echo $$ >{group}/cgroup.procs; " for group in groups)
    unshare = "exec unshare --mount --pid --cgroup --uts --ipc --net --fork --kill-child=KILL"
    starter = subprocess.Popen(
        ["bash", "-c", f'{joins}{unshare} bash -c "$0" boot "$@"', BOOT, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield _machine(starter)
    finally:
        starter.kill()  # and its systemd with it, and all in that one's namespace
        starter.wait(timeout=60)
        if starter.stdout is not None:
            starter.stdout.close()
        for group in groups:
            _remove(group)


def _machine(starter: subprocess.Popen[str]) -> Machine:
    children = Path(f"/proc/{starter.pid}/task/{starter.pid}/children")
    deadline = time.monotonic() + _BOOT_S
    state = "not started"
    while time.monotonic() < deadline:
        if starter.poll() is not None:
            assert starter.stdout is not None
            raise AssertionError(f"it does not boot: {starter.stdout.read()}")
        for pid in children.read_text().split():
            if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                machine = Machine(int(pid))
                state = machine.run("systemctl", "is-system-running").stdout.strip()
                if state in _STATES:
                    return machine
        time.sleep(0.1)
    raise AssertionError(f"it does not boot: {state}")


def _own_groups() -> Iterator[Path]:
    """A control group of its own for each hierarchy that systemd uses, below ours."""
    name = f"mvm-ci-machine-{os.getpid()}"
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        hierarchy = {"": "unified", "name=systemd": "systemd"}.get(controllers)
        if hierarchy is None:
            continue
        top = _CGROUPS / hierarchy if (_CGROUPS / hierarchy).is_dir() else _CGROUPS
        yield top / path.lstrip("/") / name


def _remove(group: Path) -> None:
    """Removes a control group and those in it, once all processes in them are gone."""
    deadline = time.monotonic() + _BOOT_S
    while group.exists():
        for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def install(machine: Machine) -> None:
    """Puts the units where they belong."""
    for unit in UNITS.glob("*.service"):
        machine.write(f"/etc/systemd/system/{unit.name}", unit.read_text())
    machine.ok("systemctl", "daemon-reload")
