"""The messages between a worker or an engine and the control plane. Protocol version 3 (2 had no ``Redeem``
and ``Granted``, 1 no ``Ask``, ``Tell``, ``Answered``).

One stream, opened by the worker, carries frames both ways: a length (4 bytes, little-endian) and a
MessagePack array whose first element is the tag. Tags and fields are never renumbered or removed, only added
at the end. Golden frames: ``tests/golden/wire``. Framing: ``frames``; legal order: ``session``; large
payloads, modules and journals go on streams of their own: ``blobs``.

::

    worker                              control plane
      │ Hello ───────────────────────────▶ │   who (proven by the transport), versions, what runs
      │ ◀─────────────── Welcome | Refused │   session, lease; which placements go on
      │ Credit(4) ───────────────────────▶ │   free slots
      │ ◀──────────────────── Assign([..]) │   pushed as jobs appear; each uses one credit
      │ Started, Append, Ended, … ───────▶ │   batches: what gathered while the last write was under way
      │ ◀────────────── Appended, Recorded │   what is durable, what is stale
      │ Ask, Tell ───────────────────────▶ │   what a guest wants of the control plane
      │ ◀──────────────────────── Answered │   when it has it
      │ Heartbeat ───────────────────────▶ │   renews the lease
      │ ◀────────── Beat, Stop, Drain, Ping │

A worker whose engine is elsewhere is given ``Granted`` in place of ``Assign``; the engine, a peer of its own,
gives no credit, but shows grants (``Redeem``) and is given ``Assign``, or ``Drop``, for each.
"""

from typing import Final, TypeAlias

import msgspec

from mvm_ci.domain.grant import Grant, PeerRole
from mvm_ci.domain.ids import Incarnation, SessionId
from mvm_ci.domain.job import JobSpec, Placed
from mvm_ci.domain.outcome import Outcome
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.domain.segment import Append as AppendResult
from mvm_ci.domain.segment import Segment

PROTOCOL: Final = 3
OLDEST_PROTOCOL: Final = 1
GRANTS: Final = 3
"""The first version that has engines elsewhere."""
ALPN: Final = b"mvm-ci/worker/1"
MAX_FRAME: Final = 4 << 20
"""Bytes of one frame; a peer that announces more is cut off."""

NO_DEADLINE: Final = -1
"""In ``Assignment``: it may take as long as it likes."""
CLOSE_DONE: Final = 0
"""Close code: the side that closes is done (``Goodbye`` before, or a shutdown)."""
CLOSE_PROTOCOL: Final = 1
"""Close code: the peer broke the protocol; the reason says how."""
CLOSE_REPLACED: Final = 2
"""Close code: the same worker has a newer connection."""
CLOSE_SILENT: Final = 3
"""Close code: the peer has not answered for too long."""
CLOSE_REFUSED: Final = 403
"""Close code after ``Refused``."""

REFUSED_VERSION: Final = "version"
"""No common protocol version, or an unknown journal format. Final."""
REFUSED_JOIN: Final = "join-token"
"""Unknown worker and no usable join token. Final."""
REFUSED_REVOKED: Final = "revoked"
"""An operator revoked this worker's key. Final."""
REFUSED_KEY_IN_USE: Final = "key-in-use"
"""Another process with the same key is alive. Not final."""
REFUSED_UNAVAILABLE: Final = "unavailable"
"""The control plane cannot take workers now. Not final."""


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The first frame of a connection. Counts as heartbeat 0, which ``Welcome`` answers.

    ``running``: placements of which this incarnation still has the guest or an end without ``Recorded``
    (after a reconnect). ``ephemeral``: the worker is to be forgotten when its session is over.
    ``previous_over``: the process of ``previous`` is known to be dead: nobody need be asked whether it is.
    ``grants``: of an engine, one for each of ``running``.
    """

    oldest: int
    newest: int
    version: str
    incarnation: Incarnation
    previous: Incarnation | None
    join_token: str | None
    name: str
    platform: str
    slots: int
    journal_format: int
    running: tuple[Placed, ...] = ()
    labels: dict[str, str] = {}
    ephemeral: bool = False
    previous_over: bool = False
    role: PeerRole = PeerRole.WORKER
    grants: tuple[Grant, ...] = ()


class Credit(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """The worker can take ``more`` (at least 1) further jobs. Credits belong to a connection; each begins
    with none. ``extra``: guests that it has or may take beyond its slots just now, because so many wait.
    """

    more: int
    extra: int = 0


class Heartbeat(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """Renews the lease. ``number`` counts up from 1 on each connection; the answer carries it. ``running``:
    guests at work or waiting in place. ``runners``: processes that can run guests; -1: not told.
    """

    number: int
    running: int
    runners: int = -1


class Started(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Guests that run now. Left out for placements whose end goes out in the same write; repeated after a
    reconnect.
    """

    placements: tuple[Placed, ...]


class AppendItem(msgspec.Struct, frozen=True, array_like=True):
    """One segment for one placement's journal."""

    placed: Placed
    segment: Segment


class Append(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Journal segments; each ``Append`` is answered by one ``Appended``, in order. Sent again after a
    reconnect until answered.
    """

    items: tuple[AppendItem, ...]


class EndedItem(msgspec.Struct, frozen=True, array_like=True):
    """How one placement ended, with the entries that were not sent before."""

    placed: Placed
    outcome: Outcome
    tail: Segment | None


class Ended(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Placements that ended; sent again after a reconnect until ``Recorded`` answers."""

    items: tuple[EndedItem, ...]


class Draining(msgspec.Struct, frozen=True, array_like=True, tag=7, gc=False):
    """The worker takes nothing more and will leave; placements assigned meanwhile come back as
    ``Released``.
    """


class Pong(msgspec.Struct, frozen=True, array_like=True, tag=8, gc=False):
    """Answers ``Ping``."""

    number: int


class Goodbye(msgspec.Struct, frozen=True, array_like=True, tag=9, gc=False):
    """The worker has nothing left and ends its session for good."""


class Ask(msgspec.Struct, frozen=True, array_like=True, tag=10, gc=False):
    """A guest wants something that the control plane does; ``Answered`` carries the same ``number``, which
    counts up in this incarnation. Sent again after a reconnect until answered; done once for each ``key``.
    """

    number: int
    placed: Placed
    name: str
    key: str
    argument: bytes


class Tell(msgspec.Struct, frozen=True, array_like=True, tag=11, gc=False):
    """A guest says something that may get lost."""

    placed: Placed
    name: str
    argument: bytes


class Redeem(msgspec.Struct, frozen=True, array_like=True, tag=12, gc=False):
    """An engine shows grants that workers brought; each is answered by its place in an ``Assign``, or a
    ``Drop``. Sent again after a reconnect until answered.
    """

    grants: tuple[Grant, ...]


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """The session stands. ``keep``: of ``Hello.running``, those that go on; all others must be dropped
    without a report. ``clock_ms``: the control plane's wall clock (Unix milliseconds); 0: not told.
    """

    protocol: int
    session: SessionId
    lease_ms: int
    heartbeat_ms: int
    version: str
    keep: tuple[Placed, ...]
    clock_ms: int = 0


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """No session; the connection closes. ``final``: trying again cannot help (revoked, bad token,
    version).
    """

    code: str
    message: str
    final: bool


class Assignment(msgspec.Struct, frozen=True, array_like=True):
    """One job to run; ``journal``: all its durable segments, ``entries`` entries in all.

    A journal too large for a frame is left out: then ``entries`` is above 0, ``journal`` is empty, and the
    worker asks for it with ``blobs.GetJournal``. ``left_ms``: if it has not ended in this time, it fails.

    ``secrets``: one for each that the job names. The worker keeps them in memory only, as long as it has the
    placement.
    """

    placed: Placed
    attempt: int
    spec: JobSpec
    journal: tuple[Segment, ...] = ()
    entries: int = 0
    secrets: tuple[SecretValue, ...] = ()
    left_ms: int = NO_DEADLINE


class Assign(msgspec.Struct, frozen=True, array_like=True, tag=22):
    """Jobs to run; uses as many credits, but of an engine. What crosses ``Draining`` on the way comes back as
    ``Released``.
    """

    items: tuple[Assignment, ...]


class Appended(msgspec.Struct, frozen=True, array_like=True, tag=23):
    """What became of one ``Append``'s items, in order."""

    results: tuple[AppendResult, ...]


class Recorded(msgspec.Struct, frozen=True, array_like=True, tag=24):
    """These ends are durable, or stale: either way the worker may forget them."""

    placements: tuple[Placed, ...]


class Beat(msgspec.Struct, frozen=True, array_like=True, tag=25, gc=False):
    """The lease is renewed, counted from when ``Heartbeat(number)`` was sent.

    ``rest_ms``: a worker that holds nothing need send the next heartbeat only so long after that one, but at
    once when it is given something; 0: it goes on as ``Welcome`` says.
    """

    number: int
    rest_ms: int = 0


class Stop(msgspec.Struct, frozen=True, array_like=True, tag=26):
    """These jobs are being cancelled or paused: end them as ``Stopped``. ``cancel``: their guests are told
    first, and have the grace of their specs.
    """

    placements: tuple[Placed, ...]
    cancel: bool = False


class Drop(msgspec.Struct, frozen=True, array_like=True, tag=27):
    """These placements are over (a failed submit, another owner): end them and report nothing."""

    placements: tuple[Placed, ...]


class Drain(msgspec.Struct, frozen=True, array_like=True, tag=28, gc=False):
    """An operator drains the worker: what has not started goes back as ``Released``; with ``running``, what
    runs, too. It stays connected. (Workers from before ``running`` leave.)
    """

    running: bool = False


class Ping(msgspec.Struct, frozen=True, array_like=True, tag=29, gc=False):
    """Are you there? (Asked when another process claims the same key.)"""

    number: int


class Answered(msgspec.Struct, frozen=True, array_like=True, tag=30, gc=False):
    """The answer to ``Ask(number)``."""

    number: int
    answer: bytes


class Granted(msgspec.Struct, frozen=True, array_like=True, tag=31, gc=False):
    """Jobs for the engine of a worker that has none itself; uses as many credits as ``Assign``."""

    grants: tuple[Grant, ...]


class Resume(msgspec.Struct, frozen=True, array_like=True, tag=32, gc=False):
    """An operator lets a drained engine take placements again."""


FromWorker: TypeAlias = (
    Hello | Credit | Heartbeat | Started | Append | Ended | Draining | Pong | Goodbye | Ask | Tell | Redeem
)
FromControlPlane: TypeAlias = (
    Welcome
    | Refused
    | Assign
    | Appended
    | Recorded
    | Beat
    | Stop
    | Drop
    | Drain
    | Ping
    | Answered
    | Granted
    | Resume
)
