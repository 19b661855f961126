"""Which hosts and addresses a guest's request may reach.

Two things must agree: the *name* in the URL, which job and operator must both allow (``allowed``), and every
*address* behind the name, which must be public or explicitly opened (``NetworkPolicy.permits``).

A host pattern is one of

===================  ==========================================================================
``example.org``      that host, on the default ports 80 and 443
``example.org:8443`` that host, on that port only
``example.org:*``    that host, on any port
``*.example.org``    any host below that domain, not the domain itself; ports as above
``*``                any host; ports as above
``192.0.2.1``        an address that stands in the URL itself; IPv6 in brackets: ``[2001:db8::1]:443``
===================  ==========================================================================

A pattern without a port opens two ports, not 65,535: a host is named for its web service, not its database.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

import msgspec

from mvm_ci.domain.errors import BadInput

DEFAULT_PORTS: Final = frozenset({80, 443})
_MAX_HOST: Final = 253
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")

_CLOSED_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network, unspecified
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, cloud metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_CLOSED_V6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them: an IPv4 address in disguise
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")

Address = IPv4Address | IPv6Address


class HostPattern(NamedTuple):
    """A pattern taken apart. ``host``: empty for any. ``port``: None for the default ports, 0 for any."""

    host: str
    below: bool
    port: int | None

    def matches(self, host: str, port: int) -> bool:
        """Whether ``host`` (normalized) and ``port`` fit."""
        if self.port is None:
            if port not in DEFAULT_PORTS:
                return False
        elif self.port not in (0, port):
            return False
        if not self.host:
            return True
        return host.endswith("." + self.host) if self.below else host == self.host


class NetworkPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator allows. ``allow_networks``: networks (CIDR) that are open though they are not public.

    Raises ``BadInput``, naming the pattern or network, if one cannot be read.
    """

    allow_hosts: tuple[str, ...] = ()
    allow_networks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_patterns(self.allow_hosts)
        for text in self.allow_networks:
            _network(text)

    def permits(self, address: str) -> bool:
        """Whether a connection to ``address`` is allowed: it is public, or in one of ``allow_networks``.

        What is no address at all is not permitted.
        """
        try:
            effective = unwrap(ip_address(address))
        except ValueError:
            return False
        return is_public(effective) or any(effective in _network(text) for text in self.allow_networks)


def normalize_host(host: str) -> str:
    """The form of a host that is compared: lower case, no final dot, canonical addresses without brackets.

    Raises ``BadInput`` for what is neither a name nor an address. Names outside ASCII must be given in their
    ``xn--`` form.
    """
    lowered = host.lower()
    bracketed = lowered.startswith("[") and lowered.endswith("]")
    bare = lowered[1:-1] if bracketed else lowered
    if ":" in bare or bracketed:
        try:
            return str(IPv6Address(bare))
        except ValueError:
            raise BadInput(f"{host!r} is not an IPv6 address") from None
    name = bare.removesuffix(".")
    if len(name) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise BadInput(f"{host!r} is not a host name")
    return name


@lru_cache(maxsize=4096)
def parse_pattern(pattern: str) -> HostPattern:
    """``pattern`` taken apart. Raises ``BadInput``, naming it, if it is none."""
    host, port = _split_port(pattern)
    if host == "*":
        return HostPattern("", below=False, port=port)
    below = host.startswith("*.")
    try:
        name = normalize_host(host[2:] if below else host)
    except BadInput:
        raise BadInput(
            f"{pattern!r} is not a host pattern: a name, *.name or *, with :port or :* after it"
        ) from None
    if below and (":" in name or _is_address(name)):
        raise BadInput(f"{pattern!r} is not a host pattern: nothing is below an address")
    return HostPattern(name, below=below, port=port)


def covered(pattern: str, by: Sequence[str]) -> bool:
    """Whether all that ``pattern`` allows is allowed by one of ``by``. Raises ``BadInput``, naming one that
    is none.
    """
    asked = parse_pattern(pattern)
    return any(_covers(parse_pattern(one), asked) for one in by)


def _covers(wide: HostPattern, narrow: HostPattern) -> bool:
    port = wide.port in {0, narrow.port} or (wide.port is None and narrow.port in DEFAULT_PORTS)
    host = not wide.host or (wide.host, wide.below) == (narrow.host, narrow.below)
    return port and (host or (wide.below and narrow.host.endswith("." + wide.host)))


def check_patterns(patterns: Sequence[str]) -> None:
    """Raises ``BadInput``, naming the first pattern that cannot be read."""
    for pattern in patterns:
        parse_pattern(pattern)


def allowed(host: str, port: int, patterns: Sequence[str]) -> bool:
    """Whether any of ``patterns`` matches. Raises ``BadInput`` if ``host`` or a pattern cannot be read."""
    name = normalize_host(host)
    return any(parse_pattern(pattern).matches(name, port) for pattern in patterns)


def unwrap(address: Address) -> Address:
    """Where a packet really goes: IPv4 inside IPv6 (mapped, NAT64) comes out; a zone is left away."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    plain = IPv6Address(int(address))
    return IPv4Address(int(plain) & 0xFFFF_FFFF) if plain in _NAT64 else plain


def is_public(address: Address) -> bool:
    """Whether ``address`` is open internet: not private, local, shared, multicast, reserved or disguised."""
    effective = unwrap(address)
    if isinstance(effective, IPv4Address):
        return not any(effective in network for network in _CLOSED_V4)
    return effective in _GLOBAL_V6 and not any(effective in network for network in _CLOSED_V6)


def _split_port(pattern: str) -> tuple[str, int | None]:
    host, colon, port = pattern.rpartition(":")
    if not colon or (port.endswith("]") and host.startswith("[")):
        return pattern, None
    if port == "*":
        return host, 0
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise BadInput(
            f"{pattern!r} is not a host pattern: {port!r} is not a port (an IPv6 address needs brackets)"
        )
    if ":" in host and not host.startswith("["):
        raise BadInput(f"{pattern!r} is not a host pattern: an IPv6 address needs brackets")
    return host, int(port)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=256)
def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise BadInput(f"{text!r} is not a network: {error}") from None
