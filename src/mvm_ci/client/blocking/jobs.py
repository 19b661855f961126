# Made by tests/unit/client/blocking_twin.py of mvm_ci/client/jobs.py: change that one.
"""The client's methods for jobs."""

from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from mvm_ci.client.blocking.calls import Calls, job_path, part, within
from mvm_ci.client.blocking.follow import Follower
from mvm_ci.client.blocking.waiting import STANDING, until_ended
from mvm_ci.wire import api

_PAGE: Final = 1000
_ALL: Final = api.JobSelection()
_WHOLE: Final = api.LogRange()


class JobCalls(Calls):
    """Submitting jobs and looking at them."""

    def submit(self, jobs: Sequence[api.SubmitJob], wait_s: float = 0.0) -> tuple[api.JobView, ...]:
        """Submits all jobs or none. ``wait_s``: how long to wait for their ends (at most ``MAX_WAIT_S``)."""
        body = api.SubmitJobs(jobs=tuple(jobs), wait_s=min(wait_s, api.MAX_WAIT_S))
        return (self._post("/v1/jobs", api.Submitted, body, timeout=within(wait_s))).jobs

    def jobs(
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
        return self._get("/v1/jobs", api.JobList, params=params)

    def all_jobs(self, which: api.JobSelection = _ALL) -> Iterator[api.JobView]:
        """All jobs, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = self.jobs(which, limit=_PAGE, cursor=cursor)
            yield from page.jobs
            cursor = page.cursor
            if cursor is None:
                return

    def job(self, job: str, wait_s: float = 0.0) -> api.JobView:
        """One job; with ``wait_s`` once it has ended, or after so many seconds (at most ``MAX_WAIT_S``)."""
        params = {"wait_s": min(wait_s, api.MAX_WAIT_S)} if wait_s else {}
        return self._get(job_path(job), api.JobView, params=params, timeout=within(wait_s))

    def wait(self, job: str, timeout_s: float | None = None) -> api.JobView:
        """The job once it has ended or is paused, or as it is after ``timeout_s``. Sits out a restart."""
        return until_ended(self.job, job, timeout_s)

    def result(self, job: str) -> bytes:
        """The result's bytes. ``Conflict`` if there is none (yet)."""
        return (self._send("GET", job_path(job, "/result"))).content

    def explain(self, job: str) -> api.Explanation:
        """What keeps a job waiting, and what would change that."""
        return self._get(job_path(job, "/explain"), api.Explanation)

    def logs(self, job: str, which: api.LogRange = _WHOLE, *, wait: bool = False) -> Iterator[api.LogLine]:
        """The output of a job, or a part of it; ``wait``: to its end, through lost connections."""
        follower = Follower(self._http, job_path(job, "/logs"), which, api.LogLine)
        return follower.to_the_end(lambda: self._stands(job)) if wait else follower.present()

    def journal(
        self, job: str, which: api.LogRange = _WHOLE, *, wait: bool = False
    ) -> Iterator[api.JournalEntry]:
        """The journal of an attempt, or a part of it; ``wait``: to the job's end, over later attempts,
        through lost connections. It also ends with damage.
        """
        follower = Follower(self._http, job_path(job, "/journal"), which, api.JournalEntry)
        damaged = False

        def over() -> bool:
            return damaged or self._stands(job)

        for entry in follower.to_the_end(over) if wait else follower.present():
            damaged = entry.kind == api.DAMAGE
            yield entry

    def recording(self, job: str, *, attempt: int | None = None) -> bytes:
        """What a replay elsewhere needs of an attempt (None: the present one): ``mvm_ci.wire.recording``."""
        params = {} if attempt is None else {"attempt": attempt}
        return (self._send("GET", job_path(job, "/recording"), params=params)).content

    def job_module(self, job: str) -> bytes:
        """The bytes of a job's module."""
        return (self._send("GET", job_path(job, "/module"))).content

    def payload(self, job: str, digest: str, *, attempt: int | None = None, first: int = 0) -> bytes:
        """The bytes of a large payload: the job's input or result, or what the journal entry ``first`` of the
        attempt refers to.
        """
        params = {"from": first} if attempt is None else {"from": first, "attempt": attempt}
        path = job_path(job, f"/payloads/{part(digest)}")
        return (self._send("GET", path, params=params)).content

    def _stands(self, job: str) -> bool:
        return (self.job(job)).state in STANDING


def _query(which: api.JobSelection) -> dict[str, Any]:
    """A selection as the list's query, which has its states and tags as text."""
    query = msgspec.structs.asdict(which)
    query["state"] = ",".join(query.pop("states"))
    query["tags"] = ",".join(quote(tag, safe="=") for tag in query["tags"])
    return query
