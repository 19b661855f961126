"""How a placement of a job ended."""

from enum import StrEnum
from typing import Final

import msgspec

from mvm_ci.domain.payload import Payload


class FailureKind(StrEnum):
    """Why a guest did not return a result. Stable codes: stored, shown, and read by retry policies."""

    ERROR = "error"  # the guest's own error: an exception, an error result, an exit code
    TRAP = "trap"  # unreachable code, out of bounds, stack overflow, ...
    MEMORY = "memory-limit"
    TIME = "time-limit"
    OUTPUT = "output-limit"
    JOURNAL = "journal-limit"
    MODULE = "module"  # not a module, unknown imports, wrong ABI
    NONDETERMINISM = "nondeterminism"  # replay asked for something else than was recorded
    ENGINE = "engine"  # the runner died under the guest
    EXPIRED = "start-timeout"  # no worker took the job in time
    DEPENDENCY = "dependency"  # a job that it needs did not complete
    CHILD = "child"  # a child ended without a reason of its own: cancelled, or lost too often
    PROMISE = "promise"  # whoever was to complete a promise said that it cannot be
    DEADLINE = "deadline"  # it had not ended by the time by which it had to
    SUPERSEDED = "superseded"  # a newer job of its concurrency key took its place


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A failure as users see it: one line, and for a guest's own error its traceback in ``detail``."""

    kind: FailureKind
    message: str
    detail: str = ""


EXPIRED: Final = Failure(kind=FailureKind.EXPIRED, message="no worker took the job in time")
OVERDUE: Final = Failure(kind=FailureKind.DEADLINE, message="it had not ended by its deadline")
UNMET: Final = Failure(kind=FailureKind.DEPENDENCY, message="a job that this one needs did not complete")
SUPERSEDED: Final = Failure(
    kind=FailureKind.SUPERSEDED, message="a newer job of its concurrency key took its place"
)


class Completed(msgspec.Struct, frozen=True, array_like=True, tag="completed"):
    """The guest returned. ``result`` is JSON for guests built by ``mvm-ci build``, else opaque bytes."""

    result: Payload


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    """The guest failed; the retry policy decides what follows."""

    failure: Failure


class Suspended(msgspec.Struct, frozen=True, array_like=True, tag="suspended"):
    """The guest waits without a slot: until ``wake_ms`` (Unix milliseconds), or for mail about one of
    ``topics``, whichever comes first.
    """

    wake_ms: int
    topics: tuple[str, ...] = ()


class Parked(msgspec.Struct, frozen=True, array_like=True, tag="parked"):
    """The guest cannot go on until somebody repairs something (``NondeterminismDetected``)."""

    failure: Failure


class Released(msgspec.Struct, frozen=True, array_like=True, tag="released"):
    """The placement was given back: never started, or handed over by a worker that drains."""


class Continued(msgspec.Struct, frozen=True, array_like=True, tag="continued"):
    """The guest goes on as a new execution with ``input``, and an empty journal."""

    input: Payload


class Stopped(msgspec.Struct, frozen=True, array_like=True, tag="stopped"):
    """The guest was stopped because its job is being cancelled or paused."""


Outcome = Completed | Failed | Suspended | Parked | Released | Stopped | Continued
