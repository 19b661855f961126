"""Compiles modules in child processes and keeps the result; implements ``ports.guest.ModuleCompiler``."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from mvm_ci.adapters.wasm.engine_settings import BAD_MODULE
from mvm_ci.adapters.wasm.fingerprint import fingerprint
from mvm_ci.domain.errors import BadModule, Misconfigured, NotFound, Unavailable
from mvm_ci.domain.module import MAX_MODULE_BYTES, inspect
from mvm_ci.ports.guest import CompiledModule, ModuleKind

_REASON_BYTES: Final = 2_000
_AT_LIMITS: Final = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGXCPU)


class CompileLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What compiling one module may take; ``memory_bytes`` beyond what an idle engine has mapped."""

    seconds: int = 120
    cpu_seconds: int = 240
    memory_bytes: int = 2 << 30


class _Compilation:
    """``wanted``: by how many. Nobody wants it any more: it ends."""

    def __init__(self, task: asyncio.Task[CompiledModule]) -> None:
        self.task = task
        self.wanted = 0


class ChildCompiler:
    """A private directory of machine code, and the child processes that fill it."""

    def __init__(self, cache: Path, limits: CompileLimits | None = None) -> None:
        """``cache`` is made with mode 0700. Raises ``Misconfigured`` if others could write into it."""
        self._cache = cache
        self._limits = limits or CompileLimits()
        self._running: dict[str, _Compilation] = {}
        self._serial = 0
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = cache.stat()
        # Loading machine code trusts it completely.
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise Misconfigured(f"{cache}: the cache of compiled modules must be writable by this user only")
        self._fingerprints = {kind: fingerprint(kind) for kind in ModuleKind}

    async def compile(self, source: Path, digest: str) -> CompiledModule:
        """See ``ports.guest.ModuleCompiler.compile``."""
        found = self._cached(digest)
        if found is not None:
            return found
        going_on = self._running.get(digest)
        if going_on is None:
            going_on = _Compilation(asyncio.create_task(self._compile(source, digest)))
            self._running[digest] = going_on
        going_on.wanted += 1
        try:
            # One caller that gives up must not take the result from the others.
            return await asyncio.shield(going_on.task)
        finally:
            going_on.wanted -= 1
            if not going_on.wanted:
                if self._running.get(digest) is going_on:
                    del self._running[digest]
                going_on.task.cancel()
                # Until the child is gone.
                await asyncio.wait([going_on.task])

    def _cached(self, digest: str) -> CompiledModule | None:
        candidates = (self._compiled(kind, digest) for kind in ModuleKind)
        return next((found for found in candidates if Path(found.path).exists()), None)

    def _compiled(self, kind: ModuleKind, digest: str) -> CompiledModule:
        path = self._cache / f"{digest}-{kind}-{self._fingerprints[kind]}.cwasm"
        return CompiledModule(digest=digest, kind=kind, path=str(path))

    async def _compile(self, source: Path, digest: str) -> CompiledModule:
        kind = await asyncio.to_thread(_kind, source)
        compiled = self._compiled(kind, digest)
        target = Path(compiled.path)
        self._serial += 1
        partial = target.with_suffix(f".{os.getpid()}-{self._serial}.partial")
        try:
            await self._run_child(compiled.kind, source, partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return compiled

    async def _run_child(self, kind: ModuleKind, source: Path, target: Path) -> None:
        limits = self._limits
        try:
            child = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-m",
                    "mvm_ci.adapters.wasm.compile_child",
                    kind.value,
                    str(source),
                    str(target),
                ),
                *(str(number) for number in (os.getpid(), limits.memory_bytes, limits.cpu_seconds)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                # Ctrl-C goes to all processes of a terminal: what this one is to do, its parent decides.
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(f"the compiler could not be started: {error}") from error
        try:
            reason, complaint = await asyncio.wait_for(child.communicate(), limits.seconds)
        except TimeoutError:
            raise BadModule(f"compiling it takes more than {limits.seconds} s") from None
        finally:
            if child.returncode is None:
                with suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        if child.returncode == 0:
            return
        if child.returncode == BAD_MODULE:
            raise BadModule(reason[:_REASON_BYTES].decode(errors="replace").strip())
        raise _killed(child.returncode, complaint, limits)


def _killed(code: int | None, complaint: bytes, limits: CompileLimits) -> BadModule | Unavailable:
    """A child that ended by itself ran into a limit: a failed allocation aborts it, too much CPU time kills
    it. Any other signal came from somebody, and says nothing about the module.
    """
    text = " ".join(complaint.decode(errors="replace").split())[-300:]
    if code == -signal.SIGKILL:
        # Not the module's fault: somebody, or the system for want of memory, killed it.
        return Unavailable("the compiler was killed")
    if code is not None and -code in _AT_LIMITS:
        return BadModule(
            f"compiling it takes more than {limits.cpu_seconds} s of CPU time or "
            f"{limits.memory_bytes >> 20} MiB "
            f"(signal {-code})"
        )
    if "MemoryError" in text or "memory allocation" in text or "Cannot allocate memory" in text:
        return BadModule(f"compiling it takes more than {limits.memory_bytes >> 20} MiB: {text}")
    return Unavailable(f"the compiler failed with exit code {code}: {text}")


def _kind(source: Path) -> ModuleKind:
    try:
        with source.open("rb") as file:
            return ModuleKind(inspect(file.read(MAX_MODULE_BYTES + 1)).kind)
    except FileNotFoundError:
        raise NotFound(f"{source}: no such module") from None
    except OSError as error:
        raise Unavailable(f"{source}: {error}") from error
