"""Entries in words, for the people who have to find out why a replay disagrees."""

from collections.abc import Callable
from typing import Final, assert_never
from zlib import crc32

from mvm_ci.domain.http import HttpRequest
from mvm_ci.domain.mail import Mail, shown_topic
from mvm_ci.domain.payload import BlobRef, Payload
from mvm_ci.journal.entries import (
    Awaited,
    Began,
    Called,
    CancelSeen,
    ClockRead,
    Continued,
    Entry,
    Finished,
    HttpDone,
    HttpIntent,
    Logged,
    Memoized,
    Placement,
    SecretRead,
    Slept,
    Took,
)

_SHOWN: Final = 60  # characters of a guest's text
_SUMMARY: Final = 200


def describe(entry: Entry) -> str:  # noqa: C901, PLR0912 - one line an entry
    """One line that completes "the journal records ..."; the same words for the same call and arguments."""
    match entry:
        case Began():
            words = f"the beginning of module {entry.module[:12]} with input {entry.input[:12]}"
        case ClockRead():
            words = f"a read of the {'wall' if entry.wall else 'monotonic'} clock"
        case Slept():
            words = _sleep(entry)
        case Logged():
            words = f"{_quoted(entry.text)} written to {entry.stream}"
        case HttpIntent():
            words = f"the intent of request {entry.summary} (digest {entry.request[:8]})"
        case HttpDone():
            words = f"the result of request {entry.summary} (digest {entry.request[:8]})"
        case Finished():
            words = _end(entry)
        case Memoized():
            words = _memo(entry)
        case Called():
            words = f"the answer to {entry.summary} (digest {entry.request[:8]})"
        case Awaited():
            words = _wait(entry)
        case Took():
            words = _mail(entry.mail)
        case CancelSeen():
            words = "that the guest learned of its cancellation"
        case Continued():
            words = f"the end, to go on with an input {_contents(entry.input)}"
        case SecretRead():
            words = f"that the secret {entry.name!r} was read, version {entry.version}"
        case Placement():
            words = f"placement {entry.epoch} on {entry.place}"
        case _:
            assert_never(entry)
    return words


def summarize(request: HttpRequest, mask: Callable[[str], str] = str) -> str:
    """``METHOD url`` for people: without query, fragment and user info, which may hold secrets. ``mask``:
    takes out those that are known.
    """
    url = mask(request.url).partition("#")[0].partition("?")[0]
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return storable(
        f"{mask(request.method)} {scheme}{mark}{authority.rpartition('@')[2]}{slash}{path}"[:_SUMMARY]
    )


def summarize_call(name: str, argument: bytes, about: str | None = None) -> str:
    """A call by name for people: what it says may be private, so only how much it is, if it is not said what
    it is about.
    """
    return f"{name} with {len(argument)} bytes" if about is None else storable(f"{name}: {about}")


def storable(text: str) -> str:
    """``text`` as UTF-8 can hold it: lone surrogates become ``?``."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _seconds(ns: int) -> str:
    """Exact: what differs reads differently."""
    whole, rest = divmod(ns, 1_000_000_000)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".") + " s"


def _sleep(entry: Slept) -> str:
    if entry.duration_ns is None:
        return f"a sleep until {_seconds(entry.wake_ns)} after the beginning"
    return f"a sleep of {_seconds(entry.duration_ns)}"


def _end(entry: Finished) -> str:
    if entry.failure is not None:
        return f"the end with failure {entry.failure.kind.value}: {_quoted(entry.failure.message)}"
    return f"the end with a result {_contents(entry.result or b'')}"


def _memo(entry: Memoized) -> str:
    name = _quoted(entry.name)
    if entry.value is None:
        return f"that {name} was not computed"
    return f"the computed value {name} {_contents(entry.value)}"


def _wait(entry: Awaited) -> str:
    until = "" if entry.duration_ns is None else f" for {_seconds(entry.duration_ns)}"
    return f"a wait{until} for mail about {_quoted(', '.join(map(shown_topic, entry.topics)))}"


def _mail(mail: Mail | None) -> str:
    if mail is None:
        return "that a wait for mail took too long"
    about = f"mail {mail.number} about {_quoted(shown_topic(mail.topic))}"
    if mail.failure is not None:
        return f"{about}: failure {mail.failure.kind.value}"
    return f"{about} {_contents(mail.body or b'')}"


def _contents(payload: Payload) -> str:
    if isinstance(payload, BlobRef):
        return f"of {payload.size} bytes (digest {payload.digest[:8]})"
    return f"of {len(payload)} bytes (CRC {crc32(payload):08x})"


def _quoted(text: str) -> str:
    if len(text) <= _SHOWN:
        return repr(text)
    return f"{text[:_SHOWN]!r}... ({len(text)} characters, CRC {crc32(text.encode()):08x})"
