"""The client's methods for jobs."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from mvm_ci.client.calls import Calls, job_path, part, within
from mvm_ci.client.follow import Follower
from mvm_ci.client.waiting import STANDING, until_ended
from mvm_ci.wire import api

_PAGE: Final = 1000
_ALL: Final = api.JobSelection()
_WHOLE: Final = api.LogRange()


class JobCalls(Calls):
    """Submitting jobs and looking at them."""

    async def submit(self, jobs: Sequence[api.SubmitJob], wait_s: float = 0.0) -> tuple[api.JobView, ...]:
        """Submits all jobs or none. ``wait_s``: how long to wait for their ends (at most ``MAX_WAIT_S``)."""
        body = api.SubmitJobs(jobs=tuple(jobs), wait_s=min(wait_s, api.MAX_WAIT_S))
        return (await self._post("/v1/jobs", api.Submitted, body, timeout=within(wait_s))).jobs

    async def jobs(
        self,
        which: api.JobSelection = _ALL,
        *,
        limit: int = 100,
        cursor: str | None = None,
        prefix: str = "",
    ) -> api.JobList:
        """One page of jobs, newest first. ``prefix``: of their ids."""
        given = {"limit": limit, "cursor": cursor, "prefix": prefix, **_query(which)}
        params = {name: value for name, value in given.items() if value not in {None, ""}}
        return await self._get("/v1/jobs", api.JobList, params=params)

    async def all_jobs(self, which: api.JobSelection = _ALL) -> AsyncIterator[api.JobView]:
        """All jobs, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = await self.jobs(which, limit=_PAGE, cursor=cursor)
            for job in page.jobs:
                yield job
            cursor = page.cursor
            if cursor is None:
                return

    async def job(self, job: str, wait_s: float = 0.0) -> api.JobView:
        """One job; with ``wait_s`` once it has ended, or after so many seconds (at most ``MAX_WAIT_S``)."""
        params = {"wait_s": min(wait_s, api.MAX_WAIT_S)} if wait_s else {}
        return await self._get(job_path(job), api.JobView, params=params, timeout=within(wait_s))

    async def wait(self, job: str, timeout_s: float | None = None) -> api.JobView:
        """The job once it has ended or is paused, or as it is after ``timeout_s``. Sits out a restart."""
        return await until_ended(self.job, job, timeout_s)

    async def result(self, job: str) -> bytes:
        """The result's bytes. ``Conflict`` if there is none (yet)."""
        return (await self._send("GET", job_path(job, "/result"))).content

    async def explain(self, job: str) -> api.Explanation:
        """What keeps a job waiting, and what would change that."""
        return await self._get(job_path(job, "/explain"), api.Explanation)

    def logs(
        self, job: str, which: api.LogRange = _WHOLE, *, wait: bool = False
    ) -> AsyncIterator[api.LogLine]:
        """The output of a job, or a part of it; ``wait``: to its end, through lost connections."""
        follower = Follower(self._http, job_path(job, "/logs"), which, api.LogLine)
        return follower.to_the_end(lambda: self._stands(job)) if wait else follower.present()

    async def journal(
        self, job: str, which: api.LogRange = _WHOLE, *, wait: bool = False
    ) -> AsyncIterator[api.JournalEntry]:
        """The journal of an attempt, or a part of it; ``wait``: to the job's end, over later attempts,
        through lost connections. It also ends with damage.
        """
        follower = Follower(self._http, job_path(job, "/journal"), which, api.JournalEntry)
        damaged = False

        async def over() -> bool:
            return damaged or await self._stands(job)

        async for entry in follower.to_the_end(over) if wait else follower.present():
            damaged = entry.kind == api.DAMAGE
            yield entry

    async def recording(self, job: str, *, attempt: int | None = None) -> bytes:
        """What a replay elsewhere needs of an attempt (None: the present one): ``mvm_ci.wire.recording``."""
        params = {} if attempt is None else {"attempt": attempt}
        return (await self._send("GET", job_path(job, "/recording"), params=params)).content

    async def job_module(self, job: str) -> bytes:
        """The bytes of a job's module."""
        return (await self._send("GET", job_path(job, "/module"))).content

    async def payload(self, job: str, digest: str, *, attempt: int | None = None, first: int = 0) -> bytes:
        """The bytes of a large payload: the job's input or result, or what the journal entry ``first`` of the
        attempt refers to.
        """
        params = {"from": first} if attempt is None else {"from": first, "attempt": attempt}
        path = job_path(job, f"/payloads/{part(digest)}")
        return (await self._send("GET", path, params=params)).content

    async def _stands(self, job: str) -> bool:
        return (await self.job(job)).state in STANDING


def _query(which: api.JobSelection) -> dict[str, Any]:
    """A selection as the list's query, which has its states and tags as text."""
    query = msgspec.structs.asdict(which)
    query["state"] = ",".join(query.pop("states"))
    query["tags"] = ",".join(quote(tag, safe="=") for tag in query["tags"])
    return query
