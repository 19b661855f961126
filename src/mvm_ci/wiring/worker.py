"""A worker in this process: its session with the control plane, and its engine."""

import asyncio
import os
from collections.abc import Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory

from mvm_ci.adapters.http.client import GuestHttpClient
from mvm_ci.adapters.system import SystemClock
from mvm_ci.adapters.wasm.compiler import ChildCompiler
from mvm_ci.config.processes import GuestConfig, WorkerConfig
from mvm_ci.domain.errors import Misconfigured
from mvm_ci.domain.network import NetworkPolicy
from mvm_ci.engine.pool import EnginePool
from mvm_ci.engine.settings import PoolSettings
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import (
    ArtifactFiles,
    ControlPlane,
    Engine,
    EngineEvents,
    JournalSink,
    Lease,
    PayloadStore,
)
from mvm_ci.ports.guest import CompiledModule
from mvm_ci.ports.transport import Transport
from mvm_ci.wiring.health import showing_health
from mvm_ci.wiring.network import make_transport
from mvm_ci.wiring.stopping import Stop
from mvm_ci.worker.process import Worker
from mvm_ci.worker.settings import WorkerSettings


async def serve_worker(config: WorkerConfig, stop: Stop) -> None:
    """Works until it is asked to stop, by whomever. Raises ``Misconfigured`` or ``Refused``."""
    if config.state_dir is not None:
        await _serve(config, config.state_dir, stop)
        return
    directory = await asyncio.to_thread(_temporary)
    try:
        await _serve(config, Path(directory.name), stop)
    finally:
        await asyncio.to_thread(directory.cleanup)


async def _serve(config: WorkerConfig, state_dir: Path, stop: Stop) -> None:
    settings = WorkerSettings(
        state_dir=state_dir,
        name=config.name,
        ticket=config.ticket,
        ticket_file=config.ticket_file,
        join_token=config.join_token,
        bind=str(config.p2p.bind),
        grace_s=config.grace_s,
        labels=config.labels,
        ephemeral=config.state_dir is None,
    )
    worker = make_worker(settings, config.guests, make_transport(config.p2p))
    async with showing_health(lambda: worker.connected, config.health_file):
        await run_worker(worker, stop)


def make_worker(settings: WorkerSettings, guests: GuestConfig, transport: Transport) -> Worker:
    """A worker on the real clock and engine."""
    clock = SystemClock()
    return Worker(
        settings,
        transport=transport,
        engine_factory=_Engines(settings, guests, clock),
        compiler=_Compiler(_module_cache(settings, guests)),
        clock=clock,
    )


async def run_worker(worker: Worker, stop: Stop) -> None:
    """Runs ``worker`` to its end, which ``stop`` asks for, too."""
    passing_on = asyncio.create_task(_pass_on(stop, worker), name="pass-on-stop")
    try:
        await worker.run()
    finally:
        passing_on.cancel()
        await asyncio.gather(passing_on, return_exceptions=True)
        # The worker had taken the signals.
        stop.listen()


async def _pass_on(stop: Stop, worker: Worker) -> None:
    await stop.asked()
    worker.request_stop()


class _Engines:
    """``worker.process.EngineFactory``: the pool of runner processes, inside the worker's state directory."""

    def __init__(self, settings: WorkerSettings, guests: GuestConfig, clock: Clock) -> None:
        self._settings = settings
        self._guests = guests
        self._clock = clock

    def __call__(
        self,
        *,
        journal: JournalSink,
        plane: ControlPlane,
        lease: Lease,
        payloads: PayloadStore,
        artifacts: ArtifactFiles,
        events: EngineEvents,
    ) -> Awaitable[Engine]:
        return self._make(journal, plane, lease, payloads, artifacts, events)

    async def _make(
        self,
        journal: JournalSink,
        plane: ControlPlane,
        lease: Lease,
        payloads: PayloadStore,
        artifacts: ArtifactFiles,
        events: EngineEvents,
    ) -> Engine:
        policy = NetworkPolicy(
            allow_hosts=self._guests.allow_hosts, allow_networks=self._guests.allow_networks
        )
        directory = await asyncio.to_thread(_made, self._settings.state_dir / "runners")
        await asyncio.to_thread(_check_executable, _module_cache(self._settings, self._guests))
        http = GuestHttpClient(policy, before_send=lease.wait_valid, spool=directory)
        return EnginePool(
            PoolSettings(worker=self._settings.name, directory=directory, slots=self._guests.slots),
            journal=journal,
            plane=plane,
            lease=lease,
            payloads=payloads,
            artifacts=artifacts,
            http=http,
            events=events,
            clock=self._clock,
        )


class _Compiler:
    """``ports.guest.ModuleCompiler``, made at its first use: before, the state directory may not be ours."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._compiler: ChildCompiler | None = None

    async def compile(self, source: Path, digest: str) -> CompiledModule:
        if self._compiler is None:
            self._compiler = ChildCompiler(_made(self._cache))
        return await self._compiler.compile(source, digest)


def _module_cache(settings: WorkerSettings, guests: GuestConfig) -> Path:
    return guests.module_cache or settings.state_dir / "compiled"


def _check_executable(directory: Path) -> None:
    """Raises ``Misconfigured`` if nothing there can be mapped as code: each job would fail."""
    if os.statvfs(_made(directory)).f_flag & os.ST_NOEXEC:
        raise Misconfigured(
            f"compiled modules cannot be run from {directory}: its file system is mounted noexec; "
            "set MVM_CI_MODULE_CACHE to a directory that is not, or mount it with exec"
        )


def _temporary() -> TemporaryDirectory[str]:
    try:
        return TemporaryDirectory(prefix="mvm-ci-worker-", ignore_cleanup_errors=True)
    except OSError as error:
        raise Misconfigured(f"cannot make a temporary directory: {error.strerror}; set TMPDIR") from None


def _made(directory: Path) -> Path:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(f"cannot make {directory}: {error.strerror}") from None
    return directory
