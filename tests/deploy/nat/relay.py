"""A relay of the tests' own: ``iroh-relay``, built from its crate once, then found in the user's cache."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.deploy.nat.internet import PUBLIC
from tests.deploy.network import inside

VERSION: Final = "1.4.1"
OLDEST_CARGO: Final = (1, 91)
"""What the crate asks for."""
PORT: Final = 3340
URL: Final = f"http://{PUBLIC}:{PORT}"
_START_S: Final = 30.0


def program() -> Path:
    """Where the relay's program is, or will be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "mvm-ci" / f"iroh-relay-{VERSION}" / "bin" / "iroh-relay"


def build() -> None:
    """Builds it unless it is there: minutes, once. Exits with what is missing, or what cargo said."""
    made = program()
    if made.exists():
        return
    _check_cargo()
    command = ["cargo", "install", "iroh-relay", "--version", VERSION, "--locked", "--features", "server"]
    print(f"Building iroh-relay {VERSION} into {made.parent.parent} (once: a few minutes)", flush=True)  # noqa: T201 (for whoever waits)
    done = subprocess.run(
        [*command, "--root", str(made.parent.parent)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"iroh-relay {VERSION} cannot be built: {done.stderr[-4000:]}")


def _check_cargo() -> None:
    wanted = ".".join(map(str, OLDEST_CARGO))
    if shutil.which("cargo") is None:
        sys.exit(f"missing: cargo {wanted} or newer, to build iroh-relay {VERSION}")
    said = subprocess.run(["cargo", "--version"], capture_output=True, text=True, timeout=60, check=True)
    major, minor = said.stdout.split()[1].split(".")[:2]
    if (int(major), int(minor)) < OLDEST_CARGO:
        sys.exit(
            f"{said.stdout.strip()} is too old: iroh-relay {VERSION} needs {wanted} or newer. Where Debian's "
            "package is older, take Rust's own distribution."
        )


class Relay:
    """The relay, in the public part, on plain HTTP; it may be killed and started again."""

    def __init__(self, program: Path, namespace: str, directory: Path, port: int) -> None:
        self._program = program
        self._namespace = namespace
        self._port = port
        self.url = f"http://{PUBLIC}:{port}"
        self._config = directory / f"relay-{port}.toml"
        self._config.write_text(f'http_bind_addr = "0.0.0.0:{port}"\nenable_metrics = false\n')
        self._log = directory / f"relay-{port}.log"
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
                with contextlib.suppress(OSError), socket.create_connection((PUBLIC, self._port), timeout=1):
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
def relay(program: Path, namespace: str, directory: Path, port: int = PORT) -> Iterator[Relay]:
    """A running relay; it is gone when the block is."""
    made = Relay(program, namespace, directory, port)
    try:
        made.start()
        yield made
    finally:
        made.kill()


if __name__ == "__main__":
    build()
