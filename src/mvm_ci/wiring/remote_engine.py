"""An engine elsewhere, reached over TCP, or at the control plane over P2P."""

import asyncio
import ssl
from functools import partial
from pathlib import Path
from typing import Final

from mvm_ci.adapters.remote_engine.calls import Calls
from mvm_ci.adapters.remote_engine.engine import RemoteEngine
from mvm_ci.adapters.remote_engine.http1 import Http
from mvm_ci.adapters.remote_engine.p2p import PeerWay
from mvm_ci.adapters.remote_engine.tcp import engine_at
from mvm_ci.config.processes import EngineElsewhere, SecretSource
from mvm_ci.domain.errors import Misconfigured, Unavailable
from mvm_ci.peer.parts import Fitted, PeerParts
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import EngineEvents
from mvm_ci.ports.guest import CompiledModule
from mvm_ci.wire.http import ENGINE_ALPN

_P2P: Final = "engine.p2p"
"""What the engine is called in a request where no name leads to it."""


class RemoteEngines:
    """``worker.process.Fit``, of as many workers as have their engine there. ``slots``: jobs that each of
    them has computed there at once.
    """

    def __init__(self, elsewhere: EngineElsewhere, slots: int, clock: Clock) -> None:
        self._elsewhere = elsewhere
        self._slots = slots
        self._clock = clock
        self._trusted: ssl.SSLContext | None = None

    async def __call__(self, parts: PeerParts, events: EngineEvents) -> Fitted:
        elsewhere = self._elsewhere
        if self._trusted is None:
            self._trusted = await asyncio.to_thread(_trust, elsewhere.authority)
        trust = self._trusted

        def connect(url: str) -> Calls:
            if elsewhere.url is None:
                http = Http(PeerWay(partial(parts.link.dial, ENGINE_ALPN)), _P2P)
            else:
                http = engine_at(url or elsewhere.url, trust)
            return Calls(http, parts.link.incarnation, lambda: _read(elsewhere.token))

        engine = RemoteEngine(
            connect,
            slots=self._slots,
            where=elsewhere.url or "the control plane",
            lease=parts.lease,
            events=events,
            clock=self._clock,
        )
        intake = parts.intake_of_remote(engine)
        return Fitted(engine, intake, lambda: engine.reachable, runs_here=False)


class NoCompiler:
    """``ports.guest.ModuleCompiler`` of a worker that runs no guests."""

    async def compile(self, source: Path, digest: str) -> CompiledModule:  # noqa: ARG002
        raise Unavailable("this worker's engine is elsewhere")


async def _read(token: SecretSource) -> str | None:
    try:
        return await asyncio.to_thread(token.read)
    except Misconfigured as error:
        # It may be there the next time.
        raise Unavailable(str(error)) from None


def _trust(authority: Path | None) -> ssl.SSLContext:
    """Raises ``Misconfigured``."""
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(f"--engine-ca-file: cannot read {authority}: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
