"""The working thread of a runner: gives each guest its turn, and reads the socket in between.

::

    socket ──▶ tasks, answers ──▶ ready ────── turn ──▶ a guest waits, or ends, or uses up its slice
                    ▲               computing ──┘ ▲          │           │            │
                    └── sleepers        ▲         │       Answer      Results     computing
                                        └─────────┴───────────────────────────────────┘

A turn is a step of the task's coroutine. What a guest waits for is an ``Answer``: whoever gives it makes the
task ready again. Who is ready goes before those that compute, which have one slice between two looks at the
socket. An order to leave is carried out at once, between two turns.
"""

import logging
import time
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final

from mvm_ci.domain.errors import BadModule
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.outcome import Failed, Failure, FailureKind, Outcome, Stopped
from mvm_ci.domain.segment import Segment
from mvm_ci.engine.inputs import entries
from mvm_ci.engine.messages import (
    AreYouThere,
    AskAnswer,
    BlobBytes,
    BlobStored,
    Cancel,
    Durable,
    FromRunner,
    Here,
    HttpAnswer,
    LeaveNow,
    Result,
    Run,
    Setup,
    Spooled,
    ToRunner,
)
from mvm_ci.engine.runner_host import RunnerHost
from mvm_ci.engine.runner_link import RunnerLink
from mvm_ci.engine.sleepers import Sleepers
from mvm_ci.engine.strand import Answer, Entered, Strand
from mvm_ci.engine.ticker import SLICE_S, Ticker
from mvm_ci.lifecycle.execute import Execution, ExecutionLimits, execute
from mvm_ci.lifecycle.execute import Result as Ended
from mvm_ci.ports.execution import Leave
from mvm_ci.ports.guest import GuestLimits, GuestRuntime

_log = logging.getLogger(__name__)
_LOOK_NS: Final = int(SLICE_S * 1e9)
"""The socket is looked at this often while one guest after another is ready."""


class Turns:
    """See the module's docstring. Implements ``runner_host.Surroundings``."""

    def __init__(self, link: RunnerLink, runtime: GuestRuntime, setup: Setup) -> None:
        self._link = link
        self._runtime = runtime
        self._setup = setup
        self._ticker = Ticker(runtime.tick)
        self._tasks: dict[int, RunnerHost] = {}
        self._ready: deque[RunnerHost] = deque()
        self._computing: deque[RunnerHost] = deque()
        self._sleepers: Sleepers[Answer[Any]] = Sleepers()

    def serve(self) -> None:
        """Runs tasks until the pool is gone. Raises ``Disconnected`` then."""
        while True:
            self.step()

    def step(self) -> None:
        """Hears what has come, waiting for it if there is nothing else to do, and gives turns for a while."""
        self._look()
        until = time.perf_counter_ns() + _LOOK_NS
        while self._ready:
            now = self._turn(self._ready.popleft())
            self._link.flush_if_due(now)
            if now >= until:
                break
        if self._computing:
            self._link.flush_if_due(self._turn(self._computing.popleft()))

    def send(self, message: FromRunner) -> None:
        self._link.send(message)

    def sleep(self, wall_ns: int, answer: Answer[Any]) -> None:
        self._sleepers.add(wall_ns, answer)

    def awake(self, answer: Answer[Any]) -> None:
        self._sleepers.remove(answer)

    # ------------------------------------------------------------------ what comes

    def _look(self) -> None:
        if self._ready or self._computing:
            timeout_s: float | None = 0.0
        else:
            self._link.flush()
            self._ticker.rest()
            timeout_s = self._sleepers.next_s()
        for message in self._link.receive(timeout_s):
            self._heard(message)
        for answer in self._sleepers.due():
            answer.give(None)
            self._wake(answer)
        self._link.hurried = bool(self._computing)
        if self._ready or self._computing:
            self._ticker.work(computing=bool(self._computing))

    def _heard(self, message: ToRunner) -> None:
        if isinstance(message, Run):
            for task in message.tasks:
                host = RunnerHost(Strand(task, message.modules[task.module]), self)
                self._tasks[task.number] = host
                self._ready.append(host)
        elif isinstance(message, Durable):
            for number, posts in message.posts.items():
                known = self._tasks.get(number)
                self._wake(known.durable(posts) if known is not None else None)
        elif isinstance(message, HttpAnswer | BlobStored | BlobBytes | AskAnswer | Spooled):
            known = self._tasks.get(message.call >> 32)
            self._wake(known.answered(message) if known is not None else None)
        elif isinstance(message, Cancel):
            known = self._tasks.get(message.number)
            self._wake(known.cancel() if known is not None else None)
        elif isinstance(message, LeaveNow):
            self._leave(message)
        elif isinstance(message, AreYouThere):
            self._link.send(Here())
            self._link.flush()

    def _wake(self, answer: Answer[Any] | None) -> None:
        # Who was made to leave does not wait for it any more.
        if answer is not None and answer.strand.waits is answer:
            answer.strand.waits = None
            self._ready.append(self._tasks[answer.strand.number])

    def _leave(self, order: LeaveNow) -> None:
        host = self._tasks.get(order.number)
        if host is None:
            return
        strand = host.strand
        if strand.coroutine is None:
            self._ready.remove(host)
            self._over(strand, order.outcome, None)
            return
        # Outside of its guest only if nobody wants its journal any more: else its last entries still go out.
        if strand.inside or order.outcome is None or isinstance(order.outcome, Stopped):
            if strand.waits is None:
                (self._computing if host in self._computing else self._ready).remove(host)
            else:
                self._sleepers.remove(strand.waits)
                strand.waits = None
            self._turn(host, Leave(order.outcome))

    # ------------------------------------------------------------------ turns

    def _turn(self, host: RunnerHost, leave: Leave | None = None) -> int:
        """One turn of a task; the time when it was over (``time.perf_counter_ns``)."""
        strand = host.strand
        began = time.perf_counter_ns()
        try:
            coroutine = strand.coroutine or self._begin(host)
            waits = coroutine.send(None) if leave is None else coroutine.throw(leave)
        except StopIteration as end:
            ended: Ended = end.value
            now = time.perf_counter_ns()
            strand.run_ns += now - began
            self._over(strand, ended.outcome, ended.tail)
            return now
        except BadModule as error:
            failure = Failure(kind=FailureKind.MODULE, message=str(error))
            self._over(strand, Failed(failure), None, unloadable=True)
            return time.perf_counter_ns()
        except MemoryError:
            # Whoever has taken the memory, it need not be the one whose turn it is: all are run again.
            raise
        except Exception as error:  # noqa: BLE001 - it costs this job, not the runner
            _log.exception("job %d: the execution failed in the engine itself", strand.task.placed.job)
            message = f"error in the engine: {type(error).__name__}: {error}"
            self._over(strand, Failed(Failure(kind=FailureKind.ENGINE, message=message)), None)
            return time.perf_counter_ns()
        if waits is None:
            self._computing.append(host)
        else:
            strand.waits = waits
        now = time.perf_counter_ns()
        strand.run_ns += now - began
        return now

    def _begin(self, host: RunnerHost) -> Coroutine[Any, Any, Ended]:
        strand = host.strand
        task = strand.task
        guest = self._runtime.load(strand.module)
        execution = Execution(
            job=task.placed.job,
            attempt=task.attempt,
            epoch=task.placed.epoch,
            place=self._setup.place,
            module=Digest(strand.module.digest),
            input=task.payload,
            journal=task.journal,
            ephemeral=task.ephemeral,
            secrets=task.secrets,
            inputs=entries(task.inputs),
        )
        limits = ExecutionLimits(
            guest=GuestLimits(memory_bytes=task.memory_bytes), suspend_after_ms=self._setup.suspend_after_ms
        )
        strand.coroutine = execute(Entered(guest, strand), execution, host, limits)
        return strand.coroutine

    def _over(
        self, strand: Strand, outcome: Outcome | None, tail: Segment | None, *, unloadable: bool = False
    ) -> None:
        del self._tasks[strand.number]
        self._link.done(Result(strand.number, outcome, tail, strand.run_ns, unloadable))
