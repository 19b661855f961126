"""Jobs."""

from typing import Any

import msgspec


class SubmitJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One job. ``module``: digest; ``input``: any JSON value, which the guest gets as UTF-8 text."""

    module: str
    # A factory, because the schema generator cannot show a Raw default.
    input: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    name: str = ""
    allow_hosts: tuple[str, ...] | None = None
    """Hosts it may call; left out: those of the module's manifest."""
    max_attempts: int = 1
    timeout_s: float = 3600.0
    memory_mb: int = 256


class SubmitJobs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``POST /v1/jobs``: all jobs or none. ``wait_s``: answer when all have ended, or after so many
    seconds.
    """

    jobs: tuple[SubmitJob, ...]
    wait_s: float = 0.0


class FailureView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a job failed, is paused, or was tried again."""

    kind: str
    message: str
    detail: str = ""


class JobView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job. ``result`` if it is JSON and inline, ``result_base64`` if it is other bytes; large results:
    ``/result``.
    """

    id: str
    state: str
    name: str = ""
    module: str = ""
    attempt: int = 1
    epoch: int = 0
    losses: int = 0
    journal_length: int = 0
    created_ms: int = 0
    started_ms: int | None = None
    finished_ms: int | None = None
    wake_ms: int | None = None
    worker: str | None = None
    """The name of the worker that holds it."""
    failure: FailureView | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result_base64: str | None = None
    result_size: int | None = None


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a submission, in the order of the request.

    Of each job ``id`` and ``state``; after a wait its result or failure, too.
    """

    jobs: tuple[JobView, ...]


class JobList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``GET /v1/jobs?state=&limit=&cursor=&prefix=``: newest first. ``cursor``: pass it to get the next
    page.
    """

    jobs: tuple[JobView, ...]
    cursor: str | None = None


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a guest's output. ``index``: its entry in the journal of ``attempt``, by which a reader
    goes on.
    """

    attempt: int
    index: int
    at_ms: int
    stream: str
    text: str


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One journal entry for people. ``kind``: its type's name; ``summary``: one line; ``fields``: the rest
    as JSON.
    """

    index: int
    kind: str
    summary: str
    epoch: int
    place: str
    fields: dict[str, Any] = {}


class JournalView(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/jobs/{id}/journal?attempt=&from=&limit=``."""

    job: str
    attempt: int
    length: int
    entries: tuple[JournalEntry, ...]


class CancelView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a cancellation: ``done``, ``stopping`` or ``already``."""

    id: str
    cancelled: str
