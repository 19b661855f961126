"""The job, its states and the one table of its transitions.

The diagram in ``docs/reference/job-states.md`` is generated from ``TRANSITIONS``.
"""

from enum import IntEnum, StrEnum
from typing import Final, Self

import msgspec

from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.errors import IllegalTransition
from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.options import DEFAULT_OPTIONS, JobOptions
from mvm_ci.domain.outcome import Failure
from mvm_ci.domain.payload import Payload
from mvm_ci.domain.shown import Progress


class JobState(IntEnum):
    """Where a job is in its life. The numbers are stored: never renumber."""

    PENDING = 0  # ready for any worker
    CLAIMED = 1  # placed on a worker, which has not reported its start
    IN_PROGRESS = 2  # its guest runs
    SUSPENDED = 3  # waits for a timer without a worker; its journal is complete
    SCHEDULED = 4  # waits for its time: the first attempt or the next one
    CANCELLING = 5  # its worker was told to stop it
    PAUSED = 6  # parked: by a person, or for one to look at, with a reason
    COMPLETED = 7  # final: it has a result
    FAILED = 8  # final: the retry policy gave up
    CANCELLED = 9  # final
    DEAD = 10  # final: lost with its worker too often
    BLOCKED = 11  # waits for other jobs
    PAUSING = 12  # its worker was told to stop it; then it is paused

    @property
    def label(self) -> str:
        """The name users see."""
        return self.name.lower()


FINAL: Final = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.DEAD})
AT_REST: Final = FINAL | {JobState.PAUSED}
"""States in which nothing more happens by itself: what a wait ends with. A paused job needs a person."""
PLACED: Final = frozenset({JobState.CLAIMED, JobState.IN_PROGRESS, JobState.CANCELLING, JobState.PAUSING})
"""States in which a worker's session holds the job, under the job's current epoch."""


class Event(StrEnum):
    """What can happen to a job."""

    CLAIM = "claim"
    START = "start"
    COMPLETE = "complete"
    FAIL = "fail"
    RETRY = "retry"
    SUSPEND = "suspend"
    WAKE = "wake"
    RELEASE = "release"  # handed back unharmed: drained, or never started
    LOSE = "lose"  # its worker's session ended
    BURY = "bury"  # lost, and that too often
    CONTINUE = "continue"  # it goes on as a new execution, with another input
    PARK = "park"
    PAUSE = "pause"
    RESUME = "resume"
    UNBLOCK = "unblock"  # the jobs it waits for have ended as they must
    EXPIRE = "expire"  # no worker took it in time
    OVERDUE = "overdue"  # its deadline has passed
    CANCEL = "cancel"
    STOPPED = "stopped"  # the worker confirms that the guest stands still
    REVIVE = "revive"  # a person lets an ended job try again


_S, _E = JobState, Event
_WHILE_PLACED: Final = {
    _E.COMPLETE: _S.COMPLETED,
    _E.FAIL: _S.FAILED,
    _E.RETRY: _S.SCHEDULED,
    _E.SUSPEND: _S.SUSPENDED,
    _E.RELEASE: _S.PENDING,
    _E.CONTINUE: _S.PENDING,
    _E.LOSE: _S.PENDING,
    _E.BURY: _S.DEAD,
    _E.PARK: _S.PAUSED,
    _E.PAUSE: _S.PAUSING,
    _E.CANCEL: _S.CANCELLING,
}
# A worker that has a job fails it by itself when its deadline has passed.
_WAITING: Final = {_E.PAUSE: _S.PAUSED, _E.CANCEL: _S.CANCELLED, _E.OVERDUE: _S.FAILED}
TRANSITIONS: Final[dict[JobState, dict[Event, JobState]]] = {
    _S.PENDING: {_E.CLAIM: _S.CLAIMED, _E.EXPIRE: _S.FAILED, **_WAITING},
    # A short job reports its end in the frame that would have reported its start: CLAIMED may end directly.
    _S.CLAIMED: {_E.START: _S.IN_PROGRESS, **_WHILE_PLACED},
    _S.IN_PROGRESS: dict(_WHILE_PLACED),
    _S.SUSPENDED: {_E.WAKE: _S.PENDING, **_WAITING},
    _S.SCHEDULED: {_E.WAKE: _S.PENDING, _E.EXPIRE: _S.FAILED, **_WAITING},
    # What ended before the order to stop arrived keeps its result; every other way out is the cancellation.
    _S.CANCELLING: {
        _E.COMPLETE: _S.COMPLETED,
        _E.STOPPED: _S.CANCELLED,
        _E.FAIL: _S.CANCELLED,
        _E.RETRY: _S.CANCELLED,
        _E.SUSPEND: _S.CANCELLED,
        _E.RELEASE: _S.CANCELLED,
        _E.CONTINUE: _S.CANCELLED,
        _E.LOSE: _S.CANCELLED,
        _E.BURY: _S.CANCELLED,
        _E.PARK: _S.CANCELLED,
    },
    _S.PAUSED: {_E.RESUME: _S.PENDING, _E.CANCEL: _S.CANCELLED, _E.OVERDUE: _S.FAILED},
    # Here, too: what ended before the order to stop arrived has ended; every other way out is the pause.
    _S.PAUSING: {
        _E.COMPLETE: _S.COMPLETED,
        _E.STOPPED: _S.PAUSED,
        _E.FAIL: _S.FAILED,
        _E.RETRY: _S.PAUSED,
        _E.SUSPEND: _S.PAUSED,
        _E.RELEASE: _S.PAUSED,
        _E.CONTINUE: _S.PAUSED,
        _E.LOSE: _S.PAUSED,
        _E.BURY: _S.PAUSED,
        _E.PARK: _S.PAUSED,
        _E.CANCEL: _S.CANCELLING,
    },
    _S.BLOCKED: {_E.UNBLOCK: _S.PENDING, _E.EXPIRE: _S.FAILED, **_WAITING},
    _S.COMPLETED: {},
    _S.FAILED: {_E.REVIVE: _S.PENDING},
    _S.CANCELLED: {_E.REVIVE: _S.PENDING},
    _S.DEAD: {_E.REVIVE: _S.PENDING},
}


def transition(state: JobState, event: Event) -> JobState:
    """The state after ``event``.

    Raises ``IllegalTransition``, and nothing has changed, if the table has none.
    """
    after = TRANSITIONS[state].get(event)
    if after is None:
        raise IllegalTransition(state.label, event.value)
    return after


def sources(event: Event) -> tuple[JobState, ...]:
    """The states in which ``event`` is legal: what a store's guarded statement compares with."""
    return tuple(state for state, events in TRANSITIONS.items() if event in events)


class Durability(StrEnum):
    """What is kept of an execution while it runs."""

    JOURNALED = "journaled"  # its journal: another worker goes on where this one stopped
    NONE = "none"  # nothing: another worker begins again


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asks for."""

    module: Digest
    input: Payload
    name: str = ""
    allow_hosts: tuple[str, ...] = ()
    """Hosts the guest may call: ``host``, ``host:port``, ``*.domain`` or ``*``.

    The worker's operator must allow them, too.
    """
    max_attempts: int = 1
    timeout_ms: int = 3_600_000
    """Longest run time of one placement, waiting included."""
    memory_bytes: int = 256 << 20
    cancel_grace_ms: int = 0
    """How long its guest may clean up once it is told that it is cancelled; 0: it is not told."""
    durability: Durability = Durability.JOURNALED
    secrets: tuple[str, ...] = ()
    """Names of the secrets that the guest may read. Which jobs may name which is the operator's to say."""
    inputs: tuple[Artifact, ...] = ()
    """Artifacts that it is given, by name; it cannot change them."""


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it enters the queue.

    With ``session`` it is inserted already claimed (epoch 1) by that session; it has no ``run_at_ms`` and
    waits for no other job then.
    """

    id: JobId
    spec: JobSpec
    created_ms: int
    options: JobOptions = DEFAULT_OPTIONS
    session: SessionId | None = None


class Placed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One placement of a job: what every report about it carries. ``epoch`` is the fencing token."""

    job: JobId
    epoch: int


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as stored. Times are Unix milliseconds."""

    id: JobId
    spec: JobSpec
    state: JobState
    created_ms: int
    attempt: int = 1
    epoch: int = 0
    options: JobOptions = DEFAULT_OPTIONS
    session: SessionId | None = None
    losses: int = 0
    journal_length: int = 0
    """Entries of the present attempt's journal."""
    started_ms: int | None = None
    finished_ms: int | None = None
    wake_ms: int | None = None
    expires_ms: int | None = None
    """It fails if no worker has taken it by then."""
    result: Payload | None = None
    first_attempt: int = 1
    """Of the present run: higher once it has gone on as a new execution."""
    awaits: tuple[str, ...] = ()
    """The topics of mail that it is suspended for."""
    progress: Progress | None = None
    """What its guest said last."""
    failure: Failure | None = None
    """Why it failed, is paused, or was tried again."""


class ClaimedJob(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs to run a job.

    Its journal is read separately, and only if ``journal_length`` is not 0.
    """

    id: JobId
    epoch: int
    attempt: int
    spec: JobSpec
    journal_length: int
    cancelling: bool = False
    """It is placed to clean up."""
    deadline_ms: int | None = None

    @classmethod
    def of(cls, job: Job) -> Self:
        """Of a job that is placed."""
        return cls(
            id=job.id,
            epoch=job.epoch,
            attempt=job.attempt,
            spec=job.spec,
            journal_length=job.journal_length,
            cancelling=job.state is JobState.CANCELLING,
            deadline_ms=job.options.deadline_ms,
        )
