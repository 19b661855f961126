"""What is kept of the past, and for how long. Pure."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from mvm_ci.domain.ids import SERIAL_BITS, Digest, JobId

_DAY_MS: Final = 86_400_000
_DIGEST_LENGTH: Final = 64
_HEX_RUN: Final = re.compile(rb"[0-9a-f]{64,}")


class FinishedJob(msgspec.Struct, frozen=True, array_like=True):
    """A job that is over. ``held_bytes``: its input, result, journals and artifacts, wherever they are."""

    id: JobId
    held_bytes: int


class RetentionPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits for what is kept; None: no such limit.

    ``jobs_age_ms`` counts from a job's end; ``jobs_count`` and ``jobs_bytes`` keep the newest ones by
    submission. ``modules_age_ms``: of modules that no kept job is of, since they were added.
    ``blob_grace_ms``: of blobs that nothing refers to; they are stored before something does.
    ``events_count``: the newest numbers. ``journals_age_ms``, ``artifacts_age_ms`` and ``keys_age_ms``: of
    what goes before its job does, from the job's end. ``audit_age_ms``: of entries of the audit log.
    """

    jobs_age_ms: int | None = 30 * _DAY_MS
    jobs_count: int | None = 1_000_000
    jobs_bytes: int | None = None
    modules_age_ms: int | None = None
    blob_grace_ms: int = _DAY_MS
    events_age_ms: int | None = 7 * _DAY_MS
    events_count: int | None = 5_000_000
    journals_age_ms: int | None = None
    artifacts_age_ms: int | None = None
    keys_age_ms: int | None = 30 * _DAY_MS
    audit_age_ms: int | None = 365 * _DAY_MS

    def __post_init__(self) -> None:
        limits = (
            self.jobs_age_ms,
            self.jobs_count,
            self.jobs_bytes,
            self.modules_age_ms,
            self.blob_grace_ms,
            self.events_age_ms,
            self.events_count,
            self.journals_age_ms,
            self.artifacts_age_ms,
            self.keys_age_ms,
            self.audit_age_ms,
        )
        if any(limit is not None and limit < 1 for limit in limits):
            raise ValueError("a limit of retention must be at least 1")


class Bounds(msgspec.Struct, frozen=True):
    """Jobs that may go: over, with an id below ``before``, and an end before ``ended_before_ms``."""

    before: JobId
    ended_before_ms: int


def bounds_by_age(age_ms: int | None, now_ms: int) -> Bounds | None:
    """What is too old; None if age is no limit."""
    if age_ms is None:
        return None
    oldest_ms = max(0, now_ms - age_ms)
    # An id begins with the time of its making, and no job ends before it was made.
    return Bounds(JobId(oldest_ms << SERIAL_BITS), oldest_ms)


class Excess:
    """Finds, in finished jobs shown newest first, the first one that is more than is to be kept."""

    def __init__(self, policy: RetentionPolicy) -> None:
        self._count = policy.jobs_count
        self._bytes = policy.jobs_bytes
        self._seen = 0
        self._held = 0

    @property
    def limited(self) -> bool:
        """Whether there is any such limit."""
        return self._count is not None or self._bytes is not None

    def first_of(self, jobs: Sequence[FinishedJob]) -> JobId | None:
        """The first job too many among these, which follow those of the calls before."""
        for job in jobs:
            self._seen += 1
            self._held += job.held_bytes
            too_many = self._count is not None and self._seen > self._count
            # The newest one stays, whatever its size: whoever waits for it is to see it.
            too_large = self._bytes is not None and self._held > self._bytes and self._seen > 1
            if too_many or too_large:
                return job.id
        return None


def digests_in(data: bytes) -> set[Digest]:
    """Whatever looks like a digest in stored bytes, of any format: no version's references are missed."""
    return {
        Digest(run[at : at + _DIGEST_LENGTH].decode())
        for run in _HEX_RUN.findall(data)
        for at in range(len(run) - _DIGEST_LENGTH + 1)
    }
