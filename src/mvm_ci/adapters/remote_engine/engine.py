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
from mvm_ci.adapters.remote_engine.hearing import Seen, Silence
from mvm_ci.adapters.remote_engine.held import Held
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
CUT_OFF_MS: Final = 20_000
"""An engine that has no session with the control plane for so long, while we have, keeps nothing of ours."""
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
        self._held = Held()
        self._there_before: frozenset[Placed] = frozenset()
        """What it had before it was asked what it has."""
        self._cut_off_since: int | None = None
        self._orders: list[w.Order] = []
        self._permitted_until = clock.lease_ms()
        self._answering: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._reached = asyncio.Event()
        self._draining = False
        self._tasks: list[asyncio.Task[None]] = []
        self._said = ""
        self._silence = Silence()
        self._seen = Seen(self._order)

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
        self._held.add(grants)
        self._wake.set()

    def cancel(self, placed: Placed) -> None:
        self.stop(placed, cancel=True)

    def stop(self, placed: Placed, *, cancel: bool = False) -> None:
        if placed not in self._held:
            return
        if placed in self._held.there:
            self._order(w.Stop((placed,), cancel))
        elif self._held.unbrought(placed) and not (cancel and self.reachable):
            self._over_here((placed,), Stopped())
        else:  # a guest that is cancelled may have begun in an earlier placement, and then cleans up
            self._held.wish_stop(placed, cancel=cancel)

    def drop(self, placements: Sequence[Placed]) -> None:
        known = [placed for placed in placements if placed in self._held]
        doubtful = self._held.doubtful
        brought = [placed for placed in known if placed in doubtful or not self._held.unbrought(placed)]
        self._forget(known)
        if brought:
            self._order(w.Drop(tuple(brought)))

    def release_waiting(self, only: Collection[Placed] | None = None) -> None:
        waiting = [placed for placed in self._held.among(only) if placed not in self._held.started]
        self._give_back(waiting, running=False)

    def release_all(self, only: Collection[Placed] | None = None) -> None:
        self._give_back(self._held.among(only), running=True)

    def _give_back(self, placements: Sequence[Placed], *, running: bool) -> None:
        self._over_here([placed for placed in placements if self._held.unbrought(placed)], Released())
        there = tuple(placed for placed in placements if placed in self._held.there)
        for placed in self._held.waiting.keys() & placements:
            self._held.wish_back(placed, running=running)
        if there:
            self._order(w.GiveBack(there, running))

    async def drain(self, grace_s: float) -> None:
        self._draining = True
        self.release_waiting()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._held.empty.wait()
        self.release_all()
        await self._held.empty.wait()

    async def close(self) -> None:
        tasks = [*self._tasks, *filter(None, [self._answering])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._seen.tell()
        if self._calls is not None:
            orders, self._orders = self._orders, []
            with contextlib.suppress(MvmCiError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    if orders and self._room is not None:
                        await self._calls.order(orders)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self._calls.close()

    # ------------------------------------------------------------------ what it has

    def _order(self, order: w.Order) -> None:
        self._orders.append(order)
        self._wake.set()

    def _forget(self, placements: Iterable[Placed]) -> None:
        self._held.forget(placements)
        self._wake.set()

    def _over(self, placements: Sequence[Placed], outcome: Outcome) -> None:
        self._forget(placements)
        self._report(placements, outcome)

    def _over_here(self, placements: Sequence[Placed], outcome: Outcome) -> None:
        """The same for what the engine does not have, as far as we know."""
        doubtful = tuple(placed for placed in placements if placed in self._held.doubtful)
        self._over(placements, outcome)
        if doubtful:
            self._order(w.Drop(doubtful))

    def _report(self, placements: Sequence[Placed], outcome: Outcome) -> None:
        if placements:
            # Not at once: whoever is just giving an order does not expect to hear of it.
            ends = [Ended(placed=placed, outcome=outcome) for placed in placements]
            self._loop.call_soon(self._events.ended, ends)

    # ------------------------------------------------------------------ from the engine

    async def _follow(self) -> None:
        while True:
            try:
                calls = await self._reach()
                self._there_before = frozenset(self._held.there)
                async with self._silence.limited(), contextlib.aclosing(calls.events()) as coming:
                    async for events in coming:
                        self._said = ""
                        for event in events:
                            self._hear(event)
                        self._silence.heard(busy=bool(self._held.there))
                        await self._leave_cut_off(calls)
            except Refused as error:
                self._say("engine_refuses_us", error)
            except Unavailable as error:
                self._say("engine_not_reached", error)
            except Exception:  # else nobody would ever try again
                log.exception("engine_not_followed", engine=self._url or self._where)
            self._room = None
            await self._judge()
            await self._clock.sleep(AGAIN_MS if self._held else REST_MS)

    async def _reach(self) -> Calls:
        """The calls of an engine: the one that has what we brought, if any."""
        if self._calls is None:
            self._calls = self._connect(self._url)
        room = await self._calls.room()
        if room.url and room.url != self._url:
            # Behind one address there may be many: from here on this one is asked itself.
            door, self._calls, self._url = self._calls, self._connect(room.url), room.url
            await door.close()
            room = await self._calls.room()
        self._is(room.engine)
        return self._calls

    def _is(self, engine: str) -> None:
        """This process answers now."""
        if engine != self._engine:
            self._lose("another process answers in its place")
            self._engine = engine
            self._seen.begin()

    async def _leave_cut_off(self, calls: Calls) -> None:
        """What an engine has that reached no control plane for long, while we did, can go on elsewhere."""
        now = self._clock.lease_ms()
        if self._room is None or self._room.connected or not self._lease.valid():
            self._cut_off_since = None
        elif self._cut_off_since is None:
            self._cut_off_since = now
        elif now - self._cut_off_since >= CUT_OFF_MS and self._held:
            lost = list(self._held.there)
            log.warning("engine_cut_off", engine=self._url or self._where, placements=len(lost))
            self._over_here(self._held.all_unbrought, Released())
            await calls.order([w.Drop(tuple(lost))])
            # From its answer on it lets nothing of them leave.
            self._over([placed for placed in lost if placed in self._held.there], Released())

    def _say(self, event: str, error: Exception) -> None:
        """The same only once, until the engine was there again."""
        if (text := str(error)) != self._said:
            self._said = text
            log.warning(event, engine=self._url or self._where, error=text, placements=len(self._held.there))

    async def _judge(self) -> None:
        """Once our last word on the lease is over it lets nothing leave: what it had can go on elsewhere."""
        if self._clock.lease_ms() < self._permitted_until:
            return
        self._lose("it is not reached")
        self._over_here(self._held.all_unbrought, Released())
        if self._url and self._calls is not None:
            await self._calls.close()
            self._calls, self._url = None, ""

    def _lose(self, why: str) -> None:
        if self._held.there:
            log.warning(
                "engine_lost", engine=self._url or self._where, why=why, placements=len(self._held.there)
            )
            self._over(list(self._held.there), Released())
        self._orders.clear()
        self._permitted_until = self._clock.lease_ms()

    def _hear(self, event: w.Event) -> None:
        match event:
            case w.Room():
                first = self._room is None
                self._is(event.engine)
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
                begun = [placed for placed in placements if placed in self._held]
                self._held.started.update(begun)
                for wish in self._held.came(begun):
                    self._order(wish)
                self._events.started(begun)
            case w.Ended(number):
                self._hear_ends(event)
                self._seen.end(number)

    def _hear_ends(self, event: w.Ended) -> None:
        ends = [
            Ended(placed=item.placed, outcome=item.outcome, tail=item.tail, run_ns=run_ns)
            for item, run_ns in zip(event.items, event.run_ns, strict=True)
            if item.placed in self._held
        ]
        self._forget(end.placed for end in ends)
        self._events.ended(ends)

    def _compare(self, placements: Collection[Placed]) -> None:
        """What it has, and what we think it has: either may have been away."""
        self._over(list((self._held.there & self._there_before).difference(placements)), Released())
        foreign = [placed for placed in placements if placed not in self._held]
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
                if self._held.waiting and self.reachable:
                    await self._bring(self._calls)
                elif self._held.waiting and _drains(self._room):
                    self._over_here(self._held.all_unbrought, Released())  # elsewhere they need not wait
                continue
            except QueueFull as error:
                log.info("engine_full", engine=self._url or self._where, reason=str(error))
            except (Refused, Unavailable) as error:
                self._say("engine_call_failed", error)
            except Exception:  # else nothing would ever be sent again
                log.exception("engine_not_told", engine=self._url or self._where)
            self._loop.call_later(AGAIN_MS / 1000, self._wake.set)

    async def _send_orders(self, calls: Calls) -> None:
        while self._orders:
            orders, engine = self._orders, self._engine
            self._orders = []
            try:
                await calls.order(orders)
            except (Refused, Unavailable):
                # An answer about the lease is of no use later; nothing is, to another process.
                kept: list[w.Order] = [order for order in orders if not isinstance(order, w.Lease)]
                self._orders = (kept if engine == self._engine else []) + self._orders
                raise

    async def _bring(self, calls: Calls) -> None:
        grants = self._held.bring(w.MAX_GRANTS)
        taken: Sequence[Grant] | None = None
        try:
            seen = self._seen.number
            answer = await calls.place(grants, seen)
            self._seen.told(seen)
            taken = grants[: answer.taken]
        except QueueFull:
            taken = ()
            raise
        finally:
            for placed, wish in self._held.brought(taken):
                if placed in self._held.there:
                    self._order(wish)
                else:
                    self._over_here((placed,), Stopped() if isinstance(wish, w.Stop) else Released())
        if answer.engine != self._engine:
            self._lose("another one took what we brought")
        self._silence.heard(busy=bool(self._held.there))
        if answer.full:
            raise QueueFull(answer.full)
        self._wake.set()  # there may be more


def _drains(room: w.Room | None) -> bool:
    return room is not None and room.draining
