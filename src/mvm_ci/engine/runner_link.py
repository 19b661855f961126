"""The runner's end of its socket: what comes, and what goes, gathered for a moment."""

import select
import socket
import time
from typing import Final

from mvm_ci.engine.messages import FromRunner, Result, Results, ToRunner, pack, to_runner_frames

GATHER_RESULTS_NS: Final = 5_000_000
"""Results wait at most this long for others, while guests compute."""
GATHER_NS: Final = 3_000_000
"""Everything else waits this long, while one short turn follows another: what many guests wait for is made
durable together.
"""
HURRIED_NS: Final = 500_000
"""It waits this long where guests use up their slices: those that take short turns beside them would else
have to wait still longer.
"""
OUT_OF_MEMORY: Final = 12
"""Exit code of a runner that could get no memory."""
_READ: Final = 1 << 18


class Disconnected(Exception):
    """The pool is gone."""


class RunnerLink:
    """See the module's docstring."""

    def __init__(self, data: socket.socket) -> None:
        self._data = data
        self._frames = to_runner_frames()
        self._messages: list[FromRunner] = []
        self._results: list[Result] = []
        self._due_ns = 0
        self.hurried = False
        """Whether guests use up their slices."""

    def receive(self, timeout_s: float | None) -> list[ToRunner]:
        """What has come; waits for it up to ``timeout_s`` (None: as long as it takes). Perhaps nothing.

        Raises ``Disconnected``, and ``ProtocolError`` if the bytes are no frames of ours.
        """
        try:
            if timeout_s is None:
                data = self._data.recv(_READ)
            elif timeout_s == 0 or select.select([self._data], [], [], timeout_s)[0]:
                data = self._data.recv(_READ, socket.MSG_DONTWAIT)
            else:
                return []
        except BlockingIOError:
            return []
        except OSError as error:
            raise Disconnected from error
        if not data:
            raise Disconnected
        return self._frames.feed(data)

    def send(self, message: FromRunner) -> None:
        """Sends ``message`` soon, in order."""
        self._messages.append(message)
        self._due_by(HURRIED_NS if self.hurried else GATHER_NS)

    def done(self, result: Result) -> None:
        """A task is over: told after all that was sent for it."""
        self._results.append(result)
        self._due_by(GATHER_RESULTS_NS)

    def flush_if_due(self, now_ns: int) -> None:
        """Sends what has waited long enough (``time.perf_counter_ns``). Raises ``Disconnected``."""
        if self._due_ns and now_ns >= self._due_ns:
            self.flush()

    def flush(self) -> None:
        """Sends everything. Raises ``Disconnected``."""
        if not self._due_ns:
            return
        if self._results:
            self._messages.append(Results(tuple(self._results)))
            self._results.clear()
        frames = pack(self._messages)
        self._messages.clear()
        self._due_ns = 0
        try:
            self._data.sendall(frames)
        except OSError as error:
            raise Disconnected from error

    def _due_by(self, gather_ns: int) -> None:
        due_ns = time.perf_counter_ns() + gather_ns
        if not self._due_ns or due_ns < self._due_ns:
            self._due_ns = due_ns
