"""A soak: one load for long, with what became of every job, what grew, and losses beside it."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Final

import msgspec

from mvm_ci.capacity.growth import Point, grown
from mvm_ci.capacity.results import Grown, Loss, Soak, Step
from mvm_ci.domain.errors import Unavailable
from mvm_ci.loadtest.bench import Bench
from mvm_ci.loadtest.books import Books
from mvm_ci.loadtest.channel import Channel
from mvm_ci.loadtest.fleet import Progress
from mvm_ci.loadtest.stub import Counts
from mvm_ci.wire import api

_SWEEP_S: Final = 20.0
_OLD_S: Final = 90.0
"""A job is removed so long after it was submitted: longer than anybody waits for it."""
_BULK: Final = 1000
_POINTS: Final = 360
_LATE_S: Final = 120.0
"""For the last jobs to end: those of a worker that was lost go on after its lease."""
_AGAIN_S: Final = 1.0


class Soaking(msgspec.Struct, frozen=True, kw_only=True):
    """``kill_every_s``: None: no worker is killed."""

    duration_s: float
    kill_every_s: float | None = None


class WatchedChannel(Channel):
    """Counts what it sent, and what it knows to have been taken."""

    sent = 0
    answered = 0

    async def send(self, request: bytes) -> bytes:
        self.sent += 1
        body = await super().send(request)
        self.answered += 1
        return body


class Watch:
    """Beside a soak: looks at what its fleet uses, lists and removes what has ended, kills workers."""

    def __init__(self, bench: Bench, soaking: Soaking, progress: Progress) -> None:
        self.books = Books()
        self.losses: list[Loss] = []
        self._bench = bench
        self._soaking = soaking
        self._progress = progress
        self._points: dict[tuple[str, str], list[Point]] = {}
        self._began = time.perf_counter()

    async def run(self) -> None:
        """Until it is cancelled. Raises ``Unavailable``."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look())
            group.create_task(self._sweep())
            if self._soaking.kill_every_s is not None:
                group.create_task(self._kill(self._soaking.kill_every_s))

    async def settle(self, batch: int, channel: WatchedChannel) -> int:
        """Waits until all that was taken has ended; how many jobs are lost. Raises ``Unavailable``."""
        self._progress.phase("waiting for the last jobs", _LATE_S)
        deadline = time.perf_counter() + _LATE_S
        while await self._list(0.0):
            if time.perf_counter() > deadline:
                break
            await asyncio.sleep(_AGAIN_S)
        return self.books.lost(channel.answered * batch, channel.sent * batch)

    def grown(self) -> tuple[Grown, ...]:
        """What became of each figure of each part."""
        found = (grown(part, what, points) for (part, what), points in self._points.items())
        return tuple(one for one in found if one is not None)

    async def _look(self) -> None:
        every_s = max(1.0, self._soaking.duration_s / _POINTS)
        while True:
            at_s = time.perf_counter() - self._began
            for sample in await self._bench.fleet.samples():
                figures = {"memory": sample.memory_mb, "open files": sample.files, "disk": sample.disk_mb}
                for what, value in figures.items():
                    if value:
                        self._points.setdefault((sample.part, what), []).append((at_s, value))
            await asyncio.sleep(every_s)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            await self._list(_OLD_S)

    async def _list(self, older_s: float) -> int:
        """Writes down, and removes, what has ended of all that is older; how many have not ended."""
        now_ms = time.time() * 1000 + self._bench.clock.ahead_ms
        before_ms = round(now_ms - older_s * 1000) if older_s else None
        which = api.JobSelection(queue=self._bench.queue, created_before_ms=before_ms)
        done: list[str] = []
        still = 0
        async for view in self._bench.client.all_jobs(which):
            if self.books.listed(view):
                done.append(view.id)
            else:
                still += 1
        for at in range(0, len(done), _BULK):
            await self._bench.client.delete_jobs(done[at : at + _BULK])
        return still

    async def _kill(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            at_s = time.perf_counter() - self._began
            loss = msgspec.structs.replace(await self._bench.fleet.kill(), at_s=at_s)
            if loss.back_s is not None:
                loss = msgspec.structs.replace(loss, back_s=at_s + loss.back_s)
            self.losses.append(loss)
            self._progress.told(f"killed {loss.worker}")


async def beside(watch: Watch, load: Coroutine[None, None, None]) -> None:
    """Returns when ``load`` does; it is ended if the watch fails. Raises what either of them raises."""
    watching, loading = asyncio.create_task(watch.run()), asyncio.create_task(load)
    try:
        await asyncio.wait({loading, watching}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done() and not loading.done():
            raise Unavailable(f"what became of the jobs cannot be told any more: {_first(watching)}")
        await loading
    finally:
        for task in (loading, watching):
            task.cancel()
        await asyncio.gather(loading, watching, return_exceptions=True)


def _first(ended: asyncio.Task[None]) -> BaseException | None:
    error = ended.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def soak_of(
    step: Step, watch: Watch, channel: WatchedChannel, lost: int, before: Counts, after: Counts
) -> Soak:
    """All that was found."""
    counts = watch.books.counts()
    completed = counts.pop("completed", 0)
    return Soak(
        step=step,
        submitted=channel.sent * step.batch,
        completed=completed,
        failed=counts.total(),
        lost=lost,
        doubled=after.doubled - before.doubled,
        repeated=after.repeated - before.repeated,
        losses=tuple(watch.losses),
        grown=watch.grown(),
        problems=tuple(watch.books.problems),
    )
