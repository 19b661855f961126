"""iroh's errors in our words: what happened, without the paths of the machine that built the library."""

import re

import iroh

from mvm_ci.domain.errors import Misconfigured, Unavailable

_SOURCE_PLACE = re.compile(r"\s*\(/[^)]*:\d+:\d+\)")
_CLOSED_BY_PEER = re.compile(
    r"closed by peer: (?:(?P<reason>.*) \(code (?P<code>\d+)\)|(?P<bare>\d+))", re.DOTALL
)
_TOLD = re.compile(r'ApplicationClose \{ error_code: (?P<code>\d+), reason: b"(?P<reason>.*)" \}')
_ANOTHER_KEY = "invalid peer certificate"
_ADDRESS_IN_USE = "os error 98"
_LONGEST = 200


def cause(error: iroh.IrohError) -> str:
    """The innermost cause, on one line."""
    text = _SOURCE_PLACE.sub("", error.message())
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else "unknown error")[:_LONGEST]


def gone(error: iroh.IrohError) -> Unavailable:
    """A connection or stream that does not work any more."""
    told = _TOLD.search(error.message())
    if told is not None and told["reason"]:
        # As Rust shows bytes: quotes are escaped.
        reason = re.sub(r"\\(['\"])", r"\1", told["reason"])
        return Unavailable(f"the other side closed the connection: {reason} ({told['code']})")
    return Unavailable(f"the connection is gone: {cause(error)}")


def cannot_connect(error: iroh.IrohError, where: str, more: str) -> Unavailable:
    """A connection that does not come to be. ``where``: the addresses tried; ``more``: is added."""
    if _ANOTHER_KEY in error.message():
        return Unavailable(
            f"who answers at {where} has another key than the ticket names{more}; "
            "take the ticket of the control plane that runs there now"
        )
    return Unavailable(f"cannot connect to {where}: {cause(error)}{more}")


def cannot_bind(error: iroh.IrohError, address: str) -> Misconfigured:
    """A socket that could not be opened."""
    if in_use(error):
        return Misconfigured(
            f"UDP port of {address} is in use by another process; stop that process or choose another port"
        )
    return Misconfigured(f"cannot listen on {address} (UDP): {cause(error)}")


def parse_close(reason: str | None) -> tuple[int, str] | None:
    """Code and reason with which the peer closed; None if it did not (cut, timed out, closed by us)."""
    match = _CLOSED_BY_PEER.fullmatch(reason or "")
    if match is None:
        return None
    if match["bare"] is not None:
        return int(match["bare"]), ""
    return int(match["code"]), match["reason"]


def in_use(error: iroh.IrohError) -> bool:
    """Whether a socket could not be opened because another one has the port."""
    return _ADDRESS_IN_USE in error.message()
