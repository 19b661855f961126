"""What an operator decides about a peer of the control plane."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from mvm_ci.domain.grant import PeerRole
from mvm_ci.ports.transport import ANY_ADDRESS

GRACE_S = 30.0
CACHE_BYTES = 1 << 30
ARTIFACT_BYTES = 4 << 30


class PeerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``ticket`` or ``ticket_file``: where the control plane is; exactly one of them.

    ``join_token``: permission to become a worker, needed once for each state directory. ``name``: for people.
    ``bind``: the UDP address to use (``ip:port``). ``grace_s``: seconds that running jobs get when the worker
    is asked to leave. ``cache_bytes``: size of the cache of modules and payloads,
    ``artifact_bytes``: of that of artifacts. ``labels``: what jobs may
    ask for. ``role``: what it is. ``ephemeral``: the control plane forgets it when it leaves.
    """

    state_dir: Path
    name: str
    ticket: str | None = None
    ticket_file: Path | None = None
    join_token: str | None = None
    bind: str = ANY_ADDRESS
    grace_s: float = GRACE_S
    cache_bytes: int = CACHE_BYTES
    artifact_bytes: int = ARTIFACT_BYTES
    labels: Mapping[str, str] = {}
    ephemeral: bool = False
    role: PeerRole = PeerRole.WORKER

    def __repr__(self) -> str:
        # Settings end up in logs and tracebacks; the token must not.
        return f"PeerSettings(name={self.name!r}, state_dir={str(self.state_dir)!r})"
