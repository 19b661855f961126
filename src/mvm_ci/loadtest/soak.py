"""A soak: one load for long, with what became of every job, what grew, and losses beside it."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final

import msgspec

from mvm_ci.capacity.growth import Point, grown
from mvm_ci.capacity.results import Grown, Loss, Soak, Step
from mvm_ci.domain.errors import MvmCiError, Unavailable
from mvm_ci.loadtest.bench import Bench
from mvm_ci.loadtest.books import Books
from mvm_ci.loadtest.channel import Channel
from mvm_ci.loadtest.fleet import Api
from mvm_ci.loadtest.jobs import WRONG
from mvm_ci.loadtest.together import together
from mvm_ci.ports.progress import Progress
from mvm_ci.reporting.numbers import counted
from mvm_ci.wire import api

_SWEEP_S: Final = 20.0
_FAILED: Final = 3
"""Sweeps in a row: after that nobody knows what becomes of the jobs."""
_OLD_S: Final = 90.0
"""A job is removed so long after it was submitted: longer than anybody waits for it."""
_BULK: Final = 1000
_POINTS: Final = 360
_LATE_S: Final = 120.0
"""For the last jobs to end: those of a worker that was lost go on after its lease."""
_AGAIN_S: Final = 1.0
_ID: Final = re.compile(rb'"id":"([^"]+)"')
"""In an answer to a submission; quotes within its texts have a backslash before them."""


class Soaking(msgspec.Struct, frozen=True, kw_only=True):
    """``kill_every_s``: None: no worker is killed."""

    duration_s: float
    kill_every_s: float | None = None


class WatchedChannel(Channel):
    """Keeps the books on what it sends: ``sent`` requests, and which jobs are known to have been taken."""

    def __init__(self, api_: Api, *, connections: int, answer_s: float) -> None:
        super().__init__(api_, connections=connections, answer_s=answer_s)
        self.sent = 0
        self.books = Books()

    async def send(self, request: bytes) -> bytes:
        self.sent += 1
        body = await super().send(request)
        for job in _ID.findall(body):
            self.books.taken(job.decode())
        return body


class Watch:
    """Beside a soak: looks at what its fleet uses, lists and removes what has ended, kills workers.
    ``swept``: is awaited each time it has looked at the jobs.
    """

    def __init__(
        self,
        bench: Bench,
        soaking: Soaking,
        channel: WatchedChannel,
        progress: Progress,
        swept: Callable[[], Awaitable[None]],
    ) -> None:
        self._bench = bench
        self._soaking = soaking
        self._channel = channel
        self._progress = progress
        self._swept = swept
        self._losses: list[Loss] = []
        self._points: dict[tuple[str, str], list[Point]] = {}
        self._began = time.perf_counter()
        self._turn = asyncio.Lock()
        """Held from a kill until there is another worker in its place."""

    async def run(self) -> None:
        """Until it is cancelled. Raises ``Unavailable``."""
        parts = [self._look(), self._sweep()]
        if self._soaking.kill_every_s is not None:
            parts.append(self._kill(self._soaking.kill_every_s))
        await together(*parts)

    async def rest(self) -> None:
        """Returns when no kill is under way. To be cancelled at once after that."""
        if self._turn.locked():
            self._progress.phase("waiting for a worker in the place of the one killed last", 0)
        async with self._turn:
            pass

    async def settle(self, batch: int) -> int:
        """Waits until all that was taken has ended, or two minutes; how many jobs are lost. Raises
        ``Unavailable``.
        """
        self._progress.phase("waiting for the last jobs", _LATE_S)
        deadline = time.perf_counter() + _LATE_S
        while True:
            over = time.perf_counter() > deadline
            try:
                if not await self._list(0.0) or over:
                    return self._channel.books.lost(self._channel.sent * batch)
            except Unavailable:
                if over:
                    raise
            await asyncio.sleep(_AGAIN_S)

    async def missing(self, batch: int) -> int:
        """How many jobs are lost by now: not in the list, and never ended. Raises ``Unavailable``."""
        return self._channel.books.lost(self._channel.sent * batch, await self._list(0.0))

    def grown(self) -> tuple[Grown, ...]:
        """What became of each figure of each part. Takes tens of milliseconds."""
        found = (grown(part, what, points) for (part, what), points in list(self._points.items()))
        return tuple(one for one in found if one is not None)

    def soak(self, step: Step, grown_: tuple[Grown, ...]) -> Soak:
        """What is known now. Nobody has looked for lost jobs, and effects done twice."""
        books = self._channel.books
        counts = books.counts()
        wrong = sum(one.reasons.get(WRONG, 0) for one in step.repetitions)
        return Soak(
            step=step,
            submitted=self._channel.sent * step.batch,
            completed=counts.pop("completed", 0),
            failed=counts.total(),
            lost=None,
            doubled=None,
            repeated=0,
            losses=tuple(self._losses),
            grown=grown_,
            problems=(*([f"{counted(wrong, 'job')} {WRONG}"] if wrong else []), *books.problems),
        )

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
        failed = 0
        while True:
            await asyncio.sleep(_SWEEP_S)
            try:
                await self._list(_OLD_S)
            except Unavailable as error:
                failed += 1
                if failed == _FAILED:
                    why = f"what became of the jobs cannot be told any more: {error}"
                    raise Unavailable(why) from None
            else:
                failed = 0
            await self._swept()

    async def _list(self, older_s: float) -> set[str]:
        """Writes down, and removes, what has ended of all that is older; ids of those that have not."""
        now_ms = time.time() * 1000 + self._bench.clock.ahead_ms
        before_ms = round(now_ms - older_s * 1000) if older_s else None
        which = api.JobSelection(queue=self._bench.queue, created_before_ms=before_ms)
        done: list[str] = []
        still: set[str] = set()
        async for view in self._bench.client.all_jobs(which):
            if self._channel.books.listed(view):
                done.append(view.id)
            else:
                still.add(view.id)
        for at in range(0, len(done), _BULK):
            await self._bench.client.delete_jobs(done[at : at + _BULK])
        return still

    async def _kill(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            async with self._turn:
                at_s = time.perf_counter() - self._began
                try:
                    loss = await self._bench.fleet.kill()
                except MvmCiError as error:
                    raise Unavailable(f"a worker was to be killed: {error}") from None
                back_s = None if loss.back_s is None else at_s + loss.back_s
                self._losses.append(msgspec.structs.replace(loss, at_s=at_s, back_s=back_s))
            self._progress.told(f"killed {loss.worker}")


async def beside(watch: Watch, load: Coroutine[None, None, None]) -> None:
    """Returns when ``load`` has ended, and a kill that was under way; the load is ended if the watch fails.
    Raises what either of them raises.
    """
    watching, loading = asyncio.create_task(watch.run()), asyncio.create_task(load)
    try:
        await asyncio.wait({loading, watching}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done() and not loading.done():
            await watching
        await loading
        await watch.rest()
        if watching.done():
            await watching
    finally:
        for task in (loading, watching):
            task.cancel()
        await asyncio.gather(loading, watching, return_exceptions=True)
