"""An engine that speaks HTTP and whose every answer a test writes, and a worker's way to it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar

import msgspec

from mvm_ci.adapters.remote_engine.calls import Calls
from mvm_ci.adapters.remote_engine.engine import AGAIN_MS, REST_MS, RemoteEngine
from mvm_ci.adapters.remote_engine.tcp import engine_at
from mvm_ci.domain.grant import Grant
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed, Outcome
from mvm_ci.peer.lease import SessionLease
from mvm_ci.ports.engine import Ended
from mvm_ci.serving.exchange import Exchange
from mvm_ci.serving.problems import PROBLEM, problem
from mvm_ci.serving.server import ApiServer
from mvm_ci.testing.clock import FakeClock
from mvm_ci.wire import engine as w
from mvm_ci.wire.messages import EndedItem

CLIENT = "c" * 32
PATIENCE_S = 10.0
LEASE_MS = 10_000
USABLE_MS = LEASE_MS - LEASE_MS // 10
T = TypeVar("T")
_encode = msgspec.json.Encoder().encode
_place = msgspec.json.Decoder(w.Place)
_orders = msgspec.json.Decoder(tuple[w.Order, ...])


def placed(job: int, epoch: int = 1) -> Placed:
    return Placed(JobId(job), epoch)


def grant(job: int) -> Grant:
    return Grant(placed(job), bytes(24))


class Stream:
    """A worker's stream of events. ``over``: it has been given up."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.over = asyncio.Event()

    def say(self, *events: w.Event) -> None:
        self.raw(b"".join(_encode(event) + b"\n" for event in events))

    def raw(self, data: bytes) -> None:
        self.queue.put_nowait(data)

    def end(self) -> None:
        self.queue.put_nowait(None)


class ScriptedEngine:
    """``brought``, ``orders``, ``streams``: what comes, in order. ``may_answer``: cleared, it holds back the
    answers to what is brought. ``full``: 429 says this; ``breaks``: requests of this kind get no answer.
    """

    def __init__(self) -> None:
        self.name = "e" * 32
        self.url = ""
        self.brought: asyncio.Queue[list[Placed]] = asyncio.Queue()
        self.orders: asyncio.Queue[w.Order] = asyncio.Queue()
        self.streams: asyncio.Queue[Stream] = asyncio.Queue()
        self.tokens: list[bytes | None] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.full = ""
        self.most = 1_000
        self.breaks: set[str] = set()
        self.refuses = False
        self.connected = True
        self.draining = False
        self.server: ApiServer

    async def start(self, port: int = 0) -> None:
        self.server = ApiServer(self, "127.0.0.1", port, 0.0)
        await self.server.start()

    @property
    def port(self) -> int:
        return int(self.server.url.rpartition(":")[2])

    def room(self, **changes: Any) -> w.Room:
        said = {"connected": self.connected, "draining": self.draining, "url": self.url}
        return w.Room(self.name, 2, 64, 1, **said | changes)  # type: ignore[arg-type]

    async def __call__(self, exchange: Exchange) -> None:
        self.tokens.append(exchange.headers.get(b"authorization"))
        what = exchange.path.rpartition("/")[2]
        if what in self.breaks:
            raise ConnectionResetError
        if self.refuses:
            exchange.reply(401, problem(401, "refused", "the token is not this engine's"), PROBLEM)
        elif what == "engine":
            exchange.reply(200, _encode(self.room()), b"application/json")
        elif what == "events":
            await self._stream(exchange)
        elif what == "executions":
            await self._take(exchange)
        else:
            for order in _orders.decode(await exchange.body(w.MAX_ORDERS)):
                self.orders.put_nowait(order)
            exchange.reply(200, b"{}", b"application/json")

    async def _stream(self, exchange: Exchange) -> None:
        exchange.begin(b"application/x-ndjson")
        stream = Stream()
        self.streams.put_nowait(stream)
        try:
            while (data := await stream.queue.get()) is not None:
                await exchange.piece(data)
        finally:
            stream.over.set()
        exchange.end()

    async def _take(self, exchange: Exchange) -> None:
        grants = _place.decode(await exchange.body(w.MAX_ORDERS)).grants
        self.brought.put_nowait([one.placed for one in grants])
        await self.may_answer.wait()
        if "answer" in self.breaks:
            raise ConnectionResetError
        if self.full:
            exchange.reply(429, problem(429, "queue-full", self.full), PROBLEM)
            return
        taken = min(len(grants), self.most)
        full = "" if taken == len(grants) else "so many"
        exchange.reply(200, _encode(w.Taken(self.name, taken, full)), b"application/json")


class Told:
    """``EngineEvents``: what the worker hears."""

    def __init__(self) -> None:
        self.begun: list[Placed] = []
        self.over: dict[Placed, Outcome] = {}
        self.looks = 0
        self._more = asyncio.Event()

    def started(self, placements: Sequence[Placed]) -> None:
        self.begun += placements
        self._more.set()

    def ended(self, ended: Sequence[Ended]) -> None:
        for end in ended:
            assert end.placed not in self.over, "an end was told twice"
            self.over[end.placed] = end.outcome
        self._more.set()

    def slots_freed(self) -> None:
        self.looks += 1
        self._more.set()

    async def until(self, fact: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not fact():
                self._more.clear()
                await self._more.wait()


class Way:
    """A worker's ``RemoteEngine``, and what happens at either end."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.engine = ScriptedEngine()
        self.told = Told()
        self.lease = SessionLease(self.clock)
        self.token: str | None = None
        self.token_error: Exception | None = None
        self.made: list[str] = []
        self.remote: RemoteEngine
        self.stream: Stream

    async def _read(self) -> str | None:
        if self.token_error is not None:
            raise self.token_error
        return self.token

    def _connect(self, url: str) -> Calls:
        self.made.append(url)
        http = engine_at(url or self.engine.server.url, ssl.create_default_context())
        return Calls(http, CLIENT, self._read)

    def make(self) -> None:
        self.remote = RemoteEngine(
            self._connect, slots=2, where="there", lease=self.lease, events=self.told, clock=self.clock
        )

    async def open(self) -> None:
        """The engine was reached, and said what there is."""
        starting = asyncio.create_task(self.remote.start())
        await self.next_stream()
        async with asyncio.timeout(PATIENCE_S):
            await starting

    async def next_stream(self, *has: Placed) -> Stream:
        """The next stream of events, which tells that the engine has these."""
        self.stream = await self.soon(self.engine.streams.get())
        looks = self.told.looks
        self.stream.say(self.engine.room(), w.Has(has))
        await self.told.until(lambda: self.told.looks > looks)
        return self.stream

    async def soon(self, waiting: Any) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            return await waiting

    async def order(self, kind: type[T]) -> T:
        """The next order, which is of this kind."""
        found = await self.soon(self.engine.orders.get())
        assert isinstance(found, kind), found
        return found

    async def there(self, *jobs: int) -> None:
        """These are at the engine."""
        self.remote.entrust([grant(job) for job in jobs])
        left = {placed(job) for job in jobs}
        while left:
            left -= set(await self.soon(self.engine.brought.get()))
        # Said after the answer to what was brought: once this is heard, that was.
        await self.begun(*jobs)

    async def begun(self, *jobs: int) -> None:
        self.stream.say(w.Started(tuple(placed(job) for job in jobs)))
        await self.told.until(lambda: all(placed(job) in self.told.begun for job in jobs))

    async def is_there(self, job: int = 999) -> None:
        """The answer to what was brought before has come: one more is brought."""
        self.remote.entrust([grant(job)])
        assert placed(job) in await self.soon(self.engine.brought.get())

    async def ended(self, *jobs: int) -> dict[Placed, Outcome]:
        """How these ended."""
        await self.told.until(lambda: all(placed(job) in self.told.over for job in jobs))
        return self.told.over

    async def lost(self) -> None:
        """The stream has ended, and the worker pauses before it looks again."""
        sleeping = self.clock.sleeping
        self.stream.end()
        await self.soon(self.clock.until_sleeping(sleeping + 1))

    async def again(self) -> None:
        """It looks again."""
        await self.clock.advance(max(AGAIN_MS, REST_MS))

    async def permit(self, left_ms: int = LEASE_MS) -> int:
        """The worker's lease is renewed, and the engine told of it: for how long."""
        self.lease.renew(self.clock.lease_ms(), left_ms)
        self.stream.say(w.LeaseWanted(1))
        return (await self.order(w.Lease)).left_ms


def end(job: int, number: int = 1, outcome: Outcome | None = None) -> w.Ended:
    return w.Ended(number, (EndedItem(placed(job), outcome or Completed(b"1"), None),), (1_000,))


@contextlib.asynccontextmanager
async def way() -> AsyncIterator[Way]:
    made = Way()
    await made.engine.start()
    made.make()
    try:
        yield made
    finally:
        await made.remote.close()
        await made.engine.server.stop()
