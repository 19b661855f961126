"""A worker in this process: its session with the control plane, and its engine, here or elsewhere."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from mvm_ci.adapters.system import SystemClock
from mvm_ci.config.processes import EngineElsewhere, GuestConfig, WorkerConfig
from mvm_ci.domain.errors import Misconfigured
from mvm_ci.domain.grant import PeerRole
from mvm_ci.peer.parts import Fitted, PeerParts, Surroundings
from mvm_ci.peer.settings import PeerSettings
from mvm_ci.ports.engine import EngineEvents
from mvm_ci.ports.supervisor import Supervisor, Unsupervised
from mvm_ci.ports.transport import Transport
from mvm_ci.wiring.health import showing_health
from mvm_ci.wiring.network import make_transport
from mvm_ci.wiring.stopping import Stop
from mvm_ci.worker.process import Worker


async def serve_worker(config: WorkerConfig, stop: Stop, supervisor: Supervisor) -> None:
    """Works until it is asked to stop, by whomever. Raises ``Misconfigured`` or ``Refused``."""
    if config.state_dir is not None:
        await _serve(config, config.state_dir, stop, supervisor)
        return
    directory = await asyncio.to_thread(_temporary)
    try:
        await _serve(config, Path(directory.name), stop, supervisor)
    finally:
        await asyncio.to_thread(directory.cleanup)


async def _serve(config: WorkerConfig, state_dir: Path, stop: Stop, supervisor: Supervisor) -> None:
    settings = PeerSettings(
        state_dir=state_dir,
        name=config.name,
        ticket=config.ticket,
        ticket_file=config.ticket_file,
        join_token=config.join_token,
        bind=str(config.p2p.bind),
        grace_s=config.grace_s,
        labels=config.labels,
        ephemeral=config.state_dir is None,
        role=PeerRole.WORKER if config.engine is None else PeerRole.FOLLOWER,
    )
    transport = make_transport(config.p2p)
    if config.engine is None:
        worker = make_worker(settings, config.guests, transport, supervisor)
    else:
        worker = make_follower(settings, config.engine, config.guests.slots, transport, supervisor)
    async with showing_health(lambda: worker.connected, config.health_file):
        await run_worker(worker, stop)


def make_worker(
    settings: PeerSettings, guests: GuestConfig, transport: Transport, supervisor: Supervisor | None = None
) -> Worker:
    """A worker on the real clock, with an engine of its own."""
    # A worker whose engine is elsewhere needs none of this: it is smaller, and sooner there.
    from mvm_ci.wiring.pool import Compiler, Pools  # noqa: PLC0415

    clock = SystemClock()
    pools = Pools(guests, clock)

    async def fit(parts: PeerParts, events: EngineEvents) -> Fitted:
        engine = await pools(parts, parts.lease, events)
        return Fitted(engine, parts.intake_of_own(engine))

    compiler = Compiler(guests, settings.state_dir)
    return Worker(settings, Surroundings(transport, compiler, clock, supervisor or Unsupervised()), fit)


def make_follower(
    settings: PeerSettings, engine: EngineElsewhere, slots: int, transport: Transport, supervisor: Supervisor
) -> Worker:
    """A worker on the real clock, whose engine is elsewhere."""
    from mvm_ci.wiring.remote_engine import NoCompiler, RemoteEngines  # noqa: PLC0415

    clock = SystemClock()
    fit = RemoteEngines(engine, slots, clock)
    return Worker(settings, Surroundings(transport, NoCompiler(), clock, supervisor), fit)


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


def _temporary() -> TemporaryDirectory[str]:
    try:
        return TemporaryDirectory(prefix="mvm-ci-worker-", ignore_cleanup_errors=True)
    except OSError as error:
        raise Misconfigured(f"cannot make a temporary directory: {error.strerror}; set TMPDIR") from None
