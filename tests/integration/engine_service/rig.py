"""A real engine's service with a real pool; the control plane is a test, the network is in memory."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from mvm_ci.adapters.system import SystemClock
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.grant import Grant, PeerRole
from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import JobSpec, Placed
from mvm_ci.engine.pool import EnginePool
from mvm_ci.engine.service.host import EngineHost, ServiceSettings
from mvm_ci.engine.settings import PoolSettings
from mvm_ci.peer.backoff import Backoff
from mvm_ci.peer.parts import PeerParts, Surroundings
from mvm_ci.peer.settings import PeerSettings
from mvm_ci.ports.engine import Engine, EngineEvents, Lease
from mvm_ci.testing.transport import MemoryNetwork, MemoryTransport
from mvm_ci.wire import engine as w
from mvm_ci.wire import messages as m
from tests.integration.engine.fake_guests import script
from tests.integration.engine.fakes import FAKE_RUNTIME, Http, Payloads
from tests.integration.worker.scripted import FakeCompiler, Peer, done

TOKEN = "the token of the engine"
ONE, TWO = "1" * 32, "2" * 32
PATIENCE_S = 30.0
INPUT = script(["echo", 7])
SPEC = JobSpec(module=Digest("ab" * 32), input=INPUT)
T = TypeVar("T")
_event = msgspec.json.Decoder(w.Event)


def grant(job: int) -> Grant:
    return Grant(Placed(JobId(job), 1), bytes(24))


class Follower:
    """A worker's way to the engine: its stream of events, and calls."""

    def __init__(self, http: httpx.AsyncClient, name: str = ONE) -> None:
        self.http = http
        self.name = name
        self.heard: list[w.Event] = []
        self._more = asyncio.Event()
        self.over = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def follow(self) -> w.Has:
        """A stream begins: what the engine has."""
        self.heard, self.over = [], asyncio.Event()
        self._reading = asyncio.create_task(self._read(self.over, self.heard))
        return await self.hear(w.Has)

    async def _read(self, over: asyncio.Event, heard: list[w.Event]) -> None:
        with contextlib.suppress(httpx.HTTPError):
            async with self.http.stream("GET", f"/v1/clients/{self.name}/events") as answer:
                assert answer.status_code == 200, await answer.aread()
                async for line in answer.aiter_lines():
                    heard.append(_event.decode(line))
                    self._more.set()
        over.set()

    async def hear(self, kind: type[T], fact: Callable[[T], bool] = lambda _: True) -> T:
        """The next event of a kind for which ``fact`` holds."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for event in self.heard:
                    if isinstance(event, kind) and fact(event):
                        self.heard.remove(event)
                        return event
                self._more.clear()
                await self._more.wait()

    async def call(self, what: str, body: Any) -> httpx.Response:
        data = msgspec.json.encode(body)
        return await self.http.post(f"/v1/clients/{self.name}/{what}", content=data)

    async def bring(self, *grants: Grant) -> httpx.Response:
        return await self.call("executions", w.Place(grants))

    async def order(self, *orders: w.Order) -> None:
        answer = await self.call("orders", orders)
        assert answer.status_code == 200, answer.text

    async def lend(self, left_ms: int) -> None:
        """Answers the next question about the lease."""
        question = await self.hear(w.LeaseWanted)
        await self.order(w.Lease(question.number, left_ms))

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self.http.aclose()


class Service:
    """``plane``: the engine's session, as the control plane sees it."""

    def __init__(self, directory: Path, stack: contextlib.AsyncExitStack) -> None:
        self.directory = directory
        self.transport: Any = MemoryTransport(MemoryNetwork())
        self.control: Any = None
        self.host: EngineHost
        self.running: asyncio.Task[None]
        self.plane: Peer
        self.url = ""
        self.said: asyncio.Queue[m.FromWorker] = asyncio.Queue()
        self.web = Http()
        self._stack = stack

    async def start(self, *, tls: ssl.SSLContext | None = None, slots: int = 1, grace_s: float = 0.0) -> None:
        self.control = await self.transport.bind(secret_key=b"c" * 32, address="127.0.0.1:0", alpns=[m.ALPN])
        settings = PeerSettings(
            state_dir=self.directory / "state",
            name="engine",
            bind="127.0.0.1:0",
            ticket=self.control.ticket(),
            grace_s=grace_s,
            role=PeerRole.ENGINE,
        )
        service = ServiceSettings(lambda: TOKEN, host="127.0.0.1", tls=tls)
        around = Surroundings(
            self.transport, FakeCompiler(), SystemClock(), backoff=lambda: Backoff(lambda: 0.0)
        )

        async def pool(parts: PeerParts, lease: Lease, events: EngineEvents) -> Engine:
            runners = self.directory / "runners"
            await asyncio.to_thread(runners.mkdir)
            await asyncio.to_thread((self.directory / "module").write_bytes, b"")
            return EnginePool(
                PoolSettings(worker="engine", directory=runners, slots=slots, runtime=FAKE_RUNTIME),
                journal=parts.holder.outbox,
                plane=parts.holder.outbox.asks,
                lease=lease,
                payloads=Payloads(self.directory / "module"),
                artifacts=parts.artifacts,
                http=self.web,
                events=events,
                clock=SystemClock(),
            )

        self.host = EngineHost(settings, service, around, pool)
        self.running = asyncio.create_task(self.host.run())
        self._stack.push_async_callback(self.stop)
        async with asyncio.timeout(PATIENCE_S):
            self.plane = await self.session()
            self.url = await asyncio.shield(self.host.serving)

    async def session(self, *keep: Placed) -> Peer:
        """The engine's next connection, with a session."""
        connection = await self.control.accept()
        peer = Peer(connection, await connection.accept())
        hello = await peer.expect(m.Hello)
        assert hello.role is PeerRole.ENGINE
        await peer.send(m.Welcome(m.PROTOCOL, SessionId(1), 60_000, 20_000, "test", keep))
        self.said = asyncio.Queue()
        pumping = asyncio.create_task(self._pump(peer, self.said))
        self._stack.callback(pumping.cancel)
        return peer

    async def _pump(self, peer: Peer, said: "asyncio.Queue[m.FromWorker]") -> None:
        """Every append is durable at once; the rest is for the test."""
        with contextlib.suppress(Unavailable):
            while True:
                message = await peer.receive()
                if isinstance(message, m.Append):
                    await peer.send(done(len(message.items)))
                else:
                    said.put_nowait(message)

    async def expect(self, kind: type[T]) -> T:
        """The next message of this kind; others before it are passed over."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = await self.said.get()
                if isinstance(message, kind):
                    return message

    async def stop(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        await self.control.close()

    def client(self, token: str | None = TOKEN, **options: Any) -> httpx.AsyncClient:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        made = httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False, timeout=30, **options)
        self._stack.push_async_callback(made.aclose)
        return made

    async def follower(self, name: str = ONE) -> Follower:
        """One that follows."""
        made = Follower(self.client(), name)
        self._stack.push_async_callback(made.close)
        await made.follow()
        await made.hear(w.Room, lambda room: room.connected and room.runners > 0)
        return made

    async def redeemed(self) -> tuple[Grant, ...]:
        """What the engine asks the control plane for."""
        return (await self.expect(m.Redeem)).grants

    async def assign(self, *grants: Grant, input_: bytes = INPUT) -> None:
        spec = msgspec.structs.replace(SPEC, input=input_)
        await self.plane.send(m.Assign(tuple(m.Assignment(one.placed, 1, spec) for one in grants)))


Serve = Callable[..., Awaitable[Service]]


@contextlib.asynccontextmanager
async def services(directory: Path) -> AsyncIterator[Serve]:
    """Makes one."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(**options: Any) -> Service:
            made = Service(directory, stack)
            await made.start(**options)
            return made

        yield make
