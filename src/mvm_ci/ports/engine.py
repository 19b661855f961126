"""The engine: runs placements of jobs as durable executions.

The engine asks its ``JournalSink`` to make entries durable, its ``Lease`` before an effect leaves, the
``ControlPlane`` for what only that can do, and tells its ``EngineEvents`` what happened. It does not know
where the queue is.
"""

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from mvm_ci.domain.errors import MvmCiError
from mvm_ci.domain.grant import Grant
from mvm_ci.domain.job import JobSpec, Placed
from mvm_ci.domain.outcome import Outcome
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.ports.guest import CompiledModule


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """A job to run. ``journal``: all durable segments of the execution, in order. ``secrets``: for its guest
    alone; kept in memory, and not longer than the placement lasts. ``left_ms``: if it has not ended in this
    time from now, it fails (``OVERDUE``), wherever it is.
    """

    placed: Placed
    attempt: int
    spec: JobSpec
    journal: tuple[Segment, ...] = ()
    secrets: tuple[SecretValue, ...] = ()
    left_ms: int | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A placement that ended, with journal entries that are not durable yet.

    ``run_ns``: how long its guest computed, waiting not included; 0 if it never did.
    """

    placed: Placed
    outcome: Outcome
    tail: Segment | None = None
    run_ns: int = 0


class EngineEvents(Protocol):
    """Told by the engine, in order for each placement; must not block."""

    def started(self, placements: Sequence[Placed]) -> None:
        """Their guests run."""
        ...

    def ended(self, ended: Sequence[Ended]) -> None:
        """They are gone; their slots are free."""
        ...

    def slots_freed(self) -> None:
        """Guests began to wait in place: ``Engine.extra`` has grown."""
        ...


class JournalSink(Protocol):
    """Where entries become durable."""

    def append(self, placed: Placed, segment: Segment) -> asyncio.Future[Append]:
        """Done when the segment is durable or refused, however long the control plane cannot be reached.

        Its result may raise ``MvmCiError``. Cancelled, the segment is given up: it may be durable or not.
        """
        ...


class ControlPlane(Protocol):
    """What the control plane does for guests: children, messages, promises, what users see of a job."""

    async def ask(self, placed: Placed, name: str, key: str, argument: bytes) -> bytes:
        """Its answer. Asked again with the same ``key``, it does nothing twice.

        Waits as long as the control plane cannot be reached. Cancelled, it is given up.
        """
        ...

    def tell(self, placed: Placed, name: str, argument: bytes) -> None:
        """Says something that may get lost."""
        ...


class Lease(Protocol):
    """The right to let effects leave, of whoever holds a placement."""

    async def wait_valid(self, placed: Placed) -> None:
        """Returns when the lease is valid (again)."""
        ...


class OwnLease(Lease, Protocol):
    """The lease of this process's own session, under which all its placements are."""

    def valid(self) -> bool:
        """Whether it has not run out."""
        ...

    def left_ms(self) -> int:
        """For how long it is valid; 0 if it is not."""
        ...

    async def until_valid(self) -> None:
        """Returns when it is valid (again)."""
        ...


class PayloadStore(Protocol):
    """Large payloads and modules, near or far."""

    async def put(self, data: bytes) -> BlobRef:
        """Stores bytes where every other engine can get them, durably on return."""
        ...

    async def get(self, ref: BlobRef) -> bytes:
        """The bytes. Raises ``NotFound`` or ``Unavailable``."""
        ...

    async def module(self, digest: str) -> CompiledModule:
        """The compiled module. Raises ``BadModule``, ``NotFound`` or ``Unavailable``."""
        ...


class NotKept(MvmCiError):
    """An artifact cannot be kept: the disk is full, a quota is used up, it is too large. ``kind``: for
    guests.
    """

    code = "not-kept"

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Spool(Protocol):
    """The bytes of an artifact as they come, on the engine's disk."""

    async def write(self, data: bytes) -> None:
        """Takes the next ones. Raises ``NotKept``, and then ever again, as ``upload`` does."""
        ...

    async def upload(self, placed: Placed) -> BlobRef:
        """Brings all of them where every other engine can get them, durably on return.

        Waits as long as the control plane cannot be reached. Raises ``NotKept``.
        """
        ...

    def discard(self) -> None:
        """They are not needed any more. Safe to repeat."""
        ...


class ArtifactFiles(Protocol):
    """Artifacts as files of the engine: of any size, with no more than a piece of one in memory."""

    def spool(self) -> Spool:
        """An empty one."""
        ...

    async def hold(self, ref: BlobRef) -> Path:
        """Gets an artifact near, where it stays until ``release``, as often as it is held: a file, only to be
        read. Raises ``NotFound``, ``Unavailable``.
        """
        ...

    def release(self, ref: BlobRef) -> None:
        """Ends one ``hold``."""
        ...

    async def read(self, ref: BlobRef, offset: int, size: int) -> bytes:
        """A part of one that is held; fewer bytes at its end. Raises ``Unavailable``."""
        ...


class Hosted(Protocol):
    """An engine, wherever it is, as those see it who have placements there."""

    @property
    def slots(self) -> int:
        """How many guests compute at once. Those that wait in place have no slot."""
        ...

    @property
    def extra(self) -> int:
        """How many guests it has or may take beyond the slots, because so many wait in place now."""
        ...

    @property
    def capacity(self) -> int:
        """How many guests it has at once at most, those that wait in place included."""
        ...

    @property
    def runners(self) -> int:
        """How many runners are ready: 0 for long means that nothing can run."""
        ...

    async def start(self) -> None:
        """Returns when guests can run; placements taken before wait. Raises ``Unavailable`` if none can."""
        ...

    def stop(self, placed: Placed) -> None:
        """Ends a placement as ``Stopped``, running or not, within 100 ms. Unknown ones are ignored."""
        ...

    def cancel(self, placed: Placed) -> None:
        """Its job is being cancelled: a guest that has begun is told at its next call, and has the grace of
        its spec to clean up. Then, or if there is none, it ends as ``Stopped``. Unknown ones are ignored.
        """
        ...

    def drop(self, placements: Sequence[Placed]) -> None:
        """Ends placements with no report at all, now: they belong to somebody else.

        Unknown ones are ignored.
        """
        ...

    def release_waiting(self, only: Collection[Placed] | None = None) -> None:
        """Ends placements that have not started as ``Released``; ``only``: those of them."""
        ...

    def release_all(self, only: Collection[Placed] | None = None) -> None:
        """Ends every placement as ``Released``, those that run with their journal; takes new ones then.
        ``only``: those of them.
        """
        ...

    async def drain(self, grace_s: float) -> None:
        """Takes nothing more; waits ``grace_s`` for the running ones.

        Then hands them over (``Released``, with their journal).
        """
        ...

    async def close(self) -> None:
        """Kills the runners and frees everything. Placements that run are not reported."""
        ...


class Engine(Hosted, Protocol):
    """See the module's docstring."""

    def place(self, placements: Sequence[Placement]) -> None:
        """Takes placements; they start in order as slots get free. A guest that waited goes on at once.

        Each ends with exactly one ``ended``, unless it is dropped.
        """
        ...


class RemoteEngine(Hosted, Protocol):
    """An engine that is a peer of its own: it gets what it runs, and makes entries durable, by itself."""

    @property
    def reachable(self) -> bool:
        """Whether it answers, and takes placements."""
        ...

    def entrust(self, grants: Sequence[Grant]) -> None:
        """Hands placements over; like ``Engine.place``."""
        ...
