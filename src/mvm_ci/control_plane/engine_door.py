"""The way to an engine in this process, for workers that have none of their own."""

from collections.abc import Callable, Iterable

from prometheus_client.core import Metric

from mvm_ci.domain.grant import PeerRole
from mvm_ci.lifecycle.sessions import Sessions
from mvm_ci.ports.transport import Connection, Stream
from mvm_ci.serving.peer_caller import Serve
from mvm_ci.wire.http import ENGINE_ALPN


class EngineDoor:
    """``serve``: serves the streams of workers; None: there is no engine here. ``figures``: the engine's
    metrics. ``api``: gives what serves the streams of others.
    """

    def __init__(self, sessions: Sessions, api: Callable[[], Serve]) -> None:
        self.serve: Serve | None = None
        self.figures: Callable[[], Iterable[Metric]] = tuple
        self._sessions = sessions
        self._api = api

    def served(self, peer: Connection) -> Serve:
        """What serves the streams of a peer that is not refused."""
        if peer.protocol != ENGINE_ALPN:
            return self._api()

        async def serve(stream: Stream, address: str) -> None:
            # Its session may have ended since it dialled.
            if self.serve is None or self.refusal(peer) is not None:
                await stream.reset()
            else:
                await self.serve(stream, address)

        return serve

    def refusal(self, peer: Connection) -> str | None:
        """Why a peer is not served at all."""
        if peer.protocol != ENGINE_ALPN:
            return None
        if self.serve is None:
            return "there is no engine here; start the control plane with --engine embedded"
        session = self._sessions.of_worker(peer.peer)
        if session is None or session.role is not PeerRole.FOLLOWER:
            return "the engine is for workers that have a session and no engine of their own"
        return None
