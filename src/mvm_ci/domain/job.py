"""The job, its states and the one table of its transitions.

The diagram in ``docs/reference/job-states.md`` is generated from ``TRANSITIONS``.
"""

from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from mvm_ci.domain.errors import IllegalTransition
from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.outcome import Failure
from mvm_ci.domain.payload import Payload


class JobState(IntEnum):
    """Where a job is in its life. The numbers are stored: never renumber."""

    PENDING = 0  # ready for any worker
    CLAIMED = 1  # placed on a worker, which has not reported its start
    IN_PROGRESS = 2  # its guest runs
    SUSPENDED = 3  # waits for a timer without a worker; its journal is complete
    SCHEDULED = 4  # waits for its next attempt
    CANCELLING = 5  # its worker was told to stop it
    PAUSED = 6  # parked for a person to look at, with a reason
    COMPLETED = 7  # final: it has a result
    FAILED = 8  # final: the retry policy gave up
    CANCELLED = 9  # final
    DEAD = 10  # final: lost with its worker too often

    @property
    def label(self) -> str:
        """The name users see."""
        return self.name.lower()


FINAL: Final = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.DEAD})
AT_REST: Final = FINAL | {JobState.PAUSED}
"""States in which nothing more happens by itself: what a wait ends with. A paused job needs a person."""
PLACED: Final = frozenset({JobState.CLAIMED, JobState.IN_PROGRESS, JobState.CANCELLING})
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
    PARK = "park"
    RESUME = "resume"
    CANCEL = "cancel"
    STOPPED = "stopped"  # the worker confirms the cancellation


_S, _E = JobState, Event
_WHILE_PLACED: Final = {
    _E.COMPLETE: _S.COMPLETED,
    _E.FAIL: _S.FAILED,
    _E.RETRY: _S.SCHEDULED,
    _E.SUSPEND: _S.SUSPENDED,
    _E.RELEASE: _S.PENDING,
    _E.LOSE: _S.PENDING,
    _E.BURY: _S.DEAD,
    _E.PARK: _S.PAUSED,
    _E.CANCEL: _S.CANCELLING,
}
TRANSITIONS: Final[dict[JobState, dict[Event, JobState]]] = {
    _S.PENDING: {_E.CLAIM: _S.CLAIMED, _E.CANCEL: _S.CANCELLED},
    # A short job reports its end in the frame that would have reported its start: CLAIMED may end directly.
    _S.CLAIMED: {_E.START: _S.IN_PROGRESS, **_WHILE_PLACED},
    _S.IN_PROGRESS: dict(_WHILE_PLACED),
    _S.SUSPENDED: {_E.WAKE: _S.PENDING, _E.CANCEL: _S.CANCELLED},
    _S.SCHEDULED: {_E.WAKE: _S.PENDING, _E.CANCEL: _S.CANCELLED},
    # What ended before the order to stop arrived keeps its result; every other way out is the cancellation.
    _S.CANCELLING: {
        _E.COMPLETE: _S.COMPLETED,
        _E.STOPPED: _S.CANCELLED,
        _E.FAIL: _S.CANCELLED,
        _E.RETRY: _S.CANCELLED,
        _E.SUSPEND: _S.CANCELLED,
        _E.RELEASE: _S.CANCELLED,
        _E.LOSE: _S.CANCELLED,
        _E.BURY: _S.CANCELLED,
        _E.PARK: _S.CANCELLED,
    },
    _S.PAUSED: {_E.RESUME: _S.PENDING, _E.CANCEL: _S.CANCELLED},
    _S.COMPLETED: {},
    _S.FAILED: {},
    _S.CANCELLED: {},
    _S.DEAD: {},
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


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it enters the queue.

    With ``session`` it is inserted already claimed (epoch 1) by that session.
    """

    id: JobId
    spec: JobSpec
    created_ms: int
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
    session: SessionId | None = None
    losses: int = 0
    journal_length: int = 0
    """Entries of the present attempt's journal."""
    started_ms: int | None = None
    finished_ms: int | None = None
    wake_ms: int | None = None
    result: Payload | None = None
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
