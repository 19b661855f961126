"""A control plane in this process: stores, endpoint, API."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from secrets import token_bytes
from typing import Final

import msgspec
import structlog

from mvm_ci.adapters.blobs.files import FileBlobStore
from mvm_ci.adapters.iroh import IrohEndpoint
from mvm_ci.adapters.sealing.aes_gcm import AesGcmSealer
from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.adapters.system import DirectoryDisk, SystemClock
from mvm_ci.config.credentials import Credentials, write_atomically, write_credentials
from mvm_ci.config.parsers import Address
from mvm_ci.config.processes import ControlPlaneConfig, KeepConfig, PeerConfig
from mvm_ci.control_plane.plane import ControlPlane
from mvm_ci.control_plane.secret_keys import FILE, read_keys
from mvm_ci.control_plane.settings import ControlPlaneSettings
from mvm_ci.control_plane.state import StateDirectory, ensure_admin_token
from mvm_ci.control_plane.stores import Stores
from mvm_ci.domain.errors import Misconfigured, MvmCiError
from mvm_ci.domain.retention import RetentionPolicy
from mvm_ci.lifecycle.retention import RetainedStores, Retention
from mvm_ci.lifecycle.secrets import open_with
from mvm_ci.ports.registry import Registry
from mvm_ci.ports.supervisor import Supervisor
from mvm_ci.wire import http
from mvm_ci.wire.messages import ALPN
from mvm_ci.wiring.join_token import join_token, keep_join_token, write_join_token
from mvm_ci.wiring.network import make_transport
from mvm_ci.wiring.saying import say
from mvm_ci.wiring.stopping import Stop

_HEARTBEATS: Final = 3
"""In one lease: two may get lost."""
_KEEP: Final = RetentionPolicy()
_RELAY_S: Final = 5.0
"""For a relay to be reached before the ticket is printed; the API serves meanwhile."""
_STOP_S: Final = 60.0
"""To end: requests have a few seconds, and what workers reported is stored."""
_TICKET_S: Final = 2.0
"""Between looks at whether this machine's addresses, or its relay, have changed."""

_ALPNS: Final = (ALPN, http.ALPN, http.ENGINE_ALPN)

_log = structlog.get_logger(__name__)


class RunningControlPlane(msgspec.Struct, frozen=True, kw_only=True):
    """A control plane that serves. ``token``: of its administrator; ``endpoint``: where workers find it;
    ``probe``: returns when its store has written; raises ``Unavailable`` if that cannot.
    """

    url: str
    token: str
    endpoint: IrohEndpoint
    registry: Registry
    plane: ControlPlane
    probe: Callable[[], Awaitable[None]]

    @property
    def ticket(self) -> str:
        """Where workers find it, as of now."""
        return self.endpoint.ticket()

    def __repr__(self) -> str:
        return f"RunningControlPlane(url={self.url!r})"


async def serve_control_plane(config: ControlPlaneConfig, stop: Stop, supervisor: Supervisor) -> None:
    """Serves until it is asked to stop. Raises ``Misconfigured`` or ``Unavailable`` if it cannot."""
    settings = control_plane_settings(
        config.bind,
        lease_s=config.lease_s,
        stall_ms=max(1, round(config.stall_s * 1000)),
        public_url=config.public_url,
        max_jobs=config.max_jobs,
        min_free_bytes=config.min_free_bytes,
    )
    opening = opened_control_plane(
        config.state_dir, config.p2p, settings, _policy(config.keep), config.secrets_key
    )
    async with opening as running:
        if (config.p2p.relays or config.p2p.public_relays) and not await running.endpoint.reach_relay(
            _RELAY_S
        ):
            _log.warning("relay_not_reached", seconds=_RELAY_S)
        ticket = running.ticket
        waits = [stop.asked(), running.plane.failed()]
        if config.join_token_file is not None:
            kept = (config.join_token_file, running.registry, SystemClock())
            await write_join_token(*kept)
            waits.append(keep_join_token(*kept))
        if config.credentials_file is not None:
            write_credentials(config.credentials_file, Credentials(_local(running.url), running.token))
        if config.ticket_file is not None:
            _write_ticket(config.ticket_file, ticket)
        say(f"api: {running.url}")
        if config.credentials_file is None:
            say(f"token: in {config.state_dir / 'admin-token'}")
        say(f"ticket: {ticket}")
        supervisor.ready(_status(running))
        following = _follow_ticket(running, config.ticket_file, ticket)
        supervised = supervisor.follow(partial(_progress, running))
        async with _engine(config, running) as engine:
            try:
                # The engine outlives this: it hands over what it runs.
                await _first(*waits, following, supervised, asyncio.shield(engine))
            finally:
                supervisor.stopping("stopping: requests under way end", _STOP_S)


@asynccontextmanager
async def _engine(
    config: ControlPlaneConfig, running: RunningControlPlane
) -> AsyncIterator[asyncio.Future[None]]:
    """The engine that is asked for, served inside the block; what is given ends only by an error."""
    if config.engine is None:
        yield asyncio.get_running_loop().create_future()
        return
    from mvm_ci.wiring.engine import embedded_engine  # noqa: PLC0415 - it is large, and few have it here

    token = await join_token(running.registry, "engine")
    ticket, door = running.endpoint.ticket_here(), running.plane.links.door
    async with embedded_engine(config.engine, config.state_dir / "engine", ticket, token, door) as task:
        yield task


def control_plane_settings(
    bind: Address, *, lease_s: float, public_url: str = "", **others: int
) -> ControlPlaneSettings:
    """The control plane's own settings; ``others``: those that it takes as they are."""
    lease_ms = round(lease_s * 1000)
    return ControlPlaneSettings(
        host=bind.host,
        port=bind.port,
        public_url=public_url,
        lease_ms=lease_ms,
        heartbeat_ms=lease_ms // _HEARTBEATS,
        **others,
    )


@asynccontextmanager
async def opened_control_plane(
    state_dir: Path,
    p2p: PeerConfig,
    settings: ControlPlaneSettings,
    retention: RetentionPolicy = _KEEP,
    secrets_key: Path | None = None,
) -> AsyncIterator[RunningControlPlane]:
    """A control plane that serves inside the block. ``secrets_key``: the file with the keys of its secrets;
    None: in its state directory. Raises ``Misconfigured`` or ``Unavailable``.
    """
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        state = StateDirectory.open(state_dir)
        store = SqlStore.open(state.store)
        stack.push_async_callback(store.close)
        sealer = await _sealer(store, state.path / FILE if secrets_key is None else secrets_key)
        blobs = await asyncio.to_thread(FileBlobStore, state.blobs)
        token = await ensure_admin_token(state, store.access, clock.now_ms())
        endpoint = await make_transport(p2p).bind(
            secret_key=state.endpoint_key(), address=state.p2p_address(str(p2p.bind)), alpns=_ALPNS
        )
        stack.push_async_callback(endpoint.close)
        disk = DirectoryDisk(state.path)
        stores = Stores(
            queue=store.queue,
            mail=store.mail,
            artifacts=store.artifacts,
            queues=store.queues,
            registry=store.registry,
            access=store.access,
            schedules=store.schedules,
            secrets=store.secrets,
            sealer=sealer,
            events=store.events,
            blobs=blobs,
            disk=disk,
            figures=store.figures,
        )
        grant_key = hmac.digest(state.endpoint_key(), b"mvm-ci grants", "sha256")
        plane = ControlPlane(settings, stores, endpoint, clock, grant_key=grant_key)
        retained = RetainedStores(
            jobs=store.retained,
            artifacts=store.artifacts,
            registry=store.registry,
            access=store.access,
            schedules=store.schedules,
            blobs=blobs,
            events=store.events,
            secrets=store.secrets,
        )
        services = plane.services
        keys_gone = services.submitter.deleted_before
        keeping = Retention(retained, services.modules, clock, retention, keys_gone)
        plane.add_duty("retention", keeping.run)
        stack.push_async_callback(plane.stop)
        await plane.start()
        yield RunningControlPlane(
            url=plane.api_url,
            token=token,
            endpoint=endpoint,
            registry=store.registry,
            plane=plane,
            probe=store.probe,
        )


async def _sealer(store: SqlStore, file: Path) -> AesGcmSealer:
    needed = bool(await store.secrets.page(None, 1))
    keys, lost = await asyncio.to_thread(partial(read_keys, file, token_bytes, needed=needed))
    sealer = AesGcmSealer(keys)
    await open_with(store.secrets, sealer, lost, str(file))
    return sealer


def _policy(keep: KeepConfig) -> RetentionPolicy:
    return RetentionPolicy(
        jobs_age_ms=_age_ms(keep.age_s),
        jobs_count=keep.count,
        jobs_bytes=keep.size,
        modules_age_ms=_age_ms(keep.modules_s),
        journals_age_ms=_age_ms(keep.journals_s),
        artifacts_age_ms=_age_ms(keep.artifacts_s),
        keys_age_ms=_age_ms(keep.keys_s),
        audit_age_ms=_age_ms(keep.audit_s),
        events_age_ms=_age_ms(keep.events_s),
        events_count=keep.events,
    )


def _age_ms(age_s: float | None) -> int | None:
    return None if age_s is None else max(1, round(age_s * 1000))


async def _progress(running: RunningControlPlane) -> str:
    """``ports.supervisor.Progress``: the event loop runs, and what is to be stored gets stored."""
    try:
        await running.probe()
    except MvmCiError as error:
        # An answer, too: a full disk is told to whoever asks, and a restart would not empty it.
        return f"the store cannot write: {error}"
    return _status(running)


def _status(running: RunningControlPlane) -> str:
    seats = list(running.plane.services.dispatcher.seats)
    return f"serving {running.url}: {len(seats)} workers, {sum(seat.sent for seat in seats)} jobs at them"


async def _follow_ticket(running: RunningControlPlane, file: Path | None, written: str) -> None:
    """Keeps the ticket's file true while addresses and relay change: workers that lost us read it again."""
    while True:
        await asyncio.sleep(_TICKET_S)
        ticket = running.ticket
        if ticket == written:
            continue
        try:
            if file is not None:
                await asyncio.to_thread(_write_ticket, file, ticket)
        except Misconfigured as error:
            _log.warning("ticket_not_written", error=str(error))
            continue  # and tried again
        _log.info("ticket_changed", ticket=ticket)
        written = ticket


def _write_ticket(file: Path, ticket: str) -> None:
    write_atomically(file, ticket + "\n", 0o644)


async def _first(*waits: Awaitable[None]) -> None:
    """Returns when one of ``waits`` does, or raises what it raises; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _local(url: str) -> str:
    """The address for commands on this machine, where the API listens on every interface."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
