"""Jobs."""

from typing import Any, Final

import msgspec

from mvm_ci.domain.lane import DEFAULT_PRIORITY, DEFAULT_QUEUE
from mvm_ci.domain.namespace import DEFAULT_NAMESPACE


class BackoffSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The pause after the n-th failed attempt: ``base_s`` x ``factor``^(n-1), at most ``longest_s``; half of
    it is chance. ``kinds``: retry these failures only.
    """

    base_s: float = 1.0
    longest_s: float = 300.0
    factor: float = 2.0
    kinds: tuple[str, ...] = ()


class ConcurrencySpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """At most ``limit`` jobs of this key at once, from their first start to the end of the attempt, and at
    most ``starts`` in ``per_s`` seconds; null: no such limit. ``excess``: newer ones ``wait``, or
    ``cancel-older``.
    """

    key: str
    limit: int | None = 1
    starts: int | None = None
    per_s: float = 1.0
    excess: str = "wait"


class AfterSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``job``: an id, or ``#N`` for job N (from 0) of the same request, before this one. ``needs``:
    ``success`` or ``end``.
    """

    job: str
    needs: str = "success"


class SubmitJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One job. ``module``: its digest, or its name (the version that was published last), or
    ``name@version``; ``input``: any JSON value, which the guest gets as UTF-8 text.
    """

    module: str
    # A factory, because the schema generator cannot show a Raw default.
    input: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    name: str = ""
    allow_hosts: tuple[str, ...] | None = None
    """Hosts it may call; left out: those of the module's manifest."""
    secrets: tuple[str, ...] | None = None
    """Names of secrets that it may read; left out: those of the module's manifest."""
    timeout_s: float = 3600.0
    memory_mb: int = 256
    cancel_grace_s: float | None = None
    """How long its guest may clean up once it is told that it is cancelled; null: it is stopped at once."""
    durability: str = "journaled"
    """``journaled``: another worker goes on where a lost one stopped; ``none``: it begins again."""
    queue: str = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    """0 to 9; higher first."""
    labels: dict[str, str] = {}
    """What the worker must have; an empty value asks for the label alone."""
    run_at_ms: int | None = None
    """Not before this time."""
    start_within_s: float | None = None
    """Fail it if no worker has taken it so many seconds after its submission, or after ``run_at_ms``."""
    deadline_s: float | None = None
    """Fail it if it has not ended so many seconds after its submission, or after ``run_at_ms``."""
    max_attempts: int = 1
    backoff: BackoffSpec = BackoffSpec()
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}
    fairness_key: str = ""
    """Jobs of one priority take turns by this key."""
    concurrency: ConcurrencySpec | None = None
    after: tuple[AfterSpec, ...] = ()
    """It starts when all of these have ended as they must."""
    idempotency_key: str | None = None
    """The same key and the same job again: the same job; the same key and another job: an error."""
    inputs: dict[str, str] = {}
    """Artifacts that it may read: the digests, by name, of what the namespace holds."""


class SubmitJobs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``POST /v1/jobs``: all jobs or none. ``wait_s``: answer when all have ended, or after so many
    seconds.
    """

    jobs: tuple[SubmitJob, ...]
    wait_s: float = 0.0


class ProgressView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a guest said last of how far it is."""

    text: str = ""
    done: float | None = None
    total: float | None = None


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
    namespace: str = DEFAULT_NAMESPACE
    queue: str = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    labels: dict[str, str] = {}
    tags: tuple[str, ...] = ()
    metadata: dict[str, str] = {}
    fairness_key: str = ""
    concurrency: ConcurrencySpec | None = None
    idempotency_key: str | None = None
    max_attempts: int = 1
    secrets: tuple[str, ...] = ()
    after: tuple[AfterSpec, ...] = ()
    """Only where one job is shown."""
    created_ms: int = 0
    started_ms: int | None = None
    finished_ms: int | None = None
    wake_ms: int | None = None
    expires_ms: int | None = None
    deadline_ms: int | None = None
    """It fails if it has not ended by then."""
    """It fails if no worker has taken it by then."""
    worker: str | None = None
    """The name of the worker that holds it."""
    first_attempt: int = 1
    """Of its present run: higher once it has gone on as a new execution."""
    parent: str | None = None
    """The job that started it."""
    awaits: tuple[str, ...] = ()
    """What it is suspended for: ``child:ID``, ``message:TYPE``, ``promise:ID``."""
    progress: ProgressView | None = None
    inputs: dict[str, str] = {}
    """Artifacts that it was given: digests by name."""
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


class LogRange(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines of a job's output: from entry ``first`` of ``attempt`` (None: its first) on; before entry
    ``to`` of that same attempt; ``limit``: no more lines than that; ``tail``: only the newest so many, and
    then none of ``first``, ``to`` and ``limit``. The same of a journal's entries; there ``attempt`` None is
    the present one.
    """

    attempt: int | None = None
    first: int | None = None
    to: int | None = None
    limit: int | None = None
    tail: int | None = None


DAMAGE: Final = "Damage"
"""The kind of what stands in place of an entry that cannot be read."""


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One journal entry for people. ``kind``: its type's name, or ``Damage``, with which a journal ends;
    ``summary``: what the guest did, ``answer``: what it was told, both cut where they are long;
    ``bytes`` in the journal; ``fields``: all of it, as JSON.

    ``epoch`` and ``place``: the placement that wrote it, and its worker's name.
    """

    attempt: int
    index: int
    kind: str
    summary: str
    answer: str = ""
    at_ms: int | None = None
    epoch: int = 0
    place: str = ""
    bytes: int = 0
    fields: dict[str, Any] = {}


class ForkJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A new job that begins with the first ``at`` entries of the journal of ``attempt`` (null: the present
    one). ``module``: another one, by its digest, name or ``name@version``; null: the same.
    """

    at: int
    attempt: int | None = None
    module: str | None = None


class CancelView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a cancellation: ``done``, ``stopping`` or ``already``."""

    id: str
    cancelled: str


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a change of a job: ``done``, ``stopping``, ``already``, ``refused``; of many, ``gone``,
    too.
    """

    id: str
    change: str


class JobSelection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which jobs; all that is given must hold. ``tags``: tags, and ``key=value`` of the metadata."""

    states: tuple[str, ...] = ()
    queue: str | None = None
    module: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    created_from_ms: int | None = None
    created_before_ms: int | None = None


class BulkRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Jobs to change: ``ids``, or those that ``filter`` selects. ``dry_run``: tell which, change nothing."""

    ids: tuple[str, ...] = ()
    filter: JobSelection | None = None
    dry_run: bool = False


class BulkResult(msgspec.Struct, frozen=True, kw_only=True):
    """``counts``: jobs by what became of them (of a dry run: all are ``selected``); ``jobs``: the first 100.

    ``complete``: false if more jobs are selected than one request changes: ask again.
    """

    counts: dict[str, int]
    jobs: tuple[ChangeView, ...]
    complete: bool


class Reason(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that keeps a job waiting. ``code`` is stable; ``remedy``: what would change it."""

    code: str
    message: str
    remedy: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a job is where it is. ``ahead``: ready jobs of its kind before it."""

    id: str
    state: str
    reasons: tuple[Reason, ...]
    ahead: int | None = None


class QueueView(msgspec.Struct, frozen=True, kw_only=True):
    """A queue."""

    name: str
    paused: bool


class QueueList(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/queues``: those that are paused or have ready jobs."""

    queues: tuple[QueueView, ...]
