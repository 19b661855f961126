"""Replays on this machine: compiles a module as a worker does and rehearses guests in a child process."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, NamedTuple, Self

from mvm_ci.adapters.wasm.compiler import ChildCompiler
from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.errors import CorruptJournal, NotFound, ProtocolError
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef
from mvm_ci.engine.inputs import InputFile
from mvm_ci.engine.rehearsal_messages import Rehearse
from mvm_ci.engine.rehearsals import Rehearsals, Written
from mvm_ci.journal.damage import mend
from mvm_ci.journal.refers import blobs_in
from mvm_ci.lifecycle.rehearse import Damaged, Undecided, Verdict
from mvm_ci.ports.guest import CompiledModule
from mvm_ci.wire.recording import Recording

Fetch = Callable[[], Awaitable[bytes]]
"""Gets the bytes of a module from where they are."""
FetchPayload = Callable[[str, int], Awaitable[bytes]]
"""Gets the bytes with a digest that the journal's entry of this index refers to, or the job itself."""
_PREFIX: Final = "mvm-ci-replay-"


FetchInput = Callable[[str], AsyncIterator[bytes]]
"""Gets the bytes of what the job was given under this name, piece by piece."""


class Replayed(NamedTuple):
    """``lost``: entries of a torn tail, which were left out."""

    verdict: Verdict
    lost: int = 0


class Replays:
    """An async context manager. ``cache``: of compiled modules, which others may share; ``at_once``: how many
    guests run side by side.
    """

    def __init__(self, cache: Path, at_once: int = 1) -> None:
        self._compiler = ChildCompiler(cache)
        self._directory = TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
        self._path = Path(self._directory.name)
        self._rehearsals = [Rehearsals(self._path) for _ in range(at_once)]
        self._free: asyncio.Queue[Rehearsals] = asyncio.Queue()
        for rehearsals in self._rehearsals:
            self._free.put_nowait(rehearsals)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for rehearsals in self._rehearsals:
            await rehearsals.__aexit__(kind, error, trace)
        await asyncio.to_thread(self._directory.cleanup)

    async def module(self, digest: Digest, fetch: Fetch) -> CompiledModule:
        """The compiled module; ``fetch``: only if it is not in the cache. Raises ``BadModule``, what
        ``fetch`` raises, and ``ProtocolError`` for other bytes than those of ``digest``.
        """
        source = self._path / f"{digest}.wasm"
        try:
            return await self._compiler.compile(source, digest)
        except NotFound:
            pass
        data = await fetch()
        if hashlib.sha256(data).hexdigest() != digest:
            raise ProtocolError(f"what was sent is not the module {digest}")
        await asyncio.to_thread(source.write_bytes, data)
        try:
            return await self._compiler.compile(source, digest)
        finally:
            await asyncio.to_thread(source.unlink)

    async def replay(
        self,
        recording: Recording,
        module: CompiledModule,
        fetch: FetchPayload,
        fetch_input: FetchInput,
        *,
        time_s: float | None = None,
        wrote: Written | None = None,
    ) -> Replayed:
        """Rehearses ``module``, which need not be the recording's, on what was recorded. ``time_s``: how long
        that may take; None: as long as the job may run.

        Raises ``Unavailable``, and what ``fetch`` and ``fetch_input`` raise.
        """
        job = recording.job
        try:
            mended = mend(recording.segments, job.length)
        except CorruptJournal as error:
            return Replayed(Damaged(reason=str(error)))
        entry_of = {digest: segment.first for segment in mended.segments for digest in blobs_in(segment.data)}

        async def payload(ref: BlobRef) -> bytes:
            data = await fetch(ref.digest, entry_of.get(ref.digest, 0))
            if hashlib.sha256(data).hexdigest() != ref.digest:
                raise ProtocolError(f"what was sent is not the payload {ref.digest}")
            return data

        allowed = job.timeout_ms / 1000 if time_s is None else time_s
        rehearsals = await self._free.get()
        try:
            with TemporaryDirectory(dir=self._path) as inputs:
                task = Rehearse(
                    module=module,
                    job=job.job,
                    attempt=job.attempt,
                    input=job.input,
                    journal=mended.segments,
                    memory_bytes=job.memory_bytes,
                    output=wrote is not None,
                    inputs=await _brought(job.inputs, Path(inputs), fetch_input),
                )
                verdict = await rehearsals.rehearse(task, payload, time_s=allowed, wrote=wrote)
        except NotFound as error:
            return Replayed(Undecided(reason=str(error)), mended.lost)
        finally:
            self._free.put_nowait(rehearsals)
        return Replayed(verdict, mended.lost)


async def _brought(
    artifacts: tuple[Artifact, ...], directory: Path, fetch: FetchInput
) -> tuple[InputFile, ...]:
    files = []
    for number, artifact in enumerate(artifacts):
        path = directory / str(number)
        hashing = hashlib.sha256()
        with await asyncio.to_thread(path.open, "wb") as file:
            async for piece in fetch(artifact.name):
                hashing.update(piece)
                await asyncio.to_thread(file.write, piece)
        if hashing.hexdigest() != artifact.digest:
            raise ProtocolError(f"what was sent is not the artifact {artifact.name!r}")
        files.append(InputFile(artifact.name, str(path), artifact.size))
    return tuple(files)
