"""Who waits for what: callers for the end of jobs, readers for new log entries. No task and no timer per
job.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol, Self

from mvm_ci.domain.events import EventKind
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.payload import Payload
from mvm_ci.lifecycle.events import Events


class Expectation:
    """The wait for the end of some jobs. Must be closed (``with``).

    ``results``: of those that completed meanwhile, so that nobody has to read them from the store.
    """

    __slots__ = ("_future", "_left", "_waiters", "results")

    def __init__(self, waiters: "Waiters", jobs: Collection[JobId]) -> None:
        self._waiters = waiters
        self._left = set(jobs)
        self.results: dict[JobId, Payload] = {}
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._waiters.forget(self, self._left)
        self.release()

    def met(self, job: JobId) -> None:
        """One of the jobs has ended."""
        self._left.discard(job)
        if not self._left:
            self.release()

    def release(self) -> None:
        """Ends the wait, met or not."""
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout_s: float) -> bool:
        """Whether all jobs ended within ``timeout_s`` seconds (of the loop's clock)."""
        if self._left:
            # A bare timer: a task or asyncio.timeout costs as much as a job's share of a commit.
            timer = asyncio.get_running_loop().call_later(timeout_s, self.release)
            try:
                await self._future
            finally:
                timer.cancel()
        return not self._left


class Watch:
    """Tells one reader that a job's journal grew or that the job changed. Must be closed (``with``)."""

    __slots__ = ("_job", "_waiters", "changed")

    def __init__(self, waiters: "Waiters", job: JobId) -> None:
        self._waiters = waiters
        self._job = job
        self.changed = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._waiters.unwatch(self._job, self)


class EndListener(Protocol):
    """A part that must know of ends."""

    def concerns(self, job: JobId) -> bool:
        """Whether it must know of this one."""
        ...

    def ended(self, jobs: Sequence[JobId]) -> None:
        """These jobs have ended, durably; some may not concern it. Neither waits nor raises."""
        ...


class Waiters:
    """All waits of this process. Register first, look at the job then: nothing can be missed in between.

    ``ends``: how many jobs it was told have ended; ``events``: told of all that happens, if there are any.
    """

    def __init__(self, events: Events | None = None) -> None:
        self.events = events
        self.ends = 0
        self._listeners: list[EndListener] = []
        self._waiting: dict[JobId, list[Expectation]] = {}
        self._watching: dict[JobId, set[Watch]] = {}
        self.closed = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._watching)

    def expect(self, jobs: Collection[JobId]) -> Expectation:
        """A wait for the end of ``jobs``."""
        expectation = Expectation(self, jobs)
        for job in jobs:
            self._waiting.setdefault(job, []).append(expectation)
        if self.closed:
            expectation.release()
        return expectation

    def forget(self, expectation: Expectation, jobs: Iterable[JobId]) -> None:
        """Nobody waits any longer."""
        for job in jobs:
            waiting = self._waiting.get(job)
            if waiting is not None:
                waiting.remove(expectation)
                if not waiting:
                    del self._waiting[job]

    def watch(self, job: JobId) -> Watch:
        """A reader of the job's log."""
        watch = Watch(self, job)
        self._watching.setdefault(job, set()).add(watch)
        if self.closed:
            watch.changed.set()
        return watch

    def unwatch(self, job: JobId, watch: Watch) -> None:
        """The reader is gone."""
        watching = self._watching.get(job, set())
        watching.discard(watch)
        if not watching:
            self._watching.pop(job, None)

    def awaited(self, jobs: Iterable[JobId]) -> list[JobId]:
        """Those of ``jobs`` whose end somebody must know of."""
        return [
            job
            for job in jobs
            if job in self._waiting or any(listener.concerns(job) for listener in self._listeners)
        ]

    def listen(self, listener: EndListener) -> None:
        """Tells ``listener`` of every end from now on."""
        self._listeners.append(listener)

    def ended(self, jobs: Sequence[JobId]) -> None:
        """These jobs have ended, durably."""
        self.ends += len(jobs)
        self.rested(jobs)
        if jobs:
            for listener in self._listeners:
                listener.ended(jobs)

    def rested(self, jobs: Collection[JobId]) -> None:
        """These jobs do not go on by themselves: they have ended, or are paused."""
        for job in jobs:
            for expectation in self._waiting.pop(job, ()):
                expectation.met(job)
        self.changed(jobs)

    def completed(self, results: Sequence[tuple[JobId, Payload]]) -> None:
        """These jobs have completed, durably, each with its result."""
        for job, result in results:
            for expectation in self._waiting.get(job, ()):
                expectation.results[job] = result
        self.ended([job for job, _ in results])

    def changed(self, jobs: Iterable[JobId]) -> None:
        """The journals of these jobs grew, or their states changed, durably."""
        if self._watching:
            for job in jobs:
                for watch in self._watching.get(job, ()):
                    watch.changed.set()

    def happened(self, kind: EventKind, jobs: Sequence[JobId]) -> None:
        """It happened to these jobs, durably."""
        if self.events is not None:
            self.events.happened(kind, jobs)

    def stopping(self, job: JobId) -> None:
        """The worker of this job has been asked to stop it: its end, or its pause, must be told of."""
        if self.events is not None:
            self.events.to_be_stopped(job)
        self.changed((job,))

    def paused(self, jobs: Sequence[JobId]) -> None:
        """These jobs are paused, durably."""
        if self.events is not None:
            self.events.paused(jobs)
        self.rested(jobs)

    def close(self) -> None:
        """The control plane stops: every wait ends, and new ones do not begin."""
        self.closed = True
        for waiting in list(self._waiting.values()):
            for expectation in waiting:
                expectation.release()
        for watching in self._watching.values():
            for watch in watching:
                watch.changed.set()
