"""An engine that serves workers: in a process of its own, or in the control plane's."""

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from mvm_ci.adapters.system import SystemClock
from mvm_ci.config.credentials import write_atomically
from mvm_ci.config.parsers import Address
from mvm_ci.config.processes import EngineConfig, PeerConfig, ServedEngineConfig
from mvm_ci.config.source import secret_in
from mvm_ci.control_plane.engine_door import EngineDoor
from mvm_ci.domain.errors import Misconfigured
from mvm_ci.domain.grant import PeerRole
from mvm_ci.engine.service.host import EngineHost, ServiceSettings
from mvm_ci.peer.parts import Surroundings
from mvm_ci.peer.settings import PeerSettings
from mvm_ci.ports.supervisor import Supervisor, Unsupervised
from mvm_ci.wiring.network import make_transport
from mvm_ci.wiring.pool import Compiler, Pools
from mvm_ci.wiring.saying import say, warn_of_plain_http
from mvm_ci.wiring.stopping import Stop

TOKEN_FILE: Final = "engine-token"  # noqa: S105 - the name of a file
_EMBEDDED: Final = "embedded"
_EMBEDDED_GRACE_S: Final = 5.0
_TOKEN_BYTES: Final = 32


async def serve_engine(config: EngineConfig, stop: Stop, supervisor: Supervisor) -> None:
    """Serves until it is asked to stop. Raises ``Misconfigured``, ``Refused`` or ``Unavailable``."""
    settings = PeerSettings(
        state_dir=config.state_dir,
        name=config.name,
        ticket=config.ticket,
        ticket_file=config.ticket_file,
        join_token=config.join_token,
        bind=str(config.p2p.bind),
        grace_s=config.grace_s,
        role=PeerRole.ENGINE,
    )
    host = await _host(settings, config.served, config.p2p, supervisor)
    running = asyncio.create_task(host.run(), name="engine")
    stopping = asyncio.create_task(stop.asked(), name="stop")
    try:
        await _first(running, host.serving)
        if host.serving.done():
            say(f"engine: {host.serving.result()}")
            if not config.served.token.given:
                say(f"token: in {config.state_dir / TOKEN_FILE}")
            await _first(running, stopping)
            host.request_stop()
        await running
    finally:
        for task in (running, stopping):
            task.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)


@contextlib.asynccontextmanager
async def embedded_engine(
    served: ServedEngineConfig, state_dir: Path, ticket: str, token: str, door: EngineDoor
) -> AsyncIterator[asyncio.Task[None]]:
    """The control plane's own engine, a peer like any other, served inside the block: its task, which ends
    only by an error. ``ticket``: of the control plane, for this machine; ``token``: to join by. Raises as
    ``serve_engine`` does.
    """
    loopback = PeerConfig(bind=Address("127.0.0.1", 0))
    settings = PeerSettings(
        state_dir=state_dir,
        name=_EMBEDDED,
        ticket=ticket,
        join_token=token,
        bind=str(loopback.bind),
        grace_s=_EMBEDDED_GRACE_S,
        role=PeerRole.ENGINE,
    )
    host = await _host(settings, served, loopback, Unsupervised())
    task = asyncio.create_task(host.run(), name="engine")
    try:
        await _first(task, host.serving)
        if host.serving.done():
            door.serve, door.figures = host.serve, host.figures
            if host.serving.result():
                say(f"engine: {host.serving.result()}")
                if not served.token.given:
                    say(f"engine token: in {state_dir / TOKEN_FILE}")
            yield task
    finally:
        host.request_stop()
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        finally:
            door.figures = tuple
            door.serve = None  # until then workers hear what becomes of what they brought


async def _first(*waits: asyncio.Future[Any]) -> None:
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)


async def _host(
    settings: PeerSettings, served: ServedEngineConfig, p2p: PeerConfig, supervisor: Supervisor
) -> EngineHost:
    clock = SystemClock()
    around = Surroundings(make_transport(p2p), Compiler(served.guests, settings.state_dir), clock, supervisor)
    service = ServiceSettings(
        token=partial(_token, served, settings.state_dir),
        host=None if served.bind is None else served.bind.host,
        port=0 if served.bind is None else served.bind.port,
        tls=await asyncio.to_thread(_tls, served),
        url=served.url,
    )
    if served.bind is not None and service.tls is None:
        warn_of_plain_http(served.bind, "engine_is_plain_http")
    return EngineHost(settings, service, around, Pools(served.guests, clock))


def _token(served: ServedEngineConfig, state_dir: Path) -> str:
    """The token that workers must show; made once if none is given. Raises ``Misconfigured``."""
    if served.token.text is not None:
        return served.token.text
    # A file that is named is made, too, if it is not there: whoever starts workers beside this waits for it.
    file = served.token.file or state_dir / TOKEN_FILE
    where = served.token.where or "the engine's token"
    try:
        if file.exists():
            return secret_in(str(file), where)
    except OSError as error:
        raise Misconfigured(f"{where}: cannot read {file}: {error.strerror}") from None
    made = secrets.token_urlsafe(_TOKEN_BYTES)
    write_atomically(file, made + "\n", 0o600)
    return made


def _tls(served: ServedEngineConfig) -> ssl.SSLContext | None:
    """Raises ``Misconfigured``."""
    if served.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(served.tls_cert, served.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(f"--engine-tls-cert-file: cannot use {served.tls_cert}: {error}") from None
    return context
