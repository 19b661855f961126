"""Jobs that are at workers, as their guests' questions need them."""

from collections.abc import Collection

from mvm_ci.domain.errors import NotFound, Unavailable
from mvm_ci.domain.ids import JobId, format_job_id
from mvm_ci.domain.job import Job
from mvm_ci.ports.job_queue import JobQueue


class PlacedJobs:
    """``uncommitted``: jobs that may be at workers and are not durable yet."""

    def __init__(self, queue: JobQueue, uncommitted: Collection[JobId]) -> None:
        self._queue = queue
        self._uncommitted = uncommitted

    async def job(self, job: JobId) -> Job:
        """Raises ``Unavailable``, also if it is not durable yet: one without a journal asks before anything
        says that it is; ``NotFound``.
        """
        early = job in self._uncommitted
        (found,) = await self._queue.get([job])
        if found is not None:
            return found
        if early:
            raise Unavailable(f"job {format_job_id(job)} is not durable yet")
        raise NotFound(f"there is no job {format_job_id(job)}")
