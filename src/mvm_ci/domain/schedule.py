"""Schedules: which jobs are made at which times. Pure: each function takes a schedule and a time and answers
with the schedule as it is then.

Firing has two steps, each one write. ``plan`` moves the times that have come from the future (``next_ms``) to
``waiting``, as the catch-up policy says; then each waiting fire becomes a job, or is dropped, as the overlap
policy says, and ``fired`` or ``dropped`` takes it out. A crash in between leaves it waiting: it is submitted
again under the same key, and so becomes the same job.
"""

import hashlib
import re
from enum import StrEnum
from typing import Final

import msgspec
from msgspec.structs import replace

from mvm_ci.domain.cron import Timing, parse_timing, upcoming
from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.ids import JobId

LATE_MS: Final = 60_000
"""A fire that is later than this was missed: by a control plane that was down, or a clock that jumped."""
MAX_CATCH_UP: Final = 100
"""Missed fires that are made up for at once."""
MAX_JITTER_MS: Final = 86_400_000
LOOK_AGAIN_MS: Final = 30_000
"""A fire that waits for a job is looked at again after this, if nobody told of the job's end before."""
RETRY_MS: Final = 10_000
"""After a fire that could not be submitted for now."""
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LONGEST_ERROR: Final = 500


class CatchUp(StrEnum):
    """What becomes of fires that were missed. A fire is missed if a later one was due, too, when its turn
    came, or if it is more than ``LATE_MS`` late.
    """

    SKIP = "skip"  # nothing: the next fire is the next
    LAST = "last"  # the newest of them fires once
    ALL = "all"  # each of them fires, at most the newest MAX_CATCH_UP


class Overlap(StrEnum):
    """What becomes of a fire while the schedule's last job has not ended."""

    SKIP = "skip"  # it is dropped
    ALLOW = "allow"  # both run
    CANCEL_OLDER = "cancel-older"  # the older job is cancelled
    QUEUE_ONE = "queue-one"  # one fire waits for the end; more are dropped


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule as stored. Times are Unix milliseconds. ``revision``: one higher with every write."""

    namespace: str
    name: str
    when: str
    time_zone: str = "UTC"
    jitter_ms: int = 0
    """Each fire comes up to so much later; how much is fixed by name and time."""
    catch_up: CatchUp = CatchUp.LAST
    overlap: Overlap = Overlap.SKIP
    job: str
    """What is submitted: the JSON of the API's submission of one job."""
    paused: bool = False
    created_ms: int
    next_ms: int | None = None
    """The next time, without jitter; None: paused, or no more."""
    waiting: tuple[int, ...] = ()
    """Times that have come and whose job is still to be submitted, oldest first."""
    again_ms: int | None = None
    """When to look at ``waiting`` again; None: now."""
    last_fire_ms: int | None = None
    last_job: JobId | None = None
    fires: int = 0
    skipped: int = 0
    """Fires dropped because of an earlier job that had not ended."""
    last_error: str = ""
    last_error_ms: int | None = None
    revision: int = 0

    @property
    def timing(self) -> Timing:
        """Its times."""
        return parse_timing(self.when, self.time_zone)

    @property
    def due_ms(self) -> int | None:
        """When something is to be done for it; None: never."""
        if self.paused:
            return None
        due = [] if self.next_ms is None else [fire_ms(self, self.next_ms)]
        if self.waiting:
            due.append(0 if self.again_ms is None else self.again_ms)
        return min(due, default=None)


def check_name(name: str) -> str:
    """The name, if it is one. Raises ``BadInput``."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"name: {name[:80]!r} is none: 1 to 63 letters, digits and inner dots, hyphens and underscores"
        )
    return name


def check(schedule: Schedule, now_ms: int) -> None:
    """Raises ``BadInput`` for what can never work, saying which field."""
    if not 0 <= schedule.jitter_ms <= MAX_JITTER_MS:
        raise BadInput(f"jitter_s: it is not between 0 and {MAX_JITTER_MS // 1000}")
    if not upcoming(schedule.timing, now_ms, 1):
        raise BadInput(f"when: {schedule.when[:80]!r} never comes")


def fire_ms(schedule: Schedule, at_ms: int) -> int:
    """When the fire of the time ``at_ms`` is due: later by its jitter, but before the next time."""
    if not schedule.jitter_ms:
        return at_ms
    following = upcoming(schedule.timing, at_ms, 1)
    room = min(schedule.jitter_ms + 1, following[0] - at_ms) if following else schedule.jitter_ms + 1
    seed = f"{schedule.namespace}/{schedule.name}/{at_ms}".encode()
    return at_ms + int.from_bytes(hashlib.sha256(seed).digest()[:8]) % room


def key(schedule: Schedule, at_ms: int) -> str:
    """The idempotency key of the job for the time ``at_ms``."""
    return f"schedule:{schedule.name}:{at_ms}"


# ---------------------------------------------------------------- the two steps of firing


def plan(schedule: Schedule, now_ms: int) -> Schedule:
    """The times that have come wait for their jobs; those that were missed, as the catch-up policy says."""
    if schedule.paused or schedule.next_ms is None or fire_ms(schedule, schedule.next_ms) > now_ms:
        return schedule
    timing = schedule.timing
    keep = MAX_CATCH_UP if schedule.catch_up is CatchUp.ALL else 1
    # One more: the newest time may have come while its fire, with its jitter, has not.
    come = timing.newest(schedule.next_ms - 1, now_ms, keep + 1)
    if fire_ms(schedule, come[-1]) > now_ms:
        del come[-1]
    last = come[-1]
    come = come[-keep:]
    if schedule.catch_up is CatchUp.SKIP and now_ms - fire_ms(schedule, last) > LATE_MS:
        come = []
    queue = (*schedule.waiting, *come)
    skipped = schedule.skipped
    if schedule.overlap is Overlap.QUEUE_ONE:
        skipped += len(queue[1:])
        queue = queue[:1]
    following = upcoming(timing, last, 1)
    next_ms = following[0] if following else None
    return replace(schedule, waiting=queue[-keep:], next_ms=next_ms, skipped=skipped)


def fired(schedule: Schedule, times: tuple[int, ...], job: JobId) -> Schedule:
    """The fires of ``times`` have become jobs; ``job``: the newest."""
    return replace(
        _without(schedule, times),
        last_fire_ms=times[-1],
        last_job=job,
        fires=schedule.fires + len(times),
        last_error="",
        last_error_ms=None,
    )


def dropped(schedule: Schedule, times: tuple[int, ...]) -> Schedule:
    """The fires of ``times`` are given up because of an earlier job."""
    return replace(_without(schedule, times), skipped=schedule.skipped + len(times))


def failed(schedule: Schedule, times: tuple[int, ...], error: str, now_ms: int) -> Schedule:
    """The fires of ``times`` cannot become jobs, and a repetition would not help."""
    noted = _noted(schedule, error, now_ms)
    return _without(noted, times)


def postponed(schedule: Schedule, error: str, now_ms: int) -> Schedule:
    """The waiting fires cannot become jobs for now."""
    return replace(_noted(schedule, error, now_ms), again_ms=now_ms + RETRY_MS)


def broken(schedule: Schedule, error: str, now_ms: int) -> Schedule:
    """Its times cannot be told any more: it is paused until somebody repairs it."""
    return paused(_noted(schedule, error, now_ms))


def queued(schedule: Schedule, now_ms: int) -> Schedule:
    """The waiting fires wait for the end of the last job."""
    return replace(schedule, again_ms=now_ms + LOOK_AGAIN_MS)


def _without(schedule: Schedule, times: tuple[int, ...]) -> Schedule:
    left = tuple(at_ms for at_ms in schedule.waiting if at_ms not in times)
    return replace(schedule, waiting=left, again_ms=None)


def _noted(schedule: Schedule, error: str, now_ms: int) -> Schedule:
    return replace(schedule, last_error=error[:_LONGEST_ERROR], last_error_ms=now_ms)


# ---------------------------------------------------------------- what people do to a schedule


def begun(schedule: Schedule, now_ms: int) -> Schedule:
    """A schedule that counts from now on: nothing before now fires."""
    if schedule.paused:
        return replace(schedule, next_ms=None, waiting=(), again_ms=None)
    following = upcoming(schedule.timing, now_ms, 1)
    return replace(schedule, next_ms=following[0] if following else None)


def changed(stored: Schedule, asked: Schedule, now_ms: int) -> Schedule:
    """``stored`` with the definition of ``asked``; its history stays, and its next time if its times do."""
    merged = replace(
        stored,
        when=asked.when,
        time_zone=asked.time_zone,
        jitter_ms=asked.jitter_ms,
        catch_up=asked.catch_up,
        overlap=asked.overlap,
        job=asked.job,
        paused=asked.paused,
    )
    moved = (stored.when, stored.time_zone, stored.paused) != (asked.when, asked.time_zone, asked.paused)
    return begun(merged, now_ms) if moved else merged


def paused(schedule: Schedule) -> Schedule:
    """It fires no more; a fire that waits is dropped."""
    return replace(schedule, paused=True, next_ms=None, waiting=(), again_ms=None)


def resumed(schedule: Schedule, now_ms: int) -> Schedule:
    """It fires again from now on; the times of the pause are not made up for."""
    return begun(replace(schedule, paused=False), now_ms) if schedule.paused else schedule


def triggered(schedule: Schedule, job: JobId) -> Schedule:
    """Somebody had it submit its job now."""
    return replace(schedule, last_job=job, fires=schedule.fires + 1)
