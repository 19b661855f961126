"""The transport that a process's settings ask for."""

from mvm_ci.adapters.iroh import IrohTransport, Relays
from mvm_ci.config.processes import PeerConfig


def make_transport(config: PeerConfig) -> IrohTransport:
    """Raises ``Misconfigured``."""
    relays = Relays.public() if config.public_relays else Relays.own(config.relays)
    return IrohTransport(relays, None if config.external is None else str(config.external))
