"""The control plane's settings."""

import msgspec

from mvm_ci.wire.api import API_PORT


class ControlPlaneSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``host``, ``port``: where the API listens (port 0: any). Raises ``ValueError`` for what cannot work."""

    host: str = "127.0.0.1"
    port: int = API_PORT
    public_url: str = ""
    """Where the API is reached from outside, for the URLs of promises; empty: where it listens."""
    lease_ms: int = 15_000
    """After this silence a worker's session is lost."""
    heartbeat_ms: int = 5_000
    max_losses: int = 10
    """How often a job may lose its worker while it runs; one time more, and it is dead."""
    stall_ms: int = 120_000
    """After so long a job that its worker did not start is taken back."""
    max_jobs: int = 10_000_000
    """Jobs that have not ended; more are refused."""
    min_free_bytes: int = 256 << 20
    """Free space on the disk of the state below which jobs are refused."""
    stop_s: float = 5.0
    """How long requests under way may take when the control plane stops."""

    def __post_init__(self) -> None:
        if not 0 < self.heartbeat_ms < self.lease_ms:
            raise ValueError(
                f"a heartbeat every {self.heartbeat_ms} ms cannot renew a lease of {self.lease_ms} ms"
            )
        if self.stall_ms <= 0:
            raise ValueError(f"a worker cannot be stalled after {self.stall_ms} ms")
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"{self.port} is not a port")
