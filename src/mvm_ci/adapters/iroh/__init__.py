"""The network between processes: iroh (QUIC, with keys as identities)."""

from mvm_ci.adapters.iroh.relays import Relays
from mvm_ci.adapters.iroh.transport import IrohEndpoint, IrohTransport

__all__ = ["IrohEndpoint", "IrohTransport", "Relays"]
