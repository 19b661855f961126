"""A relay of the tests' own: ``iroh-relay``, built from its crate once, then found in the user's cache."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.nat.internet import PUBLIC, inside

VERSION: Final = "1.4.1"
OLDEST_CARGO: Final = (1, 91)
"""What the crate asks for."""
PORT: Final = 3340
URL: Final = f"http://{PUBLIC}:{PORT}"
_BUILD_S: Final = 1500
_START_S: Final = 30.0


def built() -> Path:
    """The relay's program. Building it takes minutes, the first time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "mvm-ci" / f"iroh-relay-{VERSION}"
    program = place / "bin" / "iroh-relay"
    if not program.exists():
        _check_cargo()
        done = subprocess.run(
            [
                *("cargo", "install", "iroh-relay", "--version", VERSION, "--locked"),
                *("--features", "server", "--root", str(place)),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_BUILD_S,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"iroh-relay {VERSION} cannot be built: {done.stderr[-4000:]}", pytrace=False)
    return program


def _check_cargo() -> None:
    wanted = ".".join(map(str, OLDEST_CARGO))
    if shutil.which("cargo") is None:
        pytest.fail(
            f"missing: cargo {wanted} or newer (https://rustup.rs), to build the relay", pytrace=False
        )
    said = subprocess.run(
        ["cargo", "--version"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    major, minor = said.split()[1].split(".")[:2]
    if (int(major), int(minor)) < OLDEST_CARGO:
        pytest.fail(
            f"{said.strip()} is too old to build iroh-relay {VERSION}: it needs {wanted} or newer, which "
            "Debian may not have as a package (https://rustup.rs has it)",
            pytrace=False,
        )


class Relay:
    """The relay, in the public part, on plain HTTP; it may be killed and started again."""

    def __init__(self, program: Path, namespace: str, directory: Path) -> None:
        self._program = program
        self._namespace = namespace
        self._config = directory / "relay.toml"
        self._config.write_text(f'http_bind_addr = "0.0.0.0:{PORT}"\nenable_metrics = false\n')
        self._log = directory / "relay.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it can be reached."""
        with inside(self._namespace), self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._program), "--dev", "--config-path", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            deadline = time.monotonic() + _START_S
            while True:
                with contextlib.suppress(OSError), socket.create_connection((PUBLIC, PORT), timeout=1):
                    return
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline, "the relay does not answer"
                time.sleep(0.05)

    def kill(self) -> None:
        """It is gone, without a word."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(timeout=30)


@contextlib.contextmanager
def relay(program: Path, namespace: str, directory: Path) -> Iterator[Relay]:
    """A running relay; it is gone when the block is."""
    made = Relay(program, namespace, directory)
    try:
        made.start()
        yield made
    finally:
        made.kill()
