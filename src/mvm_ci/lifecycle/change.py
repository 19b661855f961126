"""Change: cancel, pause, resume, revive and delete jobs."""

from collections.abc import Sequence
from typing import Final

from mvm_ci.domain.events import EventKind
from mvm_ci.domain.ids import JobId
from mvm_ci.lifecycle.backpressure import Backpressure
from mvm_ci.lifecycle.dependencies import Dependencies
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.submit import Submitter
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.lifecycle.wake import Alarm
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import Cancelled, CancelResult, Change, Changed, JobQueue

BATCH: Final = 500
"""Jobs of one write."""


class Changer:
    """Changes jobs by their ids, each named once; results come in the order of the ids.

    Raises ``Unavailable``; then some may be changed and others not. Repeating is safe.
    """

    def __init__(
        self,
        queue: JobQueue,
        dispatcher: Dispatcher,
        waiters: Waiters,
        alarms: Sequence[Alarm],
        dependencies: Dependencies,
        backpressure: Backpressure,
        submitter: Submitter,
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._dispatcher = dispatcher
        self._waiters = waiters
        self._alarms = alarms
        self._dependencies = dependencies
        self._backpressure = backpressure
        self._submitter = submitter
        self._clock = clock

    async def cancel(self, jobs: Sequence[JobId]) -> list[CancelResult]:
        """Cancels those that no worker has; tells the workers of the others.

        A worker that is not connected is told when it comes back (``sessions``), or loses the job.
        """
        results: list[CancelResult] = []
        for part in _parts(jobs):
            found = await self._queue.cancel(part, self._clock.now_ms())
            self.tell_cancelled(part, found)
            results += found
        return results

    async def supersede(self, jobs: Sequence[JobId]) -> None:
        """Cancels jobs whose place newer ones take."""
        for part in _parts(jobs):
            self.tell_cancelled(part, await self._queue.supersede(part, self._clock.now_ms()))

    def tell_cancelled(self, jobs: Sequence[JobId], results: Sequence[CancelResult]) -> None:
        """Tells whom it concerns what became of a cancellation."""
        pairs = list(zip(jobs, results, strict=True))
        self._waiters.ended([job for job, result in pairs if result.cancelled is Cancelled.DONE])
        for job, result in pairs:
            if result.placed is not None and result.session is not None:
                self._dispatcher.stop(result.session, result.placed, cancel=True)
                self._waiters.stopping(job)
            elif result.cancelled is Cancelled.STOPPING:
                # It was suspended, and its guest is to clean up: a worker gets it once more.
                self._waiters.stopping(job)
                self._dispatcher.pending()

    async def pause(self, jobs: Sequence[JobId]) -> list[Changed]:
        """Parks jobs; tells the workers of those that have one."""
        results: list[Changed] = []
        for part in _parts(jobs):
            found = await self._queue.pause(part)
            for job, result in zip(part, found, strict=True):
                if result.placed is not None and result.session is not None:
                    self._dispatcher.stop(result.session, result.placed, cancel=False)
                    self._waiters.stopping(job)
                elif result.change is Change.DONE:
                    self._waiters.paused((job,))
            results += found
        return results

    async def resume(self, jobs: Sequence[JobId]) -> list[Changed]:
        """Paused jobs go on."""
        results: list[Changed] = []
        for part in _parts(jobs):
            now = self._clock.now_ms()
            found = await self._queue.resume(part, now)
            self._waiters.happened(EventKind.RESUMED, _done(part, found))
            results += found
            # Some wait for a time, or for other jobs which have ended meanwhile; some have expired.
            for alarm in self._alarms:
                alarm.arm(now)
            self._dispatcher.pending()
            self._waiters.changed(part)
            await self._dependencies.look_again(part)
        return results

    async def revive(self, jobs: Sequence[JobId]) -> list[Changed]:
        """Ended jobs try again."""
        results: list[Changed] = []
        for part in _parts(jobs):
            found = await self._queue.revive(part)
            revived = _done(part, found)
            self._dependencies.revived(revived)
            self._backpressure.added(len(revived))
            self._backpressure.durable(len(revived))
            self._dispatcher.pending()
            self._waiters.happened(EventKind.REVIVED, revived)
            self._waiters.changed(part)
            results += found
        return results

    async def delete(self, jobs: Sequence[JobId]) -> list[Changed]:
        """Removes ended jobs."""
        results: list[Changed] = []
        for part in _parts(jobs):
            results += await self._queue.delete(part)
            self._submitter.deleted(part)
            self._waiters.changed(part)
        return results


def _done(jobs: Sequence[JobId], results: Sequence[Changed]) -> list[JobId]:
    return [job for job, result in zip(jobs, results, strict=True) if result.change is Change.DONE]


def _parts(jobs: Sequence[JobId]) -> list[Sequence[JobId]]:
    return [jobs[at : at + BATCH] for at in range(0, len(jobs), BATCH)]
