"""Events: what happened to jobs, in numbered batches. Pure."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, TypeAlias

import msgspec

from mvm_ci.domain.ids import JobId

NUMBERS_PER_MS: Final = 256
"""Numbers of events grow at least so fast with time between two starts.

So those of a state that was restored from a backup are beyond all that were given out before.
"""
NO_JOB: Final = JobId(0)
"""Stands for the job of an event that is of no job."""


class EventKind(IntEnum):
    """What happened. Stored: never renumber."""

    SUBMITTED = 0
    STARTED = 1  # a guest runs
    SUSPENDED = 2  # it left its worker, to go on at a time
    RETRYING = 3  # an attempt failed, another will follow
    REQUEUED = 4  # it lost its worker, or was handed over, and goes on elsewhere
    PAUSED = 5
    RESUMED = 6
    REVIVED = 7  # it had ended, and tries again
    ENDED = 8  # completed, failed, cancelled or dead: its state tells
    RESTARTED = 9  # the control plane started; events may be missing before this one
    GAP = 10  # events are missing before this one

    @property
    def label(self) -> str:
        """The name outside."""
        return self.name.lower()


OF_NO_JOB: Final = frozenset({EventKind.RESTARTED, EventKind.GAP})

Group: TypeAlias = tuple[EventKind, Sequence[JobId]]
"""The same happened to several jobs."""


class JobEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One event. ``job``: None if it is of none."""

    seq: int
    at_ms: int
    kind: EventKind
    job: JobId | None


class EventBatch(msgspec.Struct, frozen=True):
    """Events that became known together: numbers ``first`` to ``first + count - 1``; ``data``: see
    ``pack``.
    """

    first: int
    count: int
    at_ms: int
    data: bytes

    @property
    def last(self) -> int:
        """The number of its last event."""
        return self.first + self.count - 1

    def events(self) -> list[JobEvent]:
        """All of them, in order."""
        found: list[JobEvent] = []
        seq = self.first
        for kind, jobs in _decoder.decode(self.data):
            for job in jobs:
                found.append(JobEvent(seq, self.at_ms, kind, job if job != NO_JOB else None))
                seq += 1
        return found


_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(list[tuple[EventKind, list[JobId]]])


def pack(first: int, at_ms: int, groups: Sequence[Group]) -> EventBatch:
    """A batch of what happened, the first event with the number ``first``."""
    count = sum(len(jobs) for _, jobs in groups)
    return EventBatch(first=first, count=count, at_ms=at_ms, data=_encode(groups))
