"""A control plane and workers, each in a network namespace of its own, with a router in the middle.

::

    worker-1  10.3.1.2 ──┐
      …                router ── 10.3.0.2  plane (API, engine, P2P)
    worker-5  10.3.5.2 ──┘

The firewall of a worker's namespace lets through UDP to and from the control plane's P2P port, nothing else.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final

from tests.deploy.network import PREFIX, Key, add, cable, elements, forward, nft, remove, remove_stale

WORKERS: Final = 5
P2P_PORT: Final = 27289
API_PORT: Final = 3020
ENGINE_PORT: Final = 27288
PLANE: Final = "10.3.0.2"
_ONLY_P2P: Final = f"""
table inet filter {{
    chain input {{
        type filter hook input priority filter; policy drop;
        ip saddr {PLANE} udp sport {P2P_PORT} accept
    }}
    chain output {{
        type filter hook output priority filter; policy drop;
        ip daddr {PLANE} udp dport {P2P_PORT} accept
    }}
}}
"""
_ROUTER: Final = """
table ip filter {
    set seen { type ipv4_addr . ipv4_addr . inet_proto . inet_service; flags dynamic; size 4096; }
    chain arriving {
        type filter hook prerouting priority mangle;
        iifname "worker*" ct state new add @seen { ip saddr . ip daddr . meta l4proto . th dport }
    }
    chain forward { type filter hook forward priority filter; }
}
"""


class Lan:
    """The namespaces. Made by ``lan``, which removes them, too. ``workers``: by name."""

    def __init__(self, name: str) -> None:
        self.router = f"{name}-router"
        self.plane = f"{name}-plane"
        self.workers = {f"worker-{one}": f"{name}-worker-{one}" for one in range(1, WORKERS + 1)}

    def make(self) -> None:
        """Makes and connects everything."""
        for namespace in self.all():
            add(namespace)
        forward(self.router)
        nft(self.router, _ROUTER)
        cable(self.router, "plane", self.plane, "eth0", "10.3.0")
        for number, (name, namespace) in enumerate(self.workers.items(), start=1):
            cable(self.router, name, namespace, "eth0", f"10.3.{number}")
            nft(namespace, _ONLY_P2P)

    def all(self) -> tuple[str, ...]:
        """The namespaces' names."""
        return (self.router, self.plane, *self.workers.values())

    def remove(self) -> None:
        """Removes what is there of it, and ends what still runs in it."""
        remove(self.all())

    def address(self, worker: str) -> str:
        """A worker's address."""
        return f"10.3.{worker.removeprefix('worker-')}.2"

    def cut(self, worker: str, *, to_plane: bool = True, from_plane: bool = True) -> None:
        """Nothing passes between a worker and the control plane any more, in these directions."""
        if to_plane:
            nft(self.router, f"add rule ip filter forward ip saddr {self.address(worker)} drop")
        if from_plane:
            nft(self.router, f"add rule ip filter forward ip daddr {self.address(worker)} drop")

    def mend(self) -> None:
        """Everything passes again."""
        nft(self.router, "flush chain ip filter forward")

    def seen(self) -> set[Key]:
        """What workers' firewalls let out: from where, to where, protocol, port."""
        return elements(self.router, "seen")


@contextlib.contextmanager
def lan() -> Iterator[Lan]:
    """One of this process's own; what a killed run left behind is removed first."""
    remove_stale()
    made = Lan(f"{PREFIX}-{os.getpid()}")
    try:
        made.make()
        yield made
    finally:
        made.remove()
