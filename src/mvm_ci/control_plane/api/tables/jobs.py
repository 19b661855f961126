"""The table of routes: jobs."""

from typing import Final

from mvm_ci.control_plane.api import jobs
from mvm_ci.control_plane.api.routes import BYTES, JOB_ID, NDJSON, Body, Kind, Query, Route
from mvm_ci.domain.job import JobState
from mvm_ci.domain.role import Role
from mvm_ci.wire import api

_STATE: Final = f"({'|'.join(state.label for state in JobState)})"
_STATES: Final = f"^({_STATE}(,{_STATE})*)?$"
_FROM: Final = Query("from", Kind.INTEGER, "Index of the first journal entry to look at.")
ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/jobs",
        role=Role.SUBMITTER,
        handler=jobs.submit,
        summary="Submit jobs, all or none. Answered when they are durable; with wait_s, when all have ended "
        "or the time is over.",
        body=Body(api.MAX_BODY, api.SubmitJobs),
        answer=api.Submitted,
        audit="job.submit",
        hot=True,
        errors=(429,),
    ),
    Route(
        method="GET",
        path="/v1/jobs",
        role=Role.VIEWER,
        handler=jobs.listing,
        summary="Jobs, newest first.",
        answer=api.JobList,
        query=(
            Query("state", Kind.TEXT, "Only jobs in these states (comma-separated).", pattern=_STATES),
            Query("limit", Kind.INTEGER, f"Jobs a page; {jobs.DEFAULT_LIMIT} if left out.", 1, 1_000),
            Query("cursor", Kind.TEXT, "The cursor of the page before.", pattern=JOB_ID),
            Query(
                "prefix",
                Kind.TEXT,
                "Only jobs whose id begins so.",
                pattern="^(j([0-7][0-9a-hjkmnp-tv-z]{0,12})?)?$",
            ),
        ),
    ),
    Route(
        method="GET",
        path="/v1/jobs/{id}",
        role=Role.VIEWER,
        handler=jobs.show,
        summary="A job.",
        answer=api.JobView,
        query=(
            Query("wait_s", Kind.NUMBER, "Wait so many seconds for its end (or pause).", 0, api.MAX_WAIT_S),
        ),
    ),
    Route(
        method="GET",
        path="/v1/jobs/{id}/wait",
        role=Role.VIEWER,
        handler=jobs.wait,
        summary="A job when it has ended (or is paused), or as it is after the time.",
        answer=api.JobView,
        query=(
            Query("timeout_s", Kind.NUMBER, f"Seconds; {api.MAX_WAIT_S:g} if left out.", 0, api.MAX_WAIT_S),
        ),
    ),
    Route(
        method="GET",
        path="/v1/jobs/{id}/result",
        role=Role.VIEWER,
        handler=jobs.result,
        summary="The result's bytes, as JSON if they are JSON.",
        media=BYTES,
        errors=(409,),
    ),
    Route(
        method="GET",
        path="/v1/jobs/{id}/logs",
        role=Role.VIEWER,
        handler=jobs.logs,
        summary="The guest's output over all attempts: one LogLine a line. follow: to the job's end; "
        "an empty line every 15 s breaks the silence.",
        answer=api.LogLine,
        media=NDJSON,
        query=(
            Query("attempt", Kind.INTEGER, "The attempt to begin with; 1 if left out.", least=1),
            _FROM,
            Query("follow", Kind.FLAG, "Send lines as they become durable, until the job has ended."),
        ),
    ),
    Route(
        method="POST",
        path="/v1/jobs/{id}/cancel",
        role=Role.SUBMITTER,
        handler=jobs.cancel,
        summary="Ask for the end of a job.",
        audit="job.cancel",
        hot=True,
        answer=api.CancelView,
    ),
    Route(
        method="GET",
        path="/v1/jobs/{id}/journal",
        role=Role.VIEWER,
        handler=jobs.journal,
        summary="What the guest learned from outside, entry by entry.",
        answer=api.JournalView,
        query=(
            Query("attempt", Kind.INTEGER, "Which attempt; the present one if left out.", least=1),
            _FROM,
            Query("limit", Kind.INTEGER, f"Entries; {jobs.DEFAULT_ENTRIES} if left out.", 1, 1_000),
        ),
    ),
)
