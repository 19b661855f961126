"""Cancel: ask for the end of a job."""

from mvm_ci.domain.errors import NotFound
from mvm_ci.domain.ids import JobId, format_job_id
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import Cancelled, JobQueue


async def cancel(
    queue: JobQueue, dispatcher: Dispatcher, waiters: Waiters, clock: Clock, job: JobId
) -> Cancelled:
    """Cancels a job that no worker has; tells the worker of one that runs. Raises ``NotFound``.

    A worker that is not connected is told when it comes back (``sessions``), or loses the job.
    """
    result = await queue.cancel(job, clock.now_ms())
    if result.cancelled is Cancelled.UNKNOWN:
        raise NotFound(f"there is no job {format_job_id(job)}")
    if result.cancelled is Cancelled.DONE:
        waiters.ended((job,))
    elif result.cancelled is Cancelled.STOPPING and result.placed is not None and result.session is not None:
        dispatcher.stop(result.session, result.placed)
        waiters.changed((job,))
    return result.cancelled
