"""Parsers of settings: from text to a value. They raise ``ValueError`` with the end of a sentence."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from mvm_ci.domain.errors import BadInput

_UNITS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"
_SECONDS: Final = re.compile(_NUMBER)
_DURATION: Final = re.compile("".join(f"(?:({_NUMBER}){unit})?" for unit in _UNITS))
_LONGEST_S: Final = 1e11
_TICKET: Final = re.compile(r"endpoint[a-z2-7]{50,4000}")
_PROFILE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SIZE: Final = re.compile(r"([1-9]\d*)([KMGT]iB)")
_BINARY: Final = {"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
_MAX_SLOTS: Final = 4096
PUBLIC_RELAYS: Final = "public"
"""In place of a relay's address: those that the makers of iroh run for everybody."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a socket listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def duration(text: str) -> float:
    """Seconds in ``90s``, ``1h30m``, ``1.5h``, ``250ms`` or ``90``. Raises ``ValueError``."""
    typed = text.strip()
    match = _DURATION.fullmatch(typed)
    if _SECONDS.fullmatch(typed):
        seconds = float(typed)
    elif typed and match is not None:
        parts = zip(match.groups(), _UNITS.values(), strict=True)
        seconds = sum(float(number) * unit for number, unit in parts if number is not None)
    else:
        raise ValueError("is not a duration such as 90s, 5m or 1h30m")
    if seconds > _LONGEST_S:
        raise ValueError("is too long for a duration")
    return seconds


def positive_duration(text: str) -> float:
    """A duration that is more than nothing. Raises ``ValueError``."""
    seconds = duration(text)
    if seconds <= 0:
        raise ValueError("must be longer than 0s")
    return seconds


def lease(text: str) -> float:
    """A lease: long enough for heartbeats, short enough to notice a loss. Raises ``ValueError``."""
    seconds = duration(text)
    if not 1 <= seconds <= 3600:
        raise ValueError("is not between 1s and 1h")
    return seconds


def age(text: str) -> float:
    """Seconds of a duration, or 0 for ``forever``. Raises ``ValueError``."""
    return 0.0 if text.strip() == "forever" else positive_duration(text)


def count_limit(text: str) -> int:
    """A number that is at least 1, or 0 for ``all``. Raises ``ValueError``."""
    if text.strip() == "all":
        return 0
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise ValueError("is not a number from 1 on, or all")
    return int(text)


def size_limit(text: str) -> int:
    """Bytes in ``500MiB`` or ``20GiB``, or 0 for ``all``. Raises ``ValueError``."""
    if text.strip() == "all":
        return 0
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("is not a size such as 500MiB or 20GiB, or all")
    return int(match[1]) << _BINARY[match[2]]


def address(text: str) -> Address:
    """``host:port`` or ``[ipv6]:port``. Raises ``ValueError``."""
    host, colon, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError("is not host:port, such as 127.0.0.1:3020")
    return Address(host, int(port))


def base_url(text: str) -> str:
    """The address of an API, without a trailing slash. Raises ``ValueError``."""
    try:
        parts = urlsplit(text.strip())
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("is not an address such as http://127.0.0.1:3020")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must not carry a user, password or query; the token has a setting of its own")
    return text.strip().rstrip("/")


def is_ticket(text: str) -> bool:
    """Whether it has the form of a control plane's ticket, which stands where an address may."""
    return _TICKET.fullmatch(text.strip()) is not None


def api_address(text: str) -> str:
    """The address of an API, or the ticket of its control plane. Raises ``ValueError``."""
    if is_ticket(text):
        return text.strip()
    if text.strip().startswith("endpoint"):
        raise ValueError("looks like a ticket, but is not whole")
    return base_url(text)


def engine(text: str) -> str:
    """``embedded``, ``p2p`` or the address of an engine. Raises ``ValueError``."""
    if text.strip().lower() in {"embedded", "p2p"}:
        return text.strip().lower()
    try:
        return base_url(text)
    except ValueError:
        raise ValueError("is neither embedded, p2p nor an address such as http://127.0.0.1:27288") from None


def relay(text: str) -> str:
    """The address of a relay, or ``public``. Raises ``ValueError``."""
    if text.strip() == PUBLIC_RELAYS:
        return PUBLIC_RELAYS
    try:
        return base_url(text)
    except ValueError:
        raise ValueError(
            f"is neither an address such as https://relay.example nor {PUBLIC_RELAYS!r}"
        ) from None


def slot_count(text: str) -> int:
    """How many guests compute at once. Raises ``ValueError``."""
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= _MAX_SLOTS:
        raise ValueError(f"is not a number from 1 to {_MAX_SLOTS}")
    return int(text)


def count(text: str) -> int:
    """How many of something there may be. Raises ``ValueError``."""
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise ValueError("is not a number from 1 on")
    return int(text)


def size(text: str) -> int:
    """Bytes in ``256MiB``, ``1GiB`` or ``0``. Raises ``ValueError``."""
    typed = text.strip()
    match = _SIZE.fullmatch(typed)
    if match is None and typed != "0":
        raise ValueError("is not a size such as 256MiB or 1GiB")
    return 0 if match is None else int(match[1]) << _BINARY[match[2]]


def host_pattern(text: str) -> str:
    """A host that guests may call, as ``domain.network`` describes it. Raises ``ValueError``."""
    from mvm_ci.domain.network import parse_pattern  # noqa: PLC0415 - only who allows a host pays for it

    try:
        parse_pattern(text)
    except BadInput:
        raise ValueError("is not a host pattern: name, *.name or *, with :port or :* after it") from None
    return text


def network(text: str) -> str:
    """A network such as ``10.0.0.0/8``. Raises ``ValueError``."""
    from ipaddress import ip_network  # noqa: PLC0415 - only who allows a network pays for it

    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError("is not a network such as 10.1.0.0/16 or 127.0.0.1/32") from None


def label(text: str) -> str:
    """A label, ``key`` or ``key=value``. Raises ``ValueError``."""
    from mvm_ci.domain.labels import format_labels, parse_label  # noqa: PLC0415 - only workers pay for it

    key, value = parse_label(text)
    return format_labels({key: value})


def profile_name(text: str) -> str:
    """The name of a profile. Raises ``ValueError``."""
    if _PROFILE.fullmatch(text) is None:
        raise ValueError("is not a profile's name: letters, digits, - and _, at most 64")
    return text


def one_of(*allowed: str) -> Callable[[str], str]:
    """A parser for a choice."""

    def parse(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(f"is not one of {', '.join(allowed)}")
        return text.lower()

    return parse


def line(text: str) -> str:
    """One line of text. Raises ``ValueError``."""
    if not text.strip() or not text.isprintable():
        raise ValueError("is empty or holds control characters")
    return text.strip()


def path(text: str) -> Path:
    """A file or directory, absolute: other processes, elsewhere, are told of it. Raises ``ValueError``."""
    if "\0" in text:
        raise ValueError("holds a null character")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ValueError("names the home of an unknown user") from None


def namespace(text: str) -> str:
    """A namespace's name. Raises ``ValueError``."""
    from mvm_ci.domain.namespace import check_namespace  # noqa: PLC0415 - only who names one pays for it

    try:
        return check_namespace(text)
    except BadInput:
        raise ValueError("is not 1 to 63 lower-case letters, digits and inner hyphens") from None
