"""The one writer: a thread that commits, in one transaction, whatever gathered while it was busy.

No timers: a batch is handed over a few turns of the event loop after its first request (so that all requests
of a turn share it) or after the answers to the commit before. All who wait share what a commit costs.
Calls for which nobody waits (``soon``) cause no commit of their own as long as others come.
"""

import asyncio
import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from operator import attrgetter
from queue import SimpleQueue
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import structlog

from mvm_ci.adapters.sql.database import meaning
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.histogram import Histogram
from mvm_ci.ports.store_figures import COMMIT_S

log = structlog.get_logger(__name__)

A = TypeVar("A")
R = TypeVar("R")

_TURNS: Final = 3
"""Of the event loop, from the first call to the hand-over. The first is for all requests that came together.
Then what was sent beside the calls leaves (a job on its way to its worker before it is durable): once the
thread works, it and the loop wait for each other's turns with the interpreter.
"""
SOON_S: Final = 0.2
"""How long a call for which nobody waits may wait for others to share its commit."""

Handler: TypeAlias = Callable[[sqlite3.Connection, Sequence[A]], Sequence[R]]
"""Carries out calls of one kind, in order, inside a transaction: their arguments in, their results out."""


class _Call(NamedTuple):
    handler: Handler[Any, Any]
    argument: Any
    answer: asyncio.Future[Any] | None
    """None: nobody waits."""


class _Outcome(NamedTuple):
    result: Any
    error: Exception | None


class Writer:
    """Owns the writing connection. Used from one event loop; ``close`` must be awaited in the end.

    ``commit_s``, ``sync_s``, ``calls``: see ``StoreFigures``.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.commit_s = Histogram(COMMIT_S)
        self.sync_s = Histogram(COMMIT_S)
        self.calls = 0
        self._connection = connection
        self._gathered: list[_Call] = []
        self._soon: list[_Call] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop
        self._busy = False
        self._scheduled = False
        self._closed = False
        self._batches: SimpleQueue[list[_Call] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sql-writer", daemon=True)
        self._thread.start()

    def call(self, handler: Handler[A, R], argument: A) -> asyncio.Future[R]:
        """Enters a call now, after all earlier ones; the future is done when its effect is durable.

        Consecutive calls with the same handler may reach it together. If one fails, its neighbours do not.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()
        if self._closed:
            answer.set_exception(Unavailable("the job store is closed"))
            return answer
        self._gathered.append(_Call(handler, argument, answer))
        self._schedule(loop)
        return answer

    def soon(self, handler: Handler[A, R], argument: A) -> None:
        """A call for which nobody waits: it goes with the next batch, or alone after ``SOON_S``.

        If it fails, the log says so.
        """
        if self._closed:
            _lost(Unavailable("the job store is closed"))
            return
        self._put_off(_Call(handler, argument, None))

    def shared(self, handler: Handler[A, R], argument: A) -> asyncio.Future[R]:
        """Like ``soon``, for who wants to know when its effect is durable."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        if self._closed:
            answer.set_exception(Unavailable("the job store is closed"))
        else:
            self._put_off(_Call(handler, argument, answer))
        return answer

    async def close(self) -> None:
        """Finishes what was called, then closes the connection. Safe to repeat."""
        if not self._closed:
            last = self.call(_nothing, None)
            self._closed = True
            if self._alarm is not None:
                self._alarm.cancel()
            try:
                await last
            finally:
                if self._gathered:  # who waits was interrupted; what was called is committed all the same
                    self._hand_over()
                self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    def _put_off(self, call: _Call) -> None:
        self._soon.append(call)
        if self._alarm is None:
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(SOON_S, self._overdue, loop)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._gathered and not self._busy and not self._scheduled:
            self._scheduled = True
            self._hand_over_in(_TURNS, loop)

    def _overdue(self, loop: asyncio.AbstractEventLoop) -> None:
        self._alarm = None
        late, self._soon = self._soon, []
        self._gathered += late
        self._schedule(loop)

    def _hand_over_in(self, turns: int, loop: asyncio.AbstractEventLoop) -> None:
        if turns:
            loop.call_soon(self._hand_over_in, turns - 1, loop)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        self._scheduled = False
        self._busy = True
        self._loop = asyncio.get_running_loop()
        batch, self._gathered = self._gathered, []
        if self._soon:
            batch += self._soon
            self._soon = []
        self._batches.put(batch)

    def _deliver(self, batch: list[_Call], outcomes: list[_Outcome]) -> None:
        for call, outcome in zip(batch, outcomes, strict=True):
            if call.answer is None:
                if outcome.error is not None:
                    _lost(outcome.error)
                continue
            if call.answer.done():  # its caller was cancelled; the effect stays
                continue
            if outcome.error is None:
                call.answer.set_result(outcome.result)
            else:
                call.answer.set_exception(outcome.error)
        self._busy = False
        # After the callers that were answered just now had their turn: what they call next joins this batch.
        self._schedule(asyncio.get_running_loop())

    # ---------------------------------------------------------------- in the writer's thread

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            outcomes = self._commit(batch)
            loop = self._loop
            try:
                loop.call_soon_threadsafe(self._deliver, batch, outcomes)
            except RuntimeError:
                if not loop.is_closed():
                    raise
                break  # nobody is left to be told
        self._connection.close()

    def _commit(self, batch: list[_Call]) -> list[_Outcome]:
        began = False
        start = time.perf_counter()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            began = True
            outcomes = [_Outcome(result, None) for result in self._carry_out(batch)]
            written = time.perf_counter()
            self._connection.execute("COMMIT")
            end = time.perf_counter()
            self.sync_s.add(end - written)
            self.commit_s.add(end - start)
            self.calls += len(batch)
            return outcomes
        except Exception as error:  # noqa: BLE001 - it belongs to a caller, not to this thread
            failed = [_Outcome(None, meaning(error))] * len(batch)
        if not (began and self._roll_back()) or len(batch) == 1:
            return failed
        # One of them failed: each in a transaction of its own, in order, so that the others do not.
        return [outcome for call in batch for outcome in self._commit([call])]

    def _roll_back(self) -> bool:
        try:
            if self._connection.in_transaction:  # some errors have ended it
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            return False  # the callers get the error that led here; it is the more telling one
        return True

    def _carry_out(self, batch: list[_Call]) -> list[Any]:
        results: list[Any] = []
        for handler, calls in itertools.groupby(batch, key=attrgetter("handler")):
            results += handler(self._connection, [call.argument for call in calls])
        return results


def _nothing(_connection: sqlite3.Connection, calls: Sequence[None]) -> Sequence[None]:
    return calls


def _lost(error: Exception) -> None:
    log.error("write_lost", error=str(error))
