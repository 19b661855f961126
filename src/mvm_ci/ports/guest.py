"""Running a guest: what it may ask of its host, and how a run ends.

One thread runs many guests, each on a stack of its own: a host call that may wait is a coroutine, which
suspends just its guest, and so is a run. Who drives a run's coroutine decides what waiting is.
"""

from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

import msgspec

from mvm_ci.domain.errors import MvmCiError
from mvm_ci.domain.http import HttpRequest, HttpResult
from mvm_ci.domain.outcome import Failure
from mvm_ci.files.system import FileSystem

RUNTIME_GUESTS: Final = 8_192
"""Guests that one runtime can hold at once, those that wait included."""


class Unwind(BaseException):
    """Raised by a host call to leave the guest for good.

    It waits too long, is stopped, or disagrees with its journal.

    The guest cannot catch it and none of its ``except`` or ``finally`` blocks run. A ``BaseException``, so
    that no ``except Exception`` between the host call and the run's caller swallows it.
    """


class GuestFailed(MvmCiError):
    """The guest ended without a result."""

    code = "guest-failed"

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class HostCalls(Protocol):
    """What a guest may ask. Each call may raise ``Unwind``, which ``Guest.run`` lets through unchanged."""

    @property
    def files(self) -> FileSystem:
        """The execution's files. They follow from the guest's calls, so nothing of them is journaled."""
        ...

    def wall_clock_ns(self) -> int:
        """Unix time in nanoseconds."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds since the execution began; never smaller than before."""
        ...

    async def give_way(self) -> None:
        """The guest has computed for a while: returns when the others have had a turn. Not journaled."""
        ...

    def random(self, size: int) -> bytes:
        """``size`` random bytes."""
        ...

    async def sleep_until(self, monotonic_ns: int) -> None:
        """Returns when ``monotonic_ns`` is reached (at once if it is past)."""
        ...

    async def sleep_for(self, duration_ns: int) -> None:
        """Returns after ``duration_ns``."""
        ...

    async def http(self, request: HttpRequest) -> HttpResult:
        """Performs one request. Never raises for what the network does."""
        ...

    async def call(self, name: str, argument: bytes) -> bytes:
        """One of the calls of ``guest/abi/calls.md``. Argument and answer are JSON documents; a guest that
        asks for nonsense is answered so.
        """
        ...

    async def write_artifact(self, name: str, data: bytes) -> bytes | None:
        """The call ``artifact.write`` with its bytes as they are. None: it is done; else what answers it."""
        ...

    async def read_artifact(self, digest: str, offset: int, size: int) -> tuple[bytes, bytes | None]:
        """The call ``artifact.read``, likewise: the bytes, and what answers it if there are none."""
        ...

    def log(self, stream: str, text: str) -> None:
        """One piece of text for ``stream``: ``stdout``, ``stderr`` or ``log``. Lines need not be whole."""
        ...


class GuestLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one run."""

    memory_bytes: int = 256 << 20
    result_bytes: int = 4 << 20
    table_elements: int = 100_000


class ModuleKind(StrEnum):
    """The two forms of guests."""

    CORE = "core"  # a core module: WASI preview 1 and our import module
    COMPONENT = "component"  # a component of our WIT world: Python


class CompiledModule(msgspec.Struct, frozen=True, kw_only=True):
    """Machine code made by this program on this machine, in its private cache."""

    digest: str
    kind: ModuleKind
    path: str


class ModuleCompiler(Protocol):
    """Turns modules into machine code, in a child process under limits, once."""

    async def compile(self, source: Path, digest: str) -> CompiledModule:
        """The compiled form of the module in ``source``, from the cache if it is there.

        Concurrent calls for one digest share one compilation. Raises ``BadModule`` (with the reason) if it
        cannot run here: not a module, unknown imports, over the limits of compile time or memory;
        ``Unavailable`` if the child process could not be run.
        """
        ...


class Guest(Protocol):
    """A loaded module, ready to run again and again; each run has a fresh instance."""

    async def run(self, payload: bytes, host: HostCalls, limits: GuestLimits) -> bytes:
        """Runs the guest with ``payload`` as input and returns its result.

        Raises ``GuestFailed``, whatever the guest did; and what a host call raised besides. An exception
        thrown in where it waits ends the guest at once, and comes out. ``MemoryError``: this process can get
        no memory, whoever has it.
        """
        ...


class GuestRuntime(Protocol):
    """The WebAssembly engine of one runner process. Used by one thread."""

    def load(self, module: CompiledModule) -> Guest:
        """Loads machine code (kept for later calls). Raises ``BadModule``."""
        ...

    def tick(self) -> None:
        """Ends the time slice of every guest that computes: it calls ``give_way`` soon. From any thread."""
        ...

    def close(self) -> None:
        """Frees what it holds; must not be called while a guest runs."""
        ...
