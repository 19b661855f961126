"""The table of routes: jobs."""

from typing import Final

from mvm_ci.control_plane.api import changes, jobs, journal, limits, queues
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
        errors=(409, 429),
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
            Query("queue", Kind.TEXT, "Only jobs of this queue."),
            Query("module", Kind.TEXT, "Only jobs of this module (digest).", pattern="^[0-9a-f]{64}$"),
            Query("name", Kind.TEXT, "Only jobs of this name."),
            Query(
                "tags",
                Kind.TEXT,
                "Only jobs with all of these tags and key=value: comma-separated, a comma as %2C, % as %25.",
            ),
            Query("created_from_ms", Kind.INTEGER, "Only jobs submitted at this time or later."),
            Query("created_before_ms", Kind.INTEGER, "Only jobs submitted before this time."),
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
        summary="The guest's output over all attempts, or a part of it: one LogLine a line; index + 1 of the "
        "last one is the from with which to go on. follow: to the job's end; an empty line every 15 s breaks "
        "the silence.",
        answer=api.LogLine,
        media=NDJSON,
        query=(
            Query("attempt", Kind.INTEGER, "The attempt to begin with; 1 if left out.", least=1),
            _FROM,
            Query(
                "to",
                Kind.INTEGER,
                "Index of the journal entry to stop before, in that attempt.",
            ),
            Query("limit", Kind.INTEGER, "So many lines at most; all if left out.", 1, api.MAX_LINES),
            Query("tail", Kind.INTEGER, "Only the newest so many lines.", 1, api.MAX_LINES),
            Query("follow", Kind.FLAG, "Send lines as they become durable, until the job has ended."),
        ),
    ),
    Route(
        method="POST",
        path="/v1/jobs/{id}/cancel",
        role=Role.SUBMITTER,
        handler=changes.cancel,
        summary="Ask for the end of a job.",
        audit="job.cancel",
        hot=True,
        answer=api.CancelView,
    ),
    Route(
        method="POST",
        path="/v1/jobs/{id}/pause",
        role=Role.SUBMITTER,
        audit="job.pause",
        hot=True,
        handler=changes.pause,
        summary="Park a job until it is resumed. It keeps its journal, its time and its slot.",
        answer=api.ChangeView,
        errors=(409,),
    ),
    Route(
        method="POST",
        path="/v1/jobs/{id}/resume",
        role=Role.SUBMITTER,
        audit="job.resume",
        hot=True,
        handler=changes.resume,
        summary="Let a paused job go on.",
        answer=api.ChangeView,
        errors=(409,),
    ),
    Route(
        method="POST",
        path="/v1/jobs/{id}/retry",
        role=Role.SUBMITTER,
        audit="job.retry",
        hot=True,
        handler=changes.retry,
        summary="Let a failed or cancelled job begin a new attempt, and a dead one go on in its attempt.",
        answer=api.ChangeView,
        errors=(409,),
    ),
    Route(
        method="DELETE",
        path="/v1/jobs/{id}",
        role=Role.SUBMITTER,
        audit="job.delete",
        hot=True,
        handler=changes.delete,
        summary="Remove a job that has ended, with its journal.",
        answer=api.ChangeView,
        errors=(409,),
    ),
    *(
        Route(
            method="POST",
            path=f"/v1/jobs/{verb}",
            role=Role.SUBMITTER,
            audit=f"jobs.{verb}",
            handler=handler,
            summary=f"{summary} many jobs, by ids or by a filter; dry_run tells which.",
            body=Body(api.MAX_BODY, api.BulkRequest),
            answer=api.BulkResult,
        )
        for verb, summary, handler in (
            ("cancel", "Cancel", changes.cancel_many),
            ("pause", "Pause", changes.pause_many),
            ("resume", "Resume", changes.resume_many),
            ("retry", "Retry", changes.retry_many),
            ("delete", "Delete", changes.delete_many),
        )
    ),
    Route(
        method="GET",
        path="/v1/jobs/{id}/explain",
        role=Role.VIEWER,
        handler=jobs.explain,
        summary="What keeps a job waiting, and what would change that.",
        answer=api.Explanation,
    ),
    Route(
        method="GET",
        path="/v1/queues",
        role=Role.VIEWER,
        handler=queues.listing,
        summary="The queues that are paused or have ready jobs.",
        answer=api.QueueList,
    ),
    Route(
        method="POST",
        path="/v1/queues/{name}/pause",
        role=Role.SUBMITTER,
        audit="queue.pause",
        handler=queues.pause,
        summary="Give nothing of a queue to workers; what runs goes on.",
        answer=api.QueueView,
    ),
    Route(
        method="POST",
        path="/v1/queues/{name}/resume",
        role=Role.SUBMITTER,
        audit="queue.resume",
        handler=queues.resume,
        summary="Let a queue go on.",
        answer=api.QueueView,
    ),
    Route(
        method="GET",
        path="/v1/limits",
        role=Role.VIEWER,
        handler=limits.listing,
        summary="The concurrency keys that are in use or waited for, and the running jobs of a quota.",
        answer=api.LimitList,
    ),
    Route(
        method="GET",
        path="/v1/jobs/{id}/journal",
        role=Role.VIEWER,
        handler=journal.journal,
        summary="What the guest learned from outside in one attempt, or a part of it: one JournalEntry a "
        "line. follow: to the job's end, over later attempts; an empty line every 15 s breaks the silence.",
        answer=api.JournalEntry,
        media=NDJSON,
        query=(
            Query("attempt", Kind.INTEGER, "Which attempt; the present one if left out.", least=1),
            _FROM,
            Query("to", Kind.INTEGER, "Index of the entry to stop before."),
            Query("limit", Kind.INTEGER, "So many entries at most; all if left out.", 1, api.MAX_LINES),
            Query("tail", Kind.INTEGER, "Only the newest so many entries.", 1, api.MAX_LINES),
            Query("follow", Kind.FLAG, "Send entries as they become durable, until the job has ended."),
        ),
    ),
)
