"""Dependencies: jobs that wait for others become ready, or are cancelled, when those have ended."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import FINAL, JobState, NewJob
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.until_done import UntilDone
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.lifecycle.wake import Waker
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue

READ_AT_ONCE: Final = 500


class Dependencies:
    """Knows which jobs others wait for, so that the end of any other job costs one look-up.

    An ``EndListener``. Settling may be repeated, and is done for all once after the start: what a crash cut
    off is not lost.
    """

    def __init__(
        self, queue: JobQueue, clock: Clock, dispatcher: Dispatcher, waker: Waker, waiters: Waiters
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._dispatcher = dispatcher
        self._waker = waker
        self._waiters = waiters
        self._upstreams: set[JobId] = set()
        self._revivals = 0
        self._settling = UntilDone(clock, "dependencies_not_settled")

    async def restore(self) -> None:
        """After the start. Raises ``Unavailable``."""
        self._upstreams = set(await self._queue.upstreams())
        self._settle(self._upstreams)

    def added(self, jobs: Iterable[NewJob]) -> None:
        """These jobs are durable; what they wait for may have ended long ago."""
        upstreams = {dependency.job for job in jobs for dependency in job.options.after}
        if upstreams:
            self._upstreams |= upstreams
            self._settle(upstreams)

    def concerns(self, job: JobId) -> bool:
        return job in self._upstreams

    def ended(self, jobs: Sequence[JobId]) -> None:
        if self._upstreams:
            self._settle(self._upstreams.intersection(jobs))

    async def look_again(self, jobs: Sequence[JobId]) -> None:
        """These jobs were resumed, and may wait for others. Raises ``Unavailable``."""
        upstreams: set[JobId] = set()
        for job in await self._queue.get(jobs):
            if job is not None and job.state is JobState.BLOCKED:
                upstreams.update(dependency.job for dependency in await self._queue.dependencies(job.id))
        self._upstreams |= upstreams
        self._settle(upstreams)

    def revived(self, jobs: Sequence[JobId]) -> None:
        """These jobs had ended, and have not any more: others may wait for their end again."""
        self._revivals += 1
        self._upstreams.update(jobs)

    async def close(self) -> None:
        """Ends what is under way; the next start does it."""
        await self._settling.close()

    def _settle(self, upstreams: Iterable[JobId]) -> None:
        jobs = sorted(upstreams)
        if jobs:
            self._settling.begin(partial(self._try_to_settle, jobs))

    async def _try_to_settle(self, jobs: Sequence[JobId]) -> None:
        now, revivals = self._clock.now_ms(), self._revivals
        # Before it is settled: an end that comes in between has yet to be told of.
        over = await self._over(jobs)
        settled = await self._queue.settle(jobs, now)
        if settled.lanes:
            self._dispatcher.renewed(settled.lanes)
        if settled.scheduled:
            self._waker.arm(now)
        self._waiters.changed((*settled.pending, *settled.scheduled))
        self._waiters.ended(settled.cancelled)
        # What was revived meanwhile only looked as if it had ended.
        if revivals == self._revivals:
            self._upstreams -= over

    async def _over(self, jobs: Sequence[JobId]) -> set[JobId]:
        """Those of these jobs that have ended, or are not there: jobs that wait are stored after them. Once
        they are settled, nobody waits for them any more.
        """
        over: set[JobId] = set()
        for at in range(0, len(jobs), READ_AT_ONCE):
            asked = jobs[at : at + READ_AT_ONCE]
            found = zip(asked, await self._queue.get(asked), strict=True)
            over.update(id_ for id_, job in found if job is None or job.state in FINAL)
        return over
