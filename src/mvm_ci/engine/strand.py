"""One task in a runner: its guest's coroutine, and what that waits for."""

from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

from mvm_ci.engine.messages import Task
from mvm_ci.lifecycle.execute import Result as Ended
from mvm_ci.ports.guest import CompiledModule, Guest, GuestLimits, HostCalls

T = TypeVar("T")


class Strand:
    """``coroutine``: None before it begins. ``inside``: its guest runs, or waits in a host call.
    ``waits``: for this answer. ``run_ns``: how long it has computed.
    """

    __slots__ = ("coroutine", "inside", "module", "number", "run_ns", "task", "waits")

    def __init__(self, task: Task, module: CompiledModule) -> None:
        self.task = task
        self.number = task.number
        self.module = module
        self.coroutine: Coroutine[Any, Any, Ended] | None = None
        self.inside = False
        self.run_ns = 0
        self.waits: Answer[Any] | None = None


class Answer(Generic[T]):
    """What one strand waits for: await it, once. It yields itself to whoever drives the coroutine."""

    __slots__ = ("given", "strand", "value")

    def __init__(self, strand: Strand) -> None:
        self.strand = strand
        self.given = False
        self.value: T

    def give(self, value: T) -> None:
        """The answer is here."""
        self.value = value
        self.given = True

    def __await__(self) -> Generator["Answer[T]", None, T]:
        if not self.given:
            yield self
        return self.value


class GiveWay:
    """Await it to let others have a turn: it yields None."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield


class Entered:
    """A guest that notes when it is inside: only then can it be made to leave with its journal."""

    __slots__ = ("_guest", "_strand")

    def __init__(self, guest: Guest, strand: Strand) -> None:
        self._guest = guest
        self._strand = strand

    async def run(self, payload: bytes, host: HostCalls, limits: GuestLimits) -> bytes:
        """See ``ports.guest.Guest.run``."""
        self._strand.inside = True
        try:
            return await self._guest.run(payload, host, limits)
        finally:
            self._strand.inside = False
