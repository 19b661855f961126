"""How the queue treats a job, beside what it runs: its lane, its times, its retries, what it is called."""

from enum import StrEnum
from typing import Final

import msgspec

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.lane import Lane, lane
from mvm_ci.domain.retry import Backoff


class Needs(StrEnum):
    """What a job waits for at another one."""

    SUCCESS = "success"  # that it completes; if it ends otherwise, the waiting job is cancelled
    END = "end"  # that it ends, however


class Dependency(msgspec.Struct, frozen=True, array_like=True):
    """A job waits for another one."""

    job: JobId
    needs: Needs = Needs.SUCCESS


class Idempotency(msgspec.Struct, frozen=True, array_like=True):
    """``key``: unique in its namespace; ``request``: 16 bytes that tell one request from another."""

    key: str
    request: bytes


class Parent(msgspec.Struct, frozen=True, array_like=True):
    """The job whose guest started a child, in its ``attempt``."""

    job: JobId
    attempt: int


class JobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """See the module's docstring. Times are Unix milliseconds."""

    lane: Lane
    run_at_ms: int | None = None
    """Not before this time."""
    expires_ms: int | None = None
    """Fail it if no worker has taken it by then (schedule-to-start)."""
    deadline_ms: int | None = None
    """Fail it if it has not ended by then."""
    backoff: Backoff = Backoff()
    tags: tuple[str, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    """Sorted by key."""
    after: tuple[Dependency, ...] = ()
    idempotency: Idempotency | None = None
    parent: Parent | None = None
    """Of a child; one that a person revived has none any more: it goes its own way."""


DEFAULT_OPTIONS: Final = JobOptions(lane=lane())


def terms(options: JobOptions) -> list[str]:
    """Under what a job can be searched: its tags, and ``key=value`` of its metadata."""
    return [*options.tags, *(f"{key}={value}" for key, value in options.metadata)]
