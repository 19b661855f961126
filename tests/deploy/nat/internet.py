"""A small internet of network namespaces: a public part, and two hosts, each behind a NAT of its own.

::

    left   10.1.0.2 ── left-nat  198.51.100.2 ──┐
                                              public 192.0.2.1 (relay, web server)
    right  10.2.0.2 ── right-nat 203.0.113.2 ──┘
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CLONE_NEWNET: Final = 0x40000000
ETH_P_ALL: Final = 3
SO_RCVBUFFORCE: Final = 33
PREFIX: Final = "mvm-ci-nat"
PUBLIC: Final = "192.0.2.1"
_COMMAND_S: Final = 30
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
            ip("netns", "add", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
        ip("-n", self.public, "address", "add", f"{PUBLIC}/32", "dev", "lo")
        _forward(self.public)
        nft(self.public, _PUBLIC)
        for name, site in (("left", self.left), ("right", self.right)):
            _cable(self.public, name, site.nat, "outside", site.outer)
            _cable(site.nat, "inside", site.host, "eth0", site.inner)
            _forward(site.nat)
            nft(site.nat, _NAT)

    def all(self) -> tuple[str, ...]:
        """The namespaces' names."""
        return (self.public, self.left.nat, self.left.host, self.right.nat, self.right.host)

    def remove(self) -> None:
        """Removes what is there of it, and ends what still runs in it."""
        _remove(self.all())

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

    def seen(self, site: Site) -> set[tuple[str, str, int]]:
        """To where the site's host has opened conversations: address, protocol, port."""
        listed = run("ip", "netns", "exec", site.nat, "nft", "-j", "list", "set", "ip", "filter", "seen")
        (elements,) = [one["set"].get("elem", []) for one in json.loads(listed)["nftables"] if "set" in one]
        return {_triple(one) for one in elements}


def _triple(element: dict[str, list[str | int]]) -> tuple[str, str, int]:
    address, protocol, port = element["concat"]
    return str(address), str(protocol), int(port)


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


def remove_stale() -> None:
    """Removes the namespaces of test runs that are no more."""
    listed = run("ip", "netns", "list")
    names = [line.split()[0] for line in listed.splitlines() if line.startswith(PREFIX)]
    _remove([name for name in names if not _runs(name.split("-")[3])])


def _runs(pid: str) -> bool:
    """Whether there is such a process, other than one that ended and was not waited for."""
    try:
        return Path("/proc", pid, "cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread, the sockets it makes and the processes it starts live in ``namespace`` meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)
    with (
        Path("/proc/thread-self/ns/net").open("rb") as home,
        Path("/run/netns", namespace).open("rb") as there,
    ):
        _enter(libc, there.fileno())
        try:
            yield
        finally:
            _enter(libc, home.fileno())


def _enter(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def ip(*args: str) -> None:
    """``ip`` with these arguments; it must succeed."""
    run("ip", *args)


def nft(namespace: str, script: str) -> None:
    """Runs a script of ``nft`` in a namespace; it must succeed."""
    run("ip", "netns", "exec", namespace, "nft", "-f", "-", stdin=script)


def run(*command: str, stdin: str = "") -> str:
    """What the command printed; it must succeed."""
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=_COMMAND_S, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def _cable(near: str, near_end: str, far: str, far_end: str, network: str) -> None:
    """Connects two namespaces; the near end is .1 and the far one's way to everything else."""
    ip("link", "add", near_end, "netns", near, "type", "veth", "peer", "name", far_end, "netns", far)
    for namespace, end, number in ((near, near_end, 1), (far, far_end, 2)):
        ip("-n", namespace, "address", "add", f"{network}.{number}/24", "dev", end)
        ip("-n", namespace, "link", "set", end, "up")
    ip("-n", far, "route", "add", "default", "via", f"{network}.1")


def _forward(namespace: str) -> None:
    with inside(namespace):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _remove(namespaces: Iterable[str]) -> None:
    for namespace in namespaces:
        if not Path("/run/netns", namespace).exists():
            continue
        for pid in run("ip", "netns", "pids", namespace).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        ip("netns", "del", namespace)
