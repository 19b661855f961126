"""Processes that a load test starts on this machine, and ends."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Self

from mvm_ci.domain.errors import Unavailable
from mvm_ci.loadtest import bound

LOOK_S: Final = 0.02
_SAID: Final = 500
_DATAGRAM: Final = 4096


class Child:
    """A process in a session of its own, which Ctrl-C in our terminal does not reach. It says what it says
    to files in ``directory``: ``name.out``, ``name.err``.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        directory: Path,
        environ: Mapping[str, str],
        *,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        """Starts it; ``command``: what this Python runs. Not from a thread that ends before it. Raises
        ``Unavailable`` if this machine has no room for another process.
        """
        self.name = name
        self.said = directory / f"{name}.out"
        self._errors = directory / f"{name}.err"
        launch = [sys.executable, "-I", "-S", bound.__file__, str(os.getpid())]
        try:
            with self.said.open("ab") as out, self._errors.open("ab") as errors:
                self._popen = subprocess.Popen(
                    [*launch, sys.executable, *command],
                    cwd=directory,
                    env=dict(environ),
                    stdin=stdin,
                    stdout=out,
                    stderr=errors,
                    start_new_session=True,
                )
        except OSError as error:
            raise _no_room(name, error) from None

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def stdin(self) -> IO[bytes] | None:
        return self._popen.stdin

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def kill(self) -> None:
        """Ends it now."""
        if self.running:
            self._popen.send_signal(signal.SIGKILL)

    async def stop(self, within_s: float) -> None:
        """Asks it to end, and ends it if it does not in that time."""
        if self.running:
            self._popen.send_signal(signal.SIGTERM)
        await self.ended(within_s)

    async def ended(self, within_s: float) -> None:
        """Waits for its end, and ends it if that does not come."""
        deadline = time.monotonic() + within_s
        while self.running:
            if time.monotonic() > deadline:
                self.kill()
            await asyncio.sleep(LOOK_S)
        if self._popen.stdin is not None:
            with suppress(BrokenPipeError):
                self._popen.stdin.close()

    async def until(self, fact: Callable[[], bool], what: str, within_s: float) -> None:
        """Waits for a fact that this process brings about. Raises ``Unavailable`` if it does not."""
        deadline = time.monotonic() + within_s
        while not fact():
            if not self.running:
                raise Unavailable(f"{self.name} ended with {self._popen.returncode}: {self.last_words()}")
            if time.monotonic() > deadline:
                raise Unavailable(f"{self.name}: not within {within_s:g} s: {what}; {self.last_words()}")
            await asyncio.sleep(LOOK_S)

    def last_words(self) -> str:
        """The end of what it said, for an error."""
        text = self._errors.read_text(errors="replace").strip()
        return text[-_SAID:] or "it said nothing"


class Readiness:
    """Hears from one process, as systemd would, that it does what it is for. A context manager. Raises
    ``Unavailable`` if this process may have no more files open.

    ``environ``: for that process.
    """

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            raise _no_room("a process of the load test", error) from None
        # The kernel finds an abstract name: a path in a deep temporary directory would be too long for one.
        self._socket.bind("")
        self.environ = {"NOTIFY_SOCKET": "@" + self._socket.getsockname()[1:].decode()}
        self._ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def heard(self) -> bool:
        """Whether it has said so."""
        while not self._ready:
            try:
                text = self._socket.recv(_DATAGRAM)
            except BlockingIOError:
                break
            self._ready = b"READY=1" in text.splitlines()
        return self._ready


def _no_room(name: str, error: OSError) -> Unavailable:
    return Unavailable(
        f"{name} cannot be started: {error.strerror}; ask for fewer workers, take --simulated, or raise the "
        "limits of this machine (ulimit -u, ulimit -n)"
    )
