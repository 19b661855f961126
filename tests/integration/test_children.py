"""Processes that a load test starts: what they use, and that they end with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvm_ci.domain.errors import Unavailable
from mvm_ci.loadtest.children import Child, Readiness
from mvm_ci.loadtest.proc import Usage

BURN = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass\n"
WAIT = "import time; time.sleep(600)"


@pytest.fixture
def children() -> Iterator[list[Child]]:
    made: list[Child] = []
    yield made
    for child in made:
        child.kill()
        while child.running:
            time.sleep(0.01)


def started(children: list[Child], directory: Path, program: str) -> Child:
    child = Child("one", ("-c", program), directory, os.environ)
    children.append(child)
    return child


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_one_that_ends_too_early_says_why(tmp_path: Path, children: list[Child]) -> None:
    child = started(children, tmp_path, "import sys; sys.exit('no such luck')")
    with pytest.raises(Unavailable, match="one ended with 1: no such luck"):
        await child.until(lambda: False, "never", 30.0)


async def test_one_that_takes_too_long_is_told(tmp_path: Path, children: list[Child]) -> None:
    child = started(children, tmp_path, WAIT)
    with pytest.raises(Unavailable, match="not within 0 s: never; it said nothing"):
        await child.until(lambda: False, "never", 0.0)


async def test_one_that_does_not_end_is_ended(tmp_path: Path, children: list[Child]) -> None:
    deaf = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    child = started(children, tmp_path, deaf)
    await child.until(lambda: child.said.read_text() == "deaf\n", "it does not listen", 30.0)
    await child.stop(0.1)
    assert not child.running


async def test_it_is_heard_when_it_is_ready(tmp_path: Path, children: list[Child]) -> None:
    program = (
        "import os, socket, time\n"
        "one_way = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "address = os.environ['NOTIFY_SOCKET'].replace('@', chr(0))\n"
        "for text in (b'STATUS=starting', b'READY=1\\nSTATUS=there'):\n"
        "    one_way.sendto(text, address)\n"
        "time.sleep(600)\n"
    )
    with Readiness() as readiness:
        assert not readiness.heard()
        child = Child("one", ("-c", program), tmp_path, os.environ | readiness.environ)
        children.append(child)
        await child.until(readiness.heard, "it is ready", 30.0)


def test_children_end_with_whoever_started_them(tmp_path: Path) -> None:
    program = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from mvm_ci.loadtest.children import Child\n"
        f"child = Child('one', ('-c', {WAIT!r}), Path(sys.argv[1]), os.environ)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while not gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_what_was_used_is_not_lost_when_processes_end(tmp_path: Path, children: list[Child]) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "file").write_bytes(b"x" * 100_000)
    # Its own child ends, and is waited for; then it says so.
    program = f"import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', {BURN!r}])\n"
    child = started(children, tmp_path, program + "print('over', flush=True)\ntime.sleep(600)\n")
    await child.until(lambda: child.said.read_text() == "over\n", "its child is over", 30.0)
    usage = Usage()
    (before,) = usage.samples({"workers": [child.pid]}, {"workers": [state]})
    assert (before.part, before.processes) == ("workers", 1)
    assert before.cpu_s >= 0.2
    assert before.memory_mb > 1
    assert before.files >= 3
    assert 0.09 < before.disk_mb < 1
    child.kill()
    await child.ended(10.0)
    (after,) = usage.samples({"workers": []}, {})
    assert (after.processes, after.memory_mb, after.files) == (0, 0.0, 0)
    assert after.cpu_s >= before.cpu_s


async def test_descendants_count_with_their_part(tmp_path: Path, children: list[Child]) -> None:
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WAIT!r}])"
    child = started(children, tmp_path, nested)
    usage = Usage()

    def two() -> bool:
        return usage.samples({"workers": [child.pid]}, {})[0].processes == 2

    await child.until(two, "it has a child", 30.0)
    for pid in children_of(child.pid):
        os.kill(pid, signal.SIGKILL)
