"""What a peer works with, from when its state directory is open: its link, lease, outbox, payloads."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from mvm_ci.domain.errors import Misconfigured
from mvm_ci.peer.artifact_files import WorkerArtifacts
from mvm_ci.peer.backoff import Backoff
from mvm_ci.peer.cache import BlobCache
from mvm_ci.peer.holder import Holder
from mvm_ci.peer.intake import Intake
from mvm_ci.peer.lease import SessionLease
from mvm_ci.peer.link import Link
from mvm_ci.peer.payloads import Payloads
from mvm_ci.peer.settings import PeerSettings
from mvm_ci.peer.state import StateDirectory
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import Engine, Hosted, RemoteEngine
from mvm_ci.ports.guest import ModuleCompiler
from mvm_ci.ports.supervisor import Supervisor, Unsupervised
from mvm_ci.ports.transport import Transport


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a peer runs in. ``supervisor``: who is told how it does. ``backoff``: between attempts to connect;
    tests give one without chance.
    """

    transport: Transport
    compiler: ModuleCompiler
    clock: Clock
    supervisor: Supervisor = field(default_factory=Unsupervised)
    backoff: Callable[[], Backoff] = Backoff


@dataclass(frozen=True, slots=True)
class PeerParts:
    """``holder``'s outbox is the journal sink, its questions the way to the control plane."""

    settings: PeerSettings
    holder: Holder
    lease: SessionLease
    link: Link
    payloads: Payloads
    artifacts: WorkerArtifacts

    def intake_of_own(self, engine: Engine) -> Intake:
        """For an engine in this process."""
        return Intake(engine, self.holder, place=engine.place, fetch_journal=self.payloads.journal)

    def intake_of_remote(self, engine: RemoteEngine) -> Intake:
        """For an engine elsewhere."""
        return Intake(engine, self.holder, entrust=engine.entrust)


@dataclass(frozen=True, slots=True)
class Fitted:
    """An engine that is made, and not started; ``intake``: what gives it to do; ``runs_here``: whether its
    guests are in this process. Whoever has it closes it.
    """

    engine: Hosted
    intake: Intake
    reachable: Callable[[], bool] = lambda: True
    """Whether it takes jobs."""
    runs_here: bool = True


@contextlib.asynccontextmanager
async def opened_state(settings: PeerSettings) -> AsyncIterator[StateDirectory]:
    """The state directory, ours alone inside the block. Raises ``Misconfigured``."""
    opening = asyncio.create_task(asyncio.to_thread(StateDirectory, settings.state_dir))
    try:
        state = await asyncio.shield(opening)
    except asyncio.CancelledError:
        # The thread goes on, and what it opens is locked until somebody closes it.
        with contextlib.suppress(Misconfigured):
            (await opening).close()
        raise
    try:
        yield state
    finally:
        state.close()


@contextlib.asynccontextmanager
async def opened_parts(
    settings: PeerSettings, state: StateDirectory, holder: Holder, around: Surroundings
) -> AsyncIterator[PeerParts]:
    """The parts, with the endpoint bound; closed after the block. Raises ``Misconfigured``."""
    clock = around.clock
    lease = SessionLease(clock)
    link = Link(
        settings,
        state,
        transport=around.transport,
        clock=clock,
        lease=lease,
        holdings=holder,
        backoff=around.backoff(),
    )
    cache = await asyncio.to_thread(BlobCache, state.blobs, settings.cache_bytes)
    payloads = Payloads(cache, around.compiler, clock, link.connection)
    large = await asyncio.to_thread(BlobCache, state.artifacts, settings.artifact_bytes)
    artifacts = WorkerArtifacts(state.artifacts, large, clock, link.connection)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(payloads.close)
        stack.push_async_callback(artifacts.close)
        await link.bind()
        stack.push_async_callback(link.close)
        yield PeerParts(settings, holder, lease, link, payloads, artifacts)
