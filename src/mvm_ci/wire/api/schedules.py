"""Schedules."""

import msgspec

from mvm_ci.domain.schedule import CatchUp, Overlap
from mvm_ci.wire.api.jobs import SubmitJob


class PutSchedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``PUT /v1/schedules/{name}``: the whole definition. ``paused`` left out: a schedule that is there stays
    as it is.
    """

    when: str
    """Five fields of cron, ``@hourly`` and its like, or ``every 15m``."""
    time_zone: str = "UTC"
    jitter_s: float = 0.0
    catch_up: CatchUp = CatchUp.LAST
    overlap: Overlap = Overlap.SKIP
    job: SubmitJob
    """What is submitted. A string ``"$scheduled_time"`` in its input becomes the time of the fire."""
    paused: bool | None = None


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule. ``next_ms``: its next time, without jitter; ``waiting_ms``: times that have come and whose
    job is still to be submitted.
    """

    name: str
    when: str
    time_zone: str
    jitter_s: float = 0.0
    catch_up: CatchUp
    overlap: Overlap
    job: SubmitJob
    paused: bool = False
    created_ms: int
    next_ms: int | None = None
    waiting_ms: tuple[int, ...] = ()
    last_fire_ms: int | None = None
    last_job: str | None = None
    fires: int = 0
    skipped: int = 0
    """Fires dropped because of an earlier job that had not ended."""
    last_error: str | None = None
    last_error_ms: int | None = None


class ScheduleList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``GET /v1/schedules``: by name. ``cursor``: pass it to get the next page."""

    schedules: tuple[ScheduleView, ...]
    cursor: str | None = None


class ScheduleTimes(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/schedules/{name}/next``: the coming times, without jitter, and when each of them fires."""

    times_ms: tuple[int, ...]
    fires_ms: tuple[int, ...]


class Triggered(msgspec.Struct, frozen=True, kw_only=True):
    """The job that was submitted now."""

    job: str


class Backfill(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``POST /v1/schedules/{name}/backfill``: the times from ``from_ms`` on and before ``to_ms``.

    ``dry_run``: only say which.
    """

    from_ms: int
    to_ms: int
    dry_run: bool = False


class Backfilled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The times, and their jobs in the same order (none of a dry run)."""

    times_ms: tuple[int, ...]
    jobs: tuple[str, ...] = ()


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed."""

    name: str
