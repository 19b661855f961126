"""Fire: the jobs of schedules are submitted when their time has come. One timer, no polling."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from msgspec.structs import replace

from mvm_ci.domain import schedule as policy
from mvm_ci.domain.errors import BadInput, MvmCiError, Unavailable
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import FINAL
from mvm_ci.domain.schedule import Overlap, Schedule
from mvm_ci.lifecycle.schedules import Submit, read_zone
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.lifecycle.wake import LONGEST_NAP_MS, PAUSE_MS, first_of
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.ports.schedules import ScheduleStore

log = structlog.get_logger(__name__)

BATCH: Final = 100
"""Schedules that fire side by side."""
_WATCH_S: Final = 3_600.0

_Name = tuple[str, str]
Cancel = Callable[[Sequence[JobId]], Awaitable[object]]


class Firing:
    """Fires what is due. ``cancel``: asks for the end of jobs, and may be repeated."""

    def __init__(
        self,
        store: ScheduleStore,
        queue: JobQueue,
        clock: Clock,
        waiters: Waiters,
        submit: Submit,
        cancel: Cancel,
    ) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock
        self._waiters = waiters
        self._submit = submit
        self._cancel = cancel
        self._earliest: int | None = None
        self._sooner = asyncio.Event()
        self._watches: dict[_Name, asyncio.Task[None]] = {}
        self._released: set[_Name] = set()

    def look(self) -> None:
        """A schedule changed: it may be due earlier."""
        self._sooner.set()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        try:
            while True:
                try:
                    await self._fire_all()
                except Unavailable as error:
                    log.warning("fire_failed", error=str(error), again_in_ms=PAUSE_MS)
                    await self._clock.sleep(PAUSE_MS)
                    continue
                await self._until_due()
        finally:
            watches = list(self._watches.values())
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)

    async def _fire_all(self) -> None:
        # Forgotten before the store is asked: what changes meanwhile must not be lost.
        self._sooner.clear()
        await self._fire_released()
        while True:
            due = await self._store.due(self._clock.now_ms(), BATCH)
            await _all([self._fire(schedule) for schedule in due])
            if len(due) < BATCH:
                break
        self._earliest = await self._store.next_due()

    async def _fire_released(self) -> None:
        """Those that waited for the end of a job."""
        while self._released:
            name = self._released.pop()
            found = await self._store.get(*name)
            if found is not None and found.waiting and not found.paused:
                await self._fire(replace(found, again_ms=None))

    async def _until_due(self) -> None:
        while not self._sooner.is_set():
            if self._earliest is None:
                await self._sooner.wait()
                return
            left = self._earliest - self._clock.now_ms()
            if left <= 0:
                return
            await first_of(self._clock, min(left, LONGEST_NAP_MS), self._sooner)

    # ------------------------------------------------------------ one schedule
    async def _fire(self, schedule: Schedule) -> None:
        now = self._clock.now_ms()
        try:
            await read_zone(schedule.time_zone)
            planned = policy.plan(schedule, now)
        except BadInput as error:  # a time zone that this installation does not know (any more)
            _warn(schedule, error)
            await self._save(policy.broken(schedule, str(error), now))
            return
        # What waits is durable before the first job is submitted: a crash forgets no time, and a start
        # later decides nothing anew.
        current = schedule if planned == schedule else await self._save(planned)
        while current is not None and current.waiting:
            if current.again_ms is not None and current.again_ms > now:
                return
            current = await self._step(current)

    async def _step(self, schedule: Schedule) -> Schedule | None:
        """Deals with one waiting fire, or with all where nothing depends on their order.

        The schedule after it; None: somebody else changed it meanwhile.
        """
        times = schedule.waiting if schedule.overlap is Overlap.ALLOW else schedule.waiting[:1]
        older = None if schedule.overlap is Overlap.ALLOW else await self._running(schedule)
        if older is not None:
            if schedule.overlap is Overlap.SKIP:
                return await self._save(policy.dropped(schedule, schedule.waiting))
            if schedule.overlap is Overlap.QUEUE_ONE:
                self._watch((schedule.namespace, schedule.name), older)
                return await self._save(policy.queued(schedule, self._clock.now_ms()))
            await self._cancel([older])
        try:
            jobs = await self._submit(schedule, [(at_ms, policy.key(schedule, at_ms)) for at_ms in times])
        except Unavailable as error:
            _warn(schedule, error)
            return await self._save(policy.postponed(schedule, str(error), self._clock.now_ms()))
        except MvmCiError as error:
            _warn(schedule, error)
            return await self._save(policy.failed(schedule, times, str(error), self._clock.now_ms()))
        return await self._record(schedule, times, jobs[-1])

    async def _record(self, schedule: Schedule, times: tuple[int, ...], job: JobId) -> Schedule | None:
        """These fires have become jobs, whatever others made of the schedule meanwhile (a pause, say)."""
        current: Schedule | None = schedule
        while current is not None and current.created_ms == schedule.created_ms:
            after = policy.fired(current, times, job)
            if await self._store.replace(after):
                return replace(after, revision=current.revision + 1)
            current = await self._store.get(schedule.namespace, schedule.name)
        return None

    async def _save(self, schedule: Schedule) -> Schedule | None:
        if not await self._store.replace(schedule):
            self._sooner.set()  # somebody else's change is looked at in the next round
            return None
        return replace(schedule, revision=schedule.revision + 1)

    async def _running(self, schedule: Schedule) -> JobId | None:
        """The schedule's last job, if it has not ended."""
        if schedule.last_job is None:
            return None
        (job,) = await self._queue.get([schedule.last_job])
        return job.id if job is not None and job.state not in FINAL else None

    # ------------------------------------------------------------ the end of a job that is waited for
    def _watch(self, name: _Name, job: JobId) -> None:
        if name not in self._watches:
            task = asyncio.create_task(self._until_ended(name, job))
            self._watches[name] = task
            task.add_done_callback(lambda _: self._watches.pop(name, None))

    async def _until_ended(self, name: _Name, job: JobId) -> None:
        with self._waiters.expect([job]) as end:
            try:
                (found,) = await self._queue.get([job])
            except Unavailable:
                return  # it is looked at again by its time
            if found is not None and found.state not in FINAL:
                await end.wait(_WATCH_S)
        self._released.add(name)
        self._sooner.set()


async def _all(fires: Sequence[Awaitable[None]]) -> None:
    """Side by side, each to its end; raises the first error."""
    for outcome in await asyncio.gather(*fires, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _warn(schedule: Schedule, error: MvmCiError) -> None:
    log.warning("schedule_not_fired", namespace=schedule.namespace, schedule=schedule.name, error=str(error))
