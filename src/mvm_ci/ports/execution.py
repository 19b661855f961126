"""What a running execution needs of its engine: durable entries, effects, waiting.

What may wait is a coroutine: one thread runs many guests. Who drives it decides what waiting is.
"""

from typing import Final, Protocol

from mvm_ci.domain.http import HttpFailure, HttpRequest, HttpResult
from mvm_ci.domain.mail import Mail
from mvm_ci.domain.outcome import Outcome
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.segment import Segment
from mvm_ci.ports.guest import Unwind

CANCELLED: Final = HttpFailure("cancelled", "the job is being cancelled")
"""What a guest gets in place of an answer when its job is cancelled."""


class Leave(Unwind):
    """The guest has to go now.

    ``outcome``: how its placement ends; None: it belongs to somebody else, report nothing.
    """

    def __init__(self, outcome: Outcome | None) -> None:
        super().__init__("the guest leaves")
        self.outcome = outcome


class ExecutionHost(Protocol):
    """The engine's side of one placement.

    Every method may raise ``Leave`` (cancelled, timed out, handed over, stale).
    """

    def wall_ns(self) -> int:
        """Unix time in nanoseconds."""
        ...

    async def give_way(self) -> None:
        """The guest has computed for a while: others have a turn."""
        ...

    def cancelled(self) -> bool:
        """Whether the job is being cancelled. It ends the waits of ``http`` (with ``CANCELLED``), ``mail``
        and ``wait_until``.
        """
        ...

    def random_seed(self) -> bytes:
        """32 fresh random bytes."""
        ...

    def post(self, segment: Segment) -> None:
        """Sends entries on their way to be durable and returns at once. Segments become durable in order."""
        ...

    async def flush(self) -> None:
        """Returns when everything posted is durable."""
        ...

    async def http(self, request: HttpRequest, idempotency_key: str, *, whole: bool = False) -> HttpResult:
        """Performs the request, once the lease is valid.

        A body over 4 KiB comes back as a stored blob's reference; with ``whole`` no body is stored.
        """
        ...

    async def ask(self, name: str, key: str, argument: bytes) -> bytes:
        """Has the control plane do what a call of ``guest/abi/calls.md`` says, once the lease is valid: once,
        however often it is asked with the same ``key``. Returns its answer, a JSON document.
        """
        ...

    def tell(self, name: str, argument: bytes) -> None:
        """Tells the control plane something that may get lost."""
        ...

    async def mail(self, topics: tuple[str, ...], until_wall_ns: int) -> tuple[Mail, ...]:
        """Waits in place for mail about ``topics`` that the durable journal has not; none: ``until_wall_ns``
        was reached, and nothing had come by then.
        """
        ...

    async def wait_until(self, wall_ns: int) -> None:
        """Waits in place, the guest suspended; never longer than what was left, whatever the clock does."""
        ...

    async def spool(self, name: str, offset: int, data: bytes) -> None:
        """Takes bytes of the artifact that is being put under ``name``, in order; at 0 it begins anew. They
        go with the placement, unless ``ask`` keeps them (``domain.artifact.PUT``). Never fails: that ask
        does.
        """
        ...

    async def read_artifact(self, ref: BlobRef, offset: int, size: int) -> bytes:
        """The bytes of an artifact from ``offset`` on, ``size`` of them, or fewer at its end."""
        ...

    async def put_blob(self, data: bytes) -> BlobRef:
        """Stores a large payload where other engines can get it."""
        ...

    async def get_blob(self, ref: BlobRef) -> bytes:
        """The bytes of a stored payload."""
        ...
