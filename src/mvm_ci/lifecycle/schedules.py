"""Schedules: what people do to them. ``fire`` is what they do by themselves."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from mvm_ci.domain import schedule as policy
from mvm_ci.domain.cron import is_read, parse_zone, upcoming
from mvm_ci.domain.errors import BadInput, Conflict, NotFound, TooLarge
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.schedule import Schedule
from mvm_ci.lifecycle.submit import Submitter
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.schedules import ScheduleStore
from mvm_ci.wire.api import MAX_SCHEDULED_JOB, PutSchedule, SubmitJob

MAX_BACKFILL: Final = 1_000
"""Times of one backfill."""
_TRIES: Final = 10
_TIME: Final = b'"$scheduled_time"'

Fire: TypeAlias = tuple[int, str | None]
"""The time that a job is for, and its idempotency key."""

_job = msgspec.json.Decoder(SubmitJob)
_encode = msgspec.json.Encoder().encode


class Schedules:
    """The schedules of all namespaces. ``changed`` is told when one may have become due."""

    def __init__(
        self, store: ScheduleStore, submitter: Submitter, clock: Clock, changed: Callable[[], None]
    ) -> None:
        self._store = store
        self._submitter = submitter
        self._clock = clock
        self._changed = changed

    async def put(self, namespace: str, name: str, asked: PutSchedule) -> Schedule:
        """Makes a schedule, or gives the one of that name a new definition. Raises ``BadInput``,
        ``TooLarge``; ``NotFound`` for its module.
        """
        await read_zone(asked.time_zone)
        now = self._clock.now_ms()
        new = Schedule(
            namespace=namespace,
            name=policy.check_name(name),
            when=asked.when.strip(),
            time_zone=asked.time_zone,
            jitter_ms=_jitter_ms(asked.jitter_s),
            catch_up=asked.catch_up,
            overlap=asked.overlap,
            job=await self._checked(asked.job, namespace),
            paused=bool(asked.paused),
            created_ms=now,
        )
        policy.check(new, now)
        if await self._store.add(policy.begun(new, now)):
            self._changed()
            return await self.get(namespace, name)

        def change(stored: Schedule) -> Schedule:
            kept = stored.paused if asked.paused is None else asked.paused
            return policy.changed(stored, replace(new, paused=kept), now)

        return await self._change(namespace, name, change)

    async def get(self, namespace: str, name: str) -> Schedule:
        """One schedule. Raises ``NotFound``."""
        found = await self._store.get(namespace, name)
        if found is None:
            raise NotFound(f"there is no schedule {name[:80]!r}")
        return found

    async def page(self, namespace: str, after: str, limit: int) -> Sequence[Schedule]:
        """Schedules by name."""
        return await self._store.page(namespace, after, limit)

    async def remove(self, namespace: str, name: str) -> None:
        """Removes a schedule; the jobs that it made go on. Raises ``NotFound``."""
        if not await self._store.remove(namespace, name):
            raise NotFound(f"there is no schedule {name[:80]!r}")

    async def pause(self, namespace: str, name: str) -> Schedule:
        """It fires no more until it is resumed. Raises ``NotFound``."""
        return await self._change(namespace, name, policy.paused)

    async def resume(self, namespace: str, name: str) -> Schedule:
        """It fires again, from its next time on. Raises ``NotFound``."""
        await read_zone((await self.get(namespace, name)).time_zone)
        now = self._clock.now_ms()
        return await self._change(namespace, name, lambda stored: policy.resumed(stored, now))

    async def trigger(self, namespace: str, name: str) -> JobId:
        """Submits its job now, whatever else runs, paused or not. Raises ``NotFound`` and what ``submit``
        does.
        """
        schedule = await self.get(namespace, name)
        await read_zone(schedule.time_zone)
        (job,) = await submit(self._submitter, schedule, [(self._clock.now_ms(), None)])
        await self._change(namespace, name, lambda stored: policy.triggered(stored, job))
        return job

    async def times(self, schedule: Schedule, count: int) -> tuple[int, ...]:
        """Its next times; of a paused one those that it would have."""
        await read_zone(schedule.time_zone)
        first = self._clock.now_ms() if schedule.next_ms is None else schedule.next_ms - 1
        return tuple(upcoming(schedule.timing, first, count))

    async def backfill(
        self, namespace: str, name: str, from_ms: int, to_ms: int, *, dry_run: bool
    ) -> tuple[tuple[int, ...], Sequence[JobId]]:
        """Submits a job for each of its times from ``from_ms`` on and before ``to_ms``, all or none,
        whatever else runs. The same backfill again makes no other jobs.

        Raises ``NotFound``, ``BadInput``, ``TooLarge``.
        """
        schedule = await self.get(namespace, name)
        if not 0 <= from_ms < to_ms <= self._clock.now_ms():
            raise BadInput("from_ms, to_ms: a backfill begins before it ends, and ends in the past")
        await read_zone(schedule.time_zone)
        coming = takewhile(lambda at_ms: at_ms < to_ms, schedule.timing.after(from_ms - 1))
        times = tuple(islice(coming, MAX_BACKFILL + 1))
        if len(times) > MAX_BACKFILL:
            raise TooLarge(f"from_ms, to_ms: more than {MAX_BACKFILL} times lie between them; ask for a part")
        if dry_run or not times:
            return times, ()
        version = hashlib.sha256(schedule.job.encode()).hexdigest()[:12]
        fires = [(at_ms, f"schedule:{name}:backfill:{version}:{at_ms}") for at_ms in times]
        return times, await submit(self._submitter, schedule, fires)

    async def _checked(self, job: SubmitJob, namespace: str) -> str:
        if job.idempotency_key is not None or job.run_at_ms is not None or job.after:
            raise BadInput("job: idempotency_key, run_at_ms and after are not for the job of a schedule")
        if job.inputs:
            # An upload is kept for a day; the schedule fires as long as it is there.
            raise BadInput("job: inputs are not for the job of a schedule: let the job fetch what it needs")
        encoded = _encode(job)
        if len(encoded) > MAX_SCHEDULED_JOB:
            raise TooLarge(f"job: {len(encoded)} bytes; at most {MAX_SCHEDULED_JOB} are allowed")
        try:
            await self._submitter.check([job], namespace)
        except (BadInput, NotFound) as error:
            raise type(error)(str(error).replace("jobs[0]", "job", 1)) from None
        return encoded.decode()

    async def _change(self, namespace: str, name: str, change: Callable[[Schedule], Schedule]) -> Schedule:
        for _ in range(_TRIES):
            stored = await self.get(namespace, name)
            after = change(stored)
            if after == stored:
                return stored
            if await self._store.replace(after):
                self._changed()
                return replace(after, revision=stored.revision + 1)
        raise Conflict(f"schedule {name}: others change it all the time; try again")


async def read_zone(name: str) -> None:
    """Reads the rules of a time zone, once a process: they are in a file, so not in the event loop.

    Raises ``BadInput``.
    """
    if not is_read(name):
        await asyncio.to_thread(parse_zone, name)


Submit: TypeAlias = Callable[[Schedule, Sequence[Fire]], Awaitable[Sequence[JobId]]]


async def submit(submitter: Submitter, schedule: Schedule, fires: Sequence[Fire]) -> Sequence[JobId]:
    """Submits the schedule's job for each of ``fires``, all or none; returns when that is durable.

    Raises ``BadInput`` or ``NotFound`` for what has become of the job's definition, ``Unavailable``.
    """
    template = job_of(schedule)
    asked = [replace(_of_time(template, at_ms), idempotency_key=once) for at_ms, once in fires]
    submission = submitter.hand_over(await submitter.check(asked, schedule.namespace))
    await submission.durable
    return submission.jobs


def job_of(schedule: Schedule) -> SubmitJob:
    """The definition of the schedule's job. Raises ``BadInput`` for one that another version wrote and this
    one does not know.
    """
    try:
        return _job.decode(schedule.job)
    except msgspec.ValidationError as error:
        raise BadInput(f"schedule {schedule.name}: its job cannot be read: {error}; define it anew") from None


def _of_time(job: SubmitJob, at_ms: int) -> SubmitJob:
    given = bytes(job.input)
    if _TIME not in given:
        return job
    text = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return replace(job, input=msgspec.Raw(given.replace(_TIME, b'"%s"' % text.encode())))


def _jitter_ms(seconds: float) -> int:
    # Rounding fails on what is no number; the range is checked with the rest.
    return round(seconds * 1000) if abs(seconds) < policy.MAX_JITTER_MS else -1
