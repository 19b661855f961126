"""Entries at a glance: when, what the guest did, what it was told; for whoever reads a whole journal.

An entry of a kind that ``_GLANCES`` has not is shown in the words of ``describe``, with the time of its own
fields.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from mvm_ci.domain.http import HttpFailure, HttpResult
from mvm_ci.domain.payload import BlobRef, Payload
from mvm_ci.journal.describe import describe
from mvm_ci.journal.entries import (
    Began,
    ClockRead,
    Entry,
    Finished,
    HttpDone,
    HttpIntent,
    Logged,
    Memoized,
    Placement,
    Slept,
)

LONGEST: Final = 200
"""Characters of what the guest did, and of what it was told."""
_NS_PER_MS: Final = 1_000_000
_TIMES: Final = ("ended_ms", "at_ms")
"""Fields with a Unix time; the first one that an entry has is its time."""


class Glance(NamedTuple):
    """``what`` the guest did, ``answer``: what it was told; each one line. ``at_ms``: Unix time, if known."""

    what: str
    answer: str = ""
    at_ms: int | None = None


def glance(entry: Entry, began_ns: int) -> Glance:
    """One entry of an execution that began at ``began_ns`` (Unix)."""
    make = _GLANCES.get(type(entry))
    found = Glance(describe(entry)) if make is None else make(entry, began_ns)
    at_ms = found.at_ms
    if at_ms is None:
        at_ms = next((getattr(entry, name) for name in _TIMES if hasattr(entry, name)), None)
    return Glance(_cut(found.what), _cut(found.answer), at_ms)


def preview(payload: Payload | None) -> str:
    """A value in one line: its text if it is text, else its size."""
    if payload is None:
        return ""
    if isinstance(payload, BlobRef):
        return f"{payload.size} bytes (digest {payload.digest[:8]})"
    try:
        return payload[: 4 * LONGEST].decode()
    except UnicodeDecodeError:
        return f"{len(payload)} bytes"


def _began(entry: Began, _began_ns: int) -> Glance:
    return Glance(
        f"module {entry.module[:12]} input {entry.input[:12]}",
        f"format {entry.format}",
        entry.wall_ns // _NS_PER_MS,
    )


def _clock(entry: ClockRead, began_ns: int) -> Glance:
    at_ns = entry.value_ns if entry.wall else began_ns + entry.value_ns
    return Glance("wall" if entry.wall else "monotonic", _span(entry.value_ns), at_ns // _NS_PER_MS)


def _sleep(entry: Slept, began_ns: int) -> Glance:
    if entry.duration_ns is None:
        return Glance(f"until {_span(entry.wake_ns)}")
    at_ns = began_ns + entry.wake_ns - entry.duration_ns
    return Glance(_span(entry.duration_ns), f"until {_span(entry.wake_ns)}", at_ns // _NS_PER_MS)


def _end(entry: Finished, _began_ns: int) -> Glance:
    if entry.failure is not None:
        return Glance(f"failure {entry.failure.kind.value}", entry.failure.message)
    return Glance("result", preview(entry.result))


def _memo(entry: Memoized, began_ns: int) -> Glance:
    answer = "given up" if entry.value is None else preview(entry.value)
    return Glance(entry.name, answer, (began_ns + entry.floor_ns) // _NS_PER_MS)


def _http(result: HttpResult, took_ms: int) -> str:
    if isinstance(result, HttpFailure):
        return f"{result.kind}: {result.message}"
    size = result.body.size if isinstance(result.body, BlobRef) else len(result.body)
    return f"{result.status}, {size} bytes, {took_ms} ms"


_GLANCES: Final[dict[type[Entry], Callable[[Any, int], Glance]]] = {
    Began: _began,
    ClockRead: _clock,
    Slept: _sleep,
    Logged: lambda entry, _: Glance(f"{entry.stream}: {entry.text}"),
    HttpIntent: lambda entry, _: Glance(entry.summary),
    HttpDone: lambda entry, _: Glance(entry.summary, _http(entry.result, entry.ended_ms - entry.began_ms)),
    Finished: _end,
    Memoized: _memo,
    Placement: lambda entry, _: Glance(f"{entry.epoch} on {entry.place}"),
}


def _span(ns: int) -> str:
    return f"{ns / 1e9:.3f} s"


def _cut(text: str) -> str:
    """On one line, and not too long."""
    line = " ".join(text[: 4 * LONGEST].split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
