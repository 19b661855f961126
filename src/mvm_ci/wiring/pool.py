"""An engine in this process: runners, what guests may reach, and what compiles their modules."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from mvm_ci.adapters.http.client import GuestHttpClient
from mvm_ci.adapters.wasm.compiler import ChildCompiler
from mvm_ci.config.processes import GuestConfig
from mvm_ci.domain.errors import Misconfigured
from mvm_ci.domain.network import NetworkPolicy
from mvm_ci.engine.pool import EnginePool
from mvm_ci.engine.settings import PoolSettings
from mvm_ci.peer.parts import PeerParts
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import Engine, EngineEvents, Lease
from mvm_ci.ports.guest import CompiledModule


@dataclass(frozen=True, slots=True)
class Pools:
    """Makes the pool of runner processes, inside a peer's state directory."""

    guests: GuestConfig
    clock: Clock

    async def __call__(self, parts: PeerParts, lease: Lease, events: EngineEvents) -> Engine:
        settings, outbox = parts.settings, parts.holder.outbox
        policy = NetworkPolicy(allow_hosts=self.guests.allow_hosts, allow_networks=self.guests.allow_networks)
        directory = await asyncio.to_thread(made_directory, settings.state_dir / "runners")
        await asyncio.to_thread(_check_executable, module_cache(self.guests, settings.state_dir))
        return EnginePool(
            PoolSettings(worker=settings.name, directory=directory, slots=self.guests.slots),
            journal=outbox,
            plane=outbox.asks,
            lease=lease,
            payloads=parts.payloads,
            artifacts=parts.artifacts,
            http=GuestHttpClient(policy, spool=directory),
            events=events,
            clock=self.clock,
        )


class Compiler:
    """``ports.guest.ModuleCompiler``, made at its first use: before, the state directory may not be ours."""

    def __init__(self, guests: GuestConfig, state_dir: Path) -> None:
        self._cache = module_cache(guests, state_dir)
        self._compiler: ChildCompiler | None = None

    async def compile(self, source: Path, digest: str) -> CompiledModule:
        if self._compiler is None:
            self._compiler = ChildCompiler(made_directory(self._cache))
        return await self._compiler.compile(source, digest)


def module_cache(guests: GuestConfig, state_dir: Path) -> Path:
    """Where compiled modules are kept."""
    return guests.module_cache or state_dir / "compiled"


def _check_executable(directory: Path) -> None:
    """Raises ``Misconfigured`` if nothing there can be mapped as code: each job would fail."""
    if os.statvfs(made_directory(directory)).f_flag & os.ST_NOEXEC:
        raise Misconfigured(
            f"compiled modules cannot be run from {directory}: its file system is mounted noexec; "
            "set MVM_CI_MODULE_CACHE to a directory that is not, or mount it with exec"
        )


def made_directory(directory: Path) -> Path:
    """Raises ``Misconfigured``."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(f"cannot make {directory}: {error.strerror}") from None
    return directory
