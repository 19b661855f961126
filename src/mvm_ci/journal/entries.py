"""The entries of a journal: everything a guest learned from the outside, in the order in which it learned it.

Format version 3 (1 had no ``Memoized``, 2 nothing from ``Called`` on). Entries are MessagePack arrays whose
first element is the tag; tags and fields are never renumbered or removed, only added at the end. Golden files
in ``tests/golden/journal`` hold every entry of every version.

An entry's *index* is its place in the journal, from 0. Entry 0 is always ``Began``.
"""

from typing import Final, TypeAlias

import msgspec

from mvm_ci.domain.http import HttpResult
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.mail import Mail
from mvm_ci.domain.outcome import Failure
from mvm_ci.domain.payload import Payload

FORMAT_VERSION: Final = 3


class Began(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """The execution began: what all later answers derive from. ``seed``: 32 bytes; ``wall_ns``.

    Unix time of monotonic 0.
    """

    format: int
    module: Digest
    input: Digest
    seed: bytes
    wall_ns: int


class ClockRead(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """The guest read a clock. ``wall``: which (else the monotonic one); ``value_ns`` is what it was told."""

    wall: bool
    value_ns: int


class Slept(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """The guest waits until ``wake_ns`` (monotonic); written when the wait begins.

    ``duration_ns``: how long it asked to wait; None: it named ``wake_ns`` itself.
    """

    wake_ns: int
    duration_ns: int | None


class Logged(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """The guest wrote text. ``at_ms``: Unix time of the host, for people; the guest never sees it."""

    stream: str
    text: str
    at_ms: int


class HttpIntent(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """A request that must not be repeated is about to leave.

    ``request``: digest of what was asked; ``summary`` for people.
    """

    request: Digest
    summary: str


class HttpDone(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """A request ended.

    ``request``: digest of what was asked; ``began_ms``/``ended_ms``: Unix times, for people.
    """

    request: Digest
    summary: str
    result: HttpResult
    began_ms: int
    ended_ms: int


class Finished(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """The guest ended: with a result, or with a failure."""

    result: Payload | None
    failure: Failure | None


class Placement(msgspec.Struct, frozen=True, array_like=True, tag=8, gc=False):
    """From here on another placement wrote: ``epoch`` and the worker's ``place`` (its name).

    Not a call of the guest; skipped by replay.
    """

    epoch: int
    place: str
    at_ms: int


class Memoized(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """The guest computed ``value`` under ``name``; None: it began to, and gave up.

    The rest is where the execution stood then: bytes drawn of its randomness, requests made, bytes of output,
    its clock. Replay goes from where the guest asks for the name straight to here.
    """

    name: str
    value: Payload | None
    drawn: int
    requests: int
    log_bytes: int
    floor_ns: int


class Called(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """The control plane did what the guest asked for, and answered. ``request``: digest of what was asked;
    ``summary`` for people.
    """

    request: Digest
    summary: str
    answer: Payload


class Awaited(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """The guest waits for mail about ``topics`` until ``wake_ns`` (monotonic); written when the wait begins.
    Of many topics, their number and digest.

    ``duration_ns``: how long it asked to wait; None: as long as it takes, whatever ``wake_ns`` says.
    """

    topics: tuple[str, ...]
    wake_ns: int
    duration_ns: int | None


class Took(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """The guest's wait ended: with ``mail``, or, as it took too long, with none."""

    mail: Mail | None


class SecretRead(msgspec.Struct, frozen=True, array_like=True, tag=13, gc=False):
    """The guest read a secret for the first time: from then on that version is what it is told."""

    name: str
    version: int


class CancelSeen(msgspec.Struct, frozen=True, array_like=True, tag=14, gc=False):
    """The guest learned, at its next call, that its job is being cancelled."""


class Continued(msgspec.Struct, frozen=True, array_like=True, tag=15):
    """The guest ended, to go on as a new execution with ``input``."""

    input: Payload


Entry: TypeAlias = (
    Began
    | ClockRead
    | Slept
    | Logged
    | HttpIntent
    | HttpDone
    | Finished
    | Placement
    | Memoized
    | Called
    | Awaited
    | Took
    | SecretRead
    | CancelSeen
    | Continued
)
