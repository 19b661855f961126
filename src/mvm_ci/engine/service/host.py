"""The process of an engine's service: a peer of the control plane that serves workers over HTTP."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client.core import Metric

from mvm_ci.adapters.system import spare_collections
from mvm_ci.engine.service.api import EngineApi
from mvm_ci.engine.service.desk import Desk
from mvm_ci.engine.service.guests import Guests
from mvm_ci.peer.background import background, first
from mvm_ci.peer.link import Link
from mvm_ci.peer.parts import PeerParts, Surroundings, opened_parts, opened_state
from mvm_ci.peer.progress import PeerProgress
from mvm_ci.peer.settings import PeerSettings
from mvm_ci.ports.engine import Engine, EngineEvents, Lease
from mvm_ci.ports.transport import Stream
from mvm_ci.serving.peer_caller import Serve
from mvm_ci.serving.server import ApiServer
from mvm_ci.wire.messages import Draining, Goodbye

HAND_OVER_MS: Final = 10_000
"""Beyond the grace: time for guests to be handed over, and for workers to see their ends."""
GOODBYE_MS: Final = 2_000
LEAVE_S: Final = 10.0
"""For runners and endpoint to be closed."""
_STOP_S: Final = 2.0

log = structlog.get_logger()

MakeEngine = Callable[[PeerParts, Lease, EngineEvents], Awaitable[Engine]]
"""Makes the engine, which the host starts and closes. What it raises ends the host."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """``host`` None: it is not served over TCP. ``token``: reads, or makes, what callers over TCP must show:
    in a thread, once the state directory is ours. ``tls``: its certificate and key, loaded. ``url``: where
    this very engine is reached, told to workers.
    """

    token: Callable[[], str]
    host: str | None = None
    port: int = 0
    tls: ssl.SSLContext | None = None
    url: str = ""


class EngineHost:
    """An engine's service. ``run`` once."""

    def __init__(
        self, settings: PeerSettings, service: ServiceSettings, around: Surroundings, make: MakeEngine
    ) -> None:
        self._settings = settings
        self._service = service
        self._around = around
        self._clock = around.clock
        self._supervisor = around.supervisor
        self._make = make
        self._leave = asyncio.Event()
        self._server: ApiServer | None = None
        self._desk: Desk | None = None
        self.serving: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Where it listens, once workers can come; empty: not over TCP."""

    def request_stop(self) -> None:
        """Drain and leave."""
        self._leave.set()

    @property
    def serve(self) -> Serve:
        """Serves the streams of workers, which were asked for their keys."""

        async def serve(stream: Stream, address: str) -> None:
            if self._server is None:
                await stream.reset()
            else:
                await self._server.serve_stream(stream, address)

        return serve

    def figures(self) -> Iterable[Metric]:
        """The engine's metrics, without those of its process; none before it serves."""
        return () if self._desk is None else self._desk.figures()

    async def run(self) -> None:
        """Serves until it is asked to stop. Raises ``Misconfigured`` (state directory, ticket, address),
        ``Refused`` (for good), ``Unavailable`` (no runner can start).
        """
        async with opened_state(self._settings) as state:
            token = await asyncio.to_thread(self._service.token)
            guests = Guests(self._clock)
            async with opened_parts(self._settings, state, guests, self._around) as parts:
                engine = await self._make(parts, guests, guests)
                try:
                    await self._serve(parts, guests, engine, token)
                finally:
                    await engine.close()

    async def _serve(self, parts: PeerParts, guests: Guests, engine: Engine, token: str) -> None:
        intake = parts.intake_of_own(engine)
        guests.fitted(engine, intake)
        desk = Desk(guests, engine, intake, name=parts.link.incarnation, url=self._service.url)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(intake.close)
            starting = await stack.enter_async_context(background(engine.start()))
            linked = await stack.enter_async_context(background(parts.link.run(intake)))
            await stack.enter_async_context(background(desk.lag.run()))
            reaping = await stack.enter_async_context(background(guests.reap()))
            await stack.enter_async_context(self._served(desk, token))
            progress = PeerProgress(engine, parts.link, guests, self._clock)
            await stack.enter_async_context(background(self._supervisor.follow(progress)))
            await stack.enter_async_context(background(self._tell_ready(starting, parts.link, progress)))
            await first(starting, linked, reaping, self._leave.wait())
            if starting.done():
                await starting
                guests.look()
                spare_collections()
                log.info("engine_started", name=self._settings.name, slots=engine.slots)
                await first(linked, reaping, self._leave.wait())
            for part in (linked, reaping):
                if part.done():
                    await part  # it ends only by an error
            await self._hand_over(guests, engine, linked)
            if linked.done():
                await linked
        log.info("engine_stopped")

    async def _tell_ready(self, starting: asyncio.Task[None], link: Link, progress: PeerProgress) -> None:
        await asyncio.shield(starting)
        await link.connection()
        self._supervisor.ready(progress.status)

    @contextlib.asynccontextmanager
    async def _served(self, desk: Desk, token: str) -> AsyncIterator[None]:
        service = self._service
        server = ApiServer(
            EngineApi(desk, token),
            service.host or "",
            service.port,
            _STOP_S,
            tls=service.tls,
            what="the engine's API",
        )
        if service.host is None:
            server.open_to_streams()
        else:
            await server.start()
        self._server = server
        self._desk = desk
        self.serving.set_result("" if service.host is None else server.url)
        try:
            yield
        finally:
            self._server = None
            for client in desk.guests.clients.values():
                client.hang_up()
            await server.stop()

    async def _hand_over(self, guests: Guests, engine: Engine, linked: asyncio.Task[None]) -> None:
        """What runs has the grace; then workers are given it back, with its journal."""
        log.info("engine_draining", grace_s=self._settings.grace_s, running=len(guests.running))
        outbox = guests.outbox
        guests.leave()
        outbox.post(Draining())
        limit_ms = self._settings.grace_s * 1000 + HAND_OVER_MS
        running = f"draining, {len(guests.running)} guests run or wait here"
        self._supervisor.stopping(running, (limit_ms + HAND_OVER_MS + GOODBYE_MS) / 1000 + LEAVE_S)
        async with background(engine.drain(self._settings.grace_s)) as draining:
            await first(draining, linked, self._clock.sleep(limit_ms))
            if draining.done():
                await draining
        await first(guests.until_seen(), linked, self._clock.sleep(HAND_OVER_MS))
        if not linked.done() and outbox.attached:
            outbox.post(Goodbye())
            await first(linked, outbox.until_detached(), self._clock.sleep(GOODBYE_MS))
