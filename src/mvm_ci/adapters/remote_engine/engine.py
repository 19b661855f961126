"""``RemoteEngine``: what a worker without an engine of its own has in its place.

::

    entrust ──▶ waiting ── executions ──▶ there ──▶ started ──▶ ended
                                            └── the engine, or its lease, is lost ──▶ ended, as Released

What the engine has is its own: it gets the job, and keeps its journal, with the control plane itself. This
side holds the lease, and tells it on; hears what happens; and gives back what an engine that is gone had.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import structlog

from mvm_ci.adapters.remote_engine.calls import Calls
from mvm_ci.domain.errors import MvmCiError, QueueFull, Refused, Unavailable
from mvm_ci.domain.grant import Grant
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Outcome, Released, Stopped
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import Ended, EngineEvents, OwnLease
from mvm_ci.wire import engine as w

AGAIN_MS: Final = 500
"""Between two tries to reach the engine, or to bring more to one that was full."""
REST_MS: Final = 3_000
"""The same when nothing waits for it."""
SEEN_S: Final = 0.25
"""Until the engine is told which ends were seen, if nothing was brought to it meanwhile."""
CLOSE_S: Final = 1.0
"""For the last orders to leave."""

log = structlog.get_logger()

Connect = Callable[[str], Calls]
"""The calls of the engine at an address; empty: at the one that was named."""


class RemoteEngine:
    """``slots``: jobs of this worker that compute there at once, as far as it asks for them. ``where``: the
    engine's address, for people.
    """

    def __init__(
        self, connect: Connect, *, slots: int, where: str, lease: OwnLease, events: EngineEvents, clock: Clock
    ) -> None:
        self._connect = connect
        self._slots = slots
        self._where = where
        self._lease = lease
        self._events = events
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._calls: Calls | None = None
        self._engine = ""
        self._url = ""
        self._room: w.Room | None = None
        self._waiting: dict[Placed, Grant] = {}
        self._bringing: set[Placed] = set()
        self._there: set[Placed] = set()
        self._started: set[Placed] = set()
        self._orders: list[w.Order] = []
        self._permitted_until = clock.lease_ms()
        self._answering: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._reached = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._draining = False
        self._tasks: list[asyncio.Task[None]] = []
        self._said = ""
        self._silence: asyncio.Timeout | None = None
        self._seen = self._seen_told = 0
        self._seeing: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------ as its worker sees it

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def extra(self) -> int:
        return 0 if self._room is None else self._room.extra

    @property
    def capacity(self) -> int:
        return self._slots if self._room is None else self._room.capacity

    @property
    def runners(self) -> int:
        return 0 if self._room is None else self._room.runners

    @property
    def reachable(self) -> bool:
        room = self._room
        return room is not None and room.connected and not room.draining and room.runners > 0

    async def start(self) -> None:
        """Returns when the engine was reached, however long that takes."""
        self._tasks = [
            asyncio.create_task(self._follow(), name="engine-follow"),
            asyncio.create_task(self._send(), name="engine-send"),
        ]
        await self._reached.wait()

    def entrust(self, grants: Sequence[Grant]) -> None:
        if self._draining:
            self._report([grant.placed for grant in grants], Released())
            return
        for grant in grants:
            if grant.placed not in self._there:
                self._waiting[grant.placed] = grant
        self._changed()

    def cancel(self, placed: Placed) -> None:
        self.stop(placed, cancel=True)

    def stop(self, placed: Placed, *, cancel: bool = False) -> None:
        if self._unbrought(placed):
            self._over((placed,), Stopped())
        elif self._has(placed):
            self._order(w.Stop((placed,), cancel))

    def drop(self, placements: Sequence[Placed]) -> None:
        known = [placed for placed in placements if self._has(placed)]
        brought = [placed for placed in known if not self._unbrought(placed)]
        self._forget(known)
        if brought:
            self._order(w.Drop(tuple(brought)))

    def release_waiting(self, only: Collection[Placed] | None = None) -> None:
        self._give_back(
            [placed for placed in self._among(only) if placed not in self._started], running=False
        )

    def release_all(self, only: Collection[Placed] | None = None) -> None:
        self._give_back(self._among(only), running=True)

    def _give_back(self, placements: Sequence[Placed], *, running: bool) -> None:
        self._over([placed for placed in placements if self._unbrought(placed)], Released())
        brought = tuple(placed for placed in placements if self._has(placed))
        if brought:
            self._order(w.GiveBack(brought, running))

    async def drain(self, grace_s: float) -> None:
        self._draining = True
        self.release_waiting()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._empty.wait()
        self.release_all()
        await self._empty.wait()

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in (*tasks, *filter(None, [self._answering])):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tell_seen()
        if self._calls is not None:
            orders, self._orders = self._orders, []
            with contextlib.suppress(MvmCiError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    if orders and self._room is not None:
                        await self._calls.order(orders)
            await self._calls.close()

    # ------------------------------------------------------------------ what it has

    def _has(self, placed: Placed) -> bool:
        return placed in self._there or placed in self._waiting

    def _unbrought(self, placed: Placed) -> bool:
        """Whether the engine does not know of it, and will not."""
        return placed in self._waiting and placed not in self._bringing

    def _among(self, only: Collection[Placed] | None) -> list[Placed]:
        mine = [*self._there, *self._waiting]
        return mine if only is None else [placed for placed in only if self._has(placed)]

    def _changed(self) -> None:
        if self._there or self._waiting:
            self._empty.clear()
        else:
            self._empty.set()
        self._wake.set()

    def _order(self, order: w.Order) -> None:
        self._orders.append(order)
        self._wake.set()

    def _forget(self, placements: Iterable[Placed]) -> None:
        for placed in placements:
            self._waiting.pop(placed, None)
            self._there.discard(placed)
            self._started.discard(placed)
        self._changed()

    def _over(self, placements: Sequence[Placed], outcome: Outcome) -> None:
        self._forget(placements)
        self._report(placements, outcome)

    def _report(self, placements: Sequence[Placed], outcome: Outcome) -> None:
        if placements:
            # Not at once: whoever is just giving an order does not expect to hear of it.
            ends = [Ended(placed=placed, outcome=outcome) for placed in placements]
            self._loop.call_soon(self._events.ended, ends)

    # ------------------------------------------------------------------ from the engine

    async def _follow(self) -> None:
        while True:
            try:
                await self._listen(await self._reach())
            except Refused as error:
                self._say("engine_refuses_us", error)
            except Unavailable as error:
                self._say("engine_not_reached", error)
            self._room = None
            await self._judge()
            await self._clock.sleep(AGAIN_MS if self._there or self._waiting else REST_MS)

    async def _listen(self, calls: Calls) -> None:
        """Until the stream ends, or has been silent for too long. Always raises."""
        try:
            async with asyncio.timeout(None) as silence, contextlib.aclosing(calls.events()) as coming:
                self._silence = silence
                self._heard()
                async for events in coming:
                    self._said = ""
                    for event in events:
                        self._hear(event)
                    self._heard()
        except TimeoutError:
            raise Unavailable("it says nothing any more") from None
        finally:
            self._silence = None

    def _heard(self) -> None:
        """It lives; or it has more to say from now on."""
        if self._silence is not None:
            every_ms = w.SAY_BUSY_MS if self._there else w.SAY_MS
            self._silence.reschedule(self._loop.time() + w.SILENCES * every_ms / 1000)

    async def _reach(self) -> Calls:
        """The calls of an engine: the one that has what we brought, if any."""
        if self._calls is None:
            self._calls = self._connect(self._url)
        room = await self._calls.room()
        if room.url and room.url != self._url:
            # Behind one address there may be many: from here on this one is asked itself.
            await self._calls.close()
            self._calls, self._url = self._connect(room.url), room.url
            room = await self._calls.room()
        if room.engine != self._engine:
            self._lose("another process answers in its place")
            self._engine = room.engine
            self._seen = self._seen_told = 0
        return self._calls

    def _say(self, event: str, error: Exception) -> None:
        text = str(error)
        if text != self._said:
            self._said = text
            log.warning(event, engine=self._url or self._where, error=text, placements=len(self._there))

    async def _judge(self) -> None:
        """Once our last word on the lease is over it lets nothing leave: what it had can go on elsewhere."""
        if self._clock.lease_ms() < self._permitted_until:
            return
        self._lose("it is not reached")
        self._over([placed for placed in self._waiting if placed not in self._bringing], Released())
        if self._url and self._calls is not None:
            await self._calls.close()
            self._calls, self._url = None, ""

    def _lose(self, why: str) -> None:
        if self._there:
            log.warning("engine_lost", engine=self._url or self._where, why=why, placements=len(self._there))
            self._over(list(self._there), Released())
        self._orders.clear()
        self._permitted_until = self._clock.lease_ms()

    def _hear(self, event: w.Event) -> None:
        match event:
            case w.Room():
                first = self._room is None
                self._room = event
                if first:
                    log.info("engine_reached", engine=self._url or self._where, version=event.version)
                    self._reached.set()
                self._events.slots_freed()
                self._wake.set()
            case w.Has(placements):
                self._compare(placements)
            case w.LeaseWanted(number):
                if self._answering is not None:
                    self._answering.cancel()
                self._answering = asyncio.create_task(self._answer(number), name="engine-lease")
            case w.Started(placements):
                begun = [placed for placed in placements if self._has(placed)]
                self._started.update(begun)
                self._events.started(begun)
            case w.Ended(number):
                self._hear_ends(event)
                self._see(number)

    def _hear_ends(self, event: w.Ended) -> None:
        ends = [
            Ended(placed=item.placed, outcome=item.outcome, tail=item.tail, run_ns=run_ns)
            for item, run_ns in zip(event.items, event.run_ns, strict=True)
            if self._has(item.placed)
        ]
        self._forget(end.placed for end in ends)
        self._events.ended(ends)

    def _see(self, number: int) -> None:
        """What is brought next says so, too: an order of its own is for when nothing is."""
        self._seen = number
        if self._seeing is None:
            self._seeing = self._loop.call_later(SEEN_S, self._tell_seen)

    def _tell_seen(self) -> None:
        if self._seeing is not None:
            self._seeing.cancel()
            self._seeing = None
        if self._seen > self._seen_told:
            self._seen_told = self._seen
            self._order(w.Seen(self._seen))

    def _compare(self, placements: Collection[Placed]) -> None:
        """What it has, and what we think it has: either may have been away."""
        has = set(placements)
        self._over([placed for placed in self._there if placed not in has], Released())
        foreign = [placed for placed in placements if not self._has(placed)]
        if foreign:
            self._order(w.Drop(tuple(foreign)))

    async def _answer(self, number: int) -> None:
        await self._lease.until_valid()
        left_ms = self._lease.left_ms()
        # From now on it may let effects leave for so long, or less: it counts from when it asked.
        self._permitted_until = max(self._permitted_until, self._clock.lease_ms() + left_ms)
        self._order(w.Lease(number, left_ms))

    # ------------------------------------------------------------------ to the engine

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._room is None or self._calls is None:
                continue  # it is woken once the engine is there
            try:
                await self._send_orders(self._calls)
                if self._waiting and self.reachable:
                    await self._bring(self._calls)
            except QueueFull as error:
                log.info("engine_full", engine=self._url or self._where, reason=str(error))
                self._loop.call_later(AGAIN_MS / 1000, self._wake.set)
            except (Refused, Unavailable) as error:
                self._say("engine_call_failed", error)
                self._loop.call_later(AGAIN_MS / 1000, self._wake.set)

    async def _send_orders(self, calls: Calls) -> None:
        while self._orders:
            orders = self._orders
            self._orders = []
            try:
                await calls.order(orders)
            except (Refused, Unavailable):
                # An answer about the lease is of no use later.
                kept: list[w.Order] = [order for order in orders if not isinstance(order, w.Lease)]
                self._orders = kept + self._orders
                raise

    async def _bring(self, calls: Calls) -> None:
        grants = list(self._waiting.values())[: w.MAX_GRANTS]
        self._bringing = {grant.placed for grant in grants}
        try:
            seen = self._seen
            taken = await calls.place(grants, seen)
            self._seen_told = max(self._seen_told, seen)
        finally:
            self._bringing = set()
        for grant in grants[: taken.taken]:
            # It may have ended, or been dropped, meanwhile.
            if self._waiting.pop(grant.placed, None) is not None:
                self._there.add(grant.placed)
        if taken.engine != self._engine:
            self._lose("another one took what we brought")
        self._heard()
        if taken.full:
            raise QueueFull(taken.full)
        self._changed()
