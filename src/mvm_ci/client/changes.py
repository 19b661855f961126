"""The client's methods that change jobs: one by its id, or many."""

from collections.abc import Sequence

from mvm_ci.client.calls import Calls, job_path
from mvm_ci.wire import api

Which = api.JobSelection | Sequence[str]
"""Ids, or what jobs must have in common."""


class ChangeCalls(Calls):
    """Of one job: ``Conflict`` if its state forbids the change.

    Of many: one request changes 10,000 at most; ask again until the answer is ``complete``.
    """

    async def cancel(self, job: str) -> api.CancelView:
        """Asks for the end of a job."""
        return await self._post(job_path(job, "/cancel"), api.CancelView)

    async def pause(self, job: str) -> api.ChangeView:
        """Parks a job until it is resumed."""
        return await self._post(job_path(job, "/pause"), api.ChangeView)

    async def resume(self, job: str) -> api.ChangeView:
        """Lets a paused job go on."""
        return await self._post(job_path(job, "/resume"), api.ChangeView)

    async def retry(self, job: str) -> api.ChangeView:
        """Lets a failed or cancelled job begin a new attempt, and a dead one go on."""
        return await self._post(job_path(job, "/retry"), api.ChangeView)

    async def delete(self, job: str) -> api.ChangeView:
        """Removes a job that has ended, with its journal."""
        return self._decode(await self._send("DELETE", job_path(job)), api.ChangeView)

    async def fork(
        self, job: str, at: int, *, attempt: int | None = None, module: str | None = None
    ) -> api.JobView:
        """A new job that begins with the first ``at`` entries of the journal of an attempt (None: the present
        one), of another ``module`` if one is named.
        """
        body = api.ForkJob(at=at, attempt=attempt, module=module)
        return await self._post(job_path(job, "/fork"), api.JobView, body)

    async def cancel_jobs(self, which: Which, *, dry_run: bool = False) -> api.BulkResult:
        """Cancels many jobs; ``dry_run``: only tells which."""
        return await self._post("/v1/jobs/cancel", api.BulkResult, _bulk(which, dry_run=dry_run))

    async def pause_jobs(self, which: Which, *, dry_run: bool = False) -> api.BulkResult:
        """Parks many jobs; ``dry_run``: only tells which."""
        return await self._post("/v1/jobs/pause", api.BulkResult, _bulk(which, dry_run=dry_run))

    async def resume_jobs(self, which: Which, *, dry_run: bool = False) -> api.BulkResult:
        """Lets go on many jobs; ``dry_run``: only tells which."""
        return await self._post("/v1/jobs/resume", api.BulkResult, _bulk(which, dry_run=dry_run))

    async def retry_jobs(self, which: Which, *, dry_run: bool = False) -> api.BulkResult:
        """Tries again many jobs; ``dry_run``: only tells which."""
        return await self._post("/v1/jobs/retry", api.BulkResult, _bulk(which, dry_run=dry_run))

    async def delete_jobs(self, which: Which, *, dry_run: bool = False) -> api.BulkResult:
        """Removes many jobs; ``dry_run``: only tells which."""
        return await self._post("/v1/jobs/delete", api.BulkResult, _bulk(which, dry_run=dry_run))


def _bulk(which: Which, *, dry_run: bool) -> api.BulkRequest:
    if isinstance(which, api.JobSelection):
        return api.BulkRequest(filter=which, dry_run=dry_run)
    return api.BulkRequest(ids=tuple(which), dry_run=dry_run)
