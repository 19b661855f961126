"""A small internet of network namespaces: a public part, and two hosts, each behind a NAT of its own.

::

    left   10.1.0.2 ── left-nat  198.51.100.2 ──┐
                                              public 192.0.2.1 (relay, web server)
    right  10.2.0.2 ── right-nat 203.0.113.2 ──┘
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.deploy.network import (
    PREFIX,
    Key,
    add,
    cable,
    elements,
    forward,
    inside,
    ip,
    nft,
    remove,
    remove_stale,
)

ETH_P_ALL: Final = 3
SO_RCVBUFFORCE: Final = 33
PUBLIC: Final = "192.0.2.1"
_NAT: Final = """
table ip nat {
    chain forwarded { type nat hook prerouting priority dstnat; }
    chain leaving { type nat hook postrouting priority srcnat; oifname "outside" masquerade; }
}
table ip filter {
    set seen { type ipv4_addr . inet_proto . inet_service; flags dynamic; size 4096; }
    chain arriving {
        type filter hook prerouting priority mangle;
        iifname "inside" ct state new add @seen { ip daddr . meta l4proto . th dport }
    }
    chain input { type filter hook input priority filter; iifname "outside" ct state new drop; }
    chain forward {
        type filter hook forward priority filter;
        iifname "outside" ct state new ct status & dnat == 0 drop
    }
}
"""
_PUBLIC: Final = """
table ip filter {
    chain forward { type filter hook forward priority filter; }
}
"""


@dataclass(frozen=True)
class Site:
    """A host and the NAT before it. ``inner`` and ``outer`` are the first three numbers of their networks."""

    host: str
    nat: str
    inner: str
    outer: str

    @property
    def address(self) -> str:
        """What the public part sees of it."""
        return f"{self.outer}.2"


class Internet:
    """The namespaces. Made by ``internet``, which removes them, too."""

    def __init__(self, name: str) -> None:
        self.public = f"{name}-public"
        self.left = Site(f"{name}-left", f"{name}-left-nat", "10.1.0", "198.51.100")
        self.right = Site(f"{name}-right", f"{name}-right-nat", "10.2.0", "203.0.113")

    def make(self) -> None:
        """Makes and connects everything."""
        for namespace in self.all():
            add(namespace)
        ip("-n", self.public, "address", "add", f"{PUBLIC}/32", "dev", "lo")
        forward(self.public)
        nft(self.public, _PUBLIC)
        for name, site in (("left", self.left), ("right", self.right)):
            cable(self.public, name, site.nat, "outside", site.outer)
            cable(site.nat, "inside", site.host, "eth0", site.inner)
            forward(site.nat)
            nft(site.nat, _NAT)

    def all(self) -> tuple[str, ...]:
        """The namespaces' names."""
        return (self.public, self.left.nat, self.left.host, self.right.nat, self.right.host)

    def remove(self) -> None:
        """Removes what is there of it, and ends what still runs in it."""
        remove(self.all())

    def block_direct(self) -> None:
        """No UDP passes between the two sites; each still reaches the public part."""
        nft(self.public, "add rule ip filter forward meta l4proto udp drop")

    def allow_direct(self) -> None:
        """UDP passes again."""
        nft(self.public, "flush chain ip filter forward")

    def open_port(self, site: Site, port: int) -> None:
        """The site's NAT forwards a UDP port to its host, as an operator sets it up."""
        nft(
            site.nat,
            f'add rule ip nat forwarded iifname "outside" udp dport {port} dnat to {site.inner}.2:{port}',
        )

    def renumber_host(self, site: Site) -> None:
        """The host gets another address behind its NAT, as after a change of network."""
        ip("-n", site.host, "address", "del", f"{site.inner}.2/24", "dev", "eth0")
        ip("-n", site.host, "address", "add", f"{site.inner}.7/24", "dev", "eth0")
        ip("-n", site.host, "route", "replace", "default", "via", f"{site.inner}.1")

    def renumber_nat(self, site: Site) -> None:
        """The NAT gets another public address and forgets every mapping, as after a new dial-in."""
        ip("-n", site.nat, "address", "del", f"{site.outer}.2/24", "dev", "outside")
        ip("-n", site.nat, "address", "add", f"{site.outer}.7/24", "dev", "outside")
        ip("-n", site.nat, "route", "replace", "default", "via", f"{site.outer}.1")

    @contextlib.contextmanager
    def overheard(self) -> Iterator[list[bytes]]:
        """Every packet that reaches or leaves the public part during the block."""
        packets: list[bytes] = []
        over = threading.Event()
        with inside(self.public):
            listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        listener.settimeout(0.1)
        listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)

        def listen() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    packets.append(listener.recv(1 << 17))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield packets
        finally:
            over.set()
            thread.join(timeout=10)
            listener.close()

    def seen(self, site: Site) -> set[Key]:
        """To where the site's host has opened conversations: address, protocol, port."""
        return elements(site.nat, "seen")


@contextlib.contextmanager
def internet() -> Iterator[Internet]:
    """An internet of this process's own; what a killed run left behind is removed first."""
    remove_stale()
    made = Internet(f"{PREFIX}-{os.getpid()}")
    try:
        made.make()
        yield made
    finally:
        made.remove()
