"""The runner's end of the two sockets, shared by its working thread and its watcher thread.

One lock guards what both touch: which task runs, which are waiting, which results have not been sent, and
sending. It is held for microseconds, except while the pool is slow to read.
"""

import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn

from mvm_ci.domain.errors import ProtocolError
from mvm_ci.domain.outcome import Outcome, Stopped
from mvm_ci.engine.messages import (
    AreYouThere,
    FromRunner,
    Here,
    LeaveNow,
    Recalled,
    Result,
    Results,
    Run,
    Setup,
    Task,
    ToRunner,
    pack,
    to_runner_frames,
)
from mvm_ci.ports.execution import Leave
from mvm_ci.ports.guest import CompiledModule, Unwind

GATHER_NS: Final = 5_000_000
"""Results wait at most this long for others, while guests run one after another."""
_INTERRUPT_AGAIN_S: Final = 0.02
_READ: Final = 1 << 18


class Waiting(NamedTuple):
    """A task that has not begun, and its module."""

    task: Task
    module: CompiledModule


class Disconnected(Exception):
    """The pool is gone."""


class RunnerLink:
    """See the module's docstring. ``interrupt``: makes the guest that runs now unwind; for the watcher."""

    def __init__(
        self, data: socket.socket, control: socket.socket, interrupt: Callable[[Callable[[], Unwind]], None]
    ) -> None:
        self._data = data
        self._control = control
        self._interrupt = interrupt
        self._data_frames = to_runner_frames()
        self._control_frames = to_runner_frames()
        self._lock = threading.Lock()
        self._waiting: deque[Waiting] = deque()
        self._results: list[Result] = []
        self._gathering_since = 0
        self._current = 0
        self._leave: Leave | None = None
        self._inside = False
        self._reading = False
        self._inbox: list[ToRunner] = []

    def receive_setup(self) -> Setup:
        """The first message. Raises ``Disconnected``, and ``ProtocolError`` if it is another one."""
        answers = self._receive(None)
        if len(answers) != 1 or not isinstance(answers[0], Setup):
            raise ProtocolError("the pool did not begin with the setup")
        return answers[0]

    def watch(self) -> NoReturn:
        """The watcher thread's loop. Ends the process when the pool is gone, even if a guest spins."""
        while True:
            timeout = _INTERRUPT_AGAIN_S if self._interrupt_current() else None
            if not select.select([self._control], [], [], timeout)[0]:
                continue
            try:
                data = self._control.recv(_READ)
            except OSError:
                data = b""
            if not data:
                os._exit(0)
            messages = self._control_frames.feed(data)
            with self._lock:
                self._drain_locked()
                for message in messages:
                    if isinstance(message, LeaveNow):
                        self._leave_locked(message.number, message.outcome)
                    elif isinstance(message, AreYouThere):
                        self._send_locked((Here(),))
                    else:
                        self._recall_locked()

    def next_task(self) -> Waiting:
        """The next task, from here on the current one; waits for it. Raises ``Disconnected``."""
        while True:
            with self._lock:
                if self._waiting:
                    waiting = self._waiting.popleft()
                    self._current = waiting.task.number
                    self._leave = None
                    return waiting
                self._send_locked(())
            self._receive(None)

    def done(self, result: Result) -> None:
        """The current task is over."""
        now = time.perf_counter_ns()
        with self._lock:
            self._current = 0
            if not self._results:
                self._gathering_since = now - result.run_ns
            self._results.append(result)
            if now - self._gathering_since > GATHER_NS:
                self._send_locked(())

    def send(self, message: FromRunner) -> None:
        """Sends ``message``, after the results of earlier tasks. Raises ``Disconnected``."""
        with self._lock:
            self._send_locked((message,))

    def enter(self) -> None:
        """The current task's guest runs from here on."""
        with self._lock:
            self._inside = True

    def exit(self) -> None:
        """The guest has left. An interruption that was under way hit it or nothing."""
        with self._lock:
            self._inside = False

    def check(self) -> None:
        """Raises ``Leave`` if the current task has to end.

        Outside of its guest only if nobody wants its journal any more: else its last entries still go out.
        """
        leave = self._leave
        if leave is not None and self._must(leave):
            raise leave

    def receive(self, timeout_s: float | None) -> list[ToRunner]:
        """The next answers on ``data``; perhaps none, surely none after ``timeout_s``.

        Raises ``Leave`` if the current task has to end, ``Disconnected`` if the pool is gone.
        """
        answers = self._receive(timeout_s)
        self.check()
        return answers

    def _receive(self, timeout_s: float | None) -> list[ToRunner]:
        with self._lock:
            # The watcher may have read already what the caller is about to wait for.
            if self._inbox:
                answers, self._inbox = self._inbox, []
                return answers
            if self._waiting if self._current == 0 else self._leave is not None and self._must(self._leave):
                return []
            self._reading = True
        data = None
        try:
            if timeout_s is None or select.select([self._data], [], [], timeout_s)[0]:
                data = self._data.recv(_READ)
        except OSError as error:
            raise Disconnected from error
        if data == b"":
            raise Disconnected
        with self._lock:
            self._reading = False
            return self._sort_locked(self._data_frames.feed(data)) if data else []

    def _must(self, leave: Leave) -> bool:
        return self._inside or leave.outcome is None or isinstance(leave.outcome, Stopped)

    def _drain_locked(self) -> None:
        """Reads what the working thread cannot, because it computes: orders may be about tasks in there."""
        while not self._reading:
            try:
                data = self._data.recv(_READ, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                os._exit(0)
            self._inbox += self._sort_locked(self._data_frames.feed(data))

    def _sort_locked(self, messages: list[ToRunner]) -> list[ToRunner]:
        """Keeps new tasks and orders to leave; returns the answers."""
        answers: list[ToRunner] = []
        for message in messages:
            if isinstance(message, Run):
                self._waiting.extend(Waiting(task, message.modules[task.module]) for task in message.tasks)
            elif isinstance(message, LeaveNow):
                self._leave_locked(message.number, message.outcome)
            else:
                answers.append(message)
        return answers

    def _leave_locked(self, number: int, outcome: Outcome | None) -> None:
        if number == self._current:
            if self._leave is None:
                self._leave = Leave(outcome)
            return
        for waiting in self._waiting:
            if waiting.task.number == number:
                self._waiting.remove(waiting)
                self._results.append(Result(number, outcome, None, 0))
                self._send_locked(())
                return

    def _recall_locked(self) -> None:
        numbers = tuple(waiting.task.number for waiting in self._waiting)
        self._waiting.clear()
        self._send_locked((Recalled(numbers),))

    def _interrupt_current(self) -> bool:
        """Whether a guest has to leave and is still there. Under the lock, so that no later task is hit."""
        with self._lock:
            leave = self._leave
            if leave is None or self._current == 0:
                return False
            # A guest that is only about to start is hit next time.
            if self._inside:
                self._interrupt(lambda: leave)
            return True

    def _send_locked(self, messages: tuple[FromRunner, ...]) -> None:
        if self._results:
            messages = (Results(tuple(self._results)), *messages)
            self._results.clear()
        if not messages:
            return
        try:
            self._data.sendall(pack(messages))
        except OSError as error:
            raise Disconnected from error
