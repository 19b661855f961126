"""Artifacts: what jobs keep by name, and what users upload for jobs to come.

A job puts artifacts of its own; it gets those of every job of its namespace that it can name. Bytes come
first, then the name: who announces bytes is told at once if they could not be kept, and what nobody came to
name goes like any blob that nothing refers to.
"""

from collections.abc import AsyncIterable, Collection
from typing import Final

from mvm_ci.domain.artifact import MAX_ARTIFACT, MAX_ARTIFACTS, Artifact, check_media, check_name
from mvm_ci.domain.errors import BadInput, Conflict, NotFound, StaleEpoch, TooLarge, Unavailable
from mvm_ci.domain.ids import Digest, JobId, format_job_id, is_digest, parse_job_id
from mvm_ci.domain.job import Job, Placed
from mvm_ci.lifecycle.backpressure import Backpressure
from mvm_ci.lifecycle.placed_jobs import PlacedJobs
from mvm_ci.ports.artifacts import ArtifactStore, Put, PutResult, StoredArtifact
from mvm_ci.ports.blob_store import BlobStore
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue

PARENT: Final = "parent"
"""Instead of a job's id: the job that started the one that asks."""


class Artifacts:
    """See the module's docstring. Its errors are told to whoever asked, a guest too."""

    def __init__(
        self,
        store: ArtifactStore,
        queue: JobQueue,
        blobs: BlobStore,
        backpressure: Backpressure,
        clock: Clock,
        jobs: PlacedJobs,
    ) -> None:
        self._store = store
        self._queue = queue
        self._blobs = blobs
        self._backpressure = backpressure
        self._clock = clock
        self._jobs = jobs

    # ------------------------------------------------------------ bytes
    async def announced(self, namespace: str, digest: Digest, size: int) -> None:
        """Bytes are about to come, if they are not here. Raises ``TooLarge``, ``QuotaExceeded``,
        ``DiskFull``, ``Unavailable``.
        """
        if not 0 <= size <= MAX_ARTIFACT:
            raise TooLarge(f"an artifact of {size} bytes; at most {MAX_ARTIFACT} are allowed")
        if digest in await self.held(namespace, [digest]):
            return
        await self._backpressure.look_ahead(namespace, size)

    async def store(self, digest: Digest, size: int, pieces: AsyncIterable[bytes]) -> int:
        """Keeps bytes, of which ``size`` were announced, durably on return; how many. Raises ``BadInput`` if
        they do not have this digest, ``DiskFull``, ``Unavailable``, and what ``pieces`` does: then nothing is
        kept.
        """
        try:
            async with self._backpressure.coming(size) as came:
                incoming = await self._blobs.receive()
                try:
                    async for piece in pieces:
                        await incoming.write(piece)
                        came(len(piece))
                    return (await incoming.finish(digest)).size
                finally:
                    await incoming.discard()
        except Unavailable as error:
            raise await self._backpressure.explained(error) from error

    async def announced_of(self, job: JobId, digest: Digest, size: int) -> None:
        """The same as ``announced`` for a job that is placed."""
        known = await self._jobs.job(job)
        await self.announced(known.options.lane.namespace, digest, size)

    # ------------------------------------------------------------ of jobs
    async def put(self, placed: Placed, job: Job, number: int, artifact: Artifact) -> None:
        """A placement's guest puts an artifact whose bytes are here. Durable on return, and once, however
        often it is asked. Raises ``BadInput``, ``NotFound`` (the bytes), ``Conflict``, ``QuotaExceeded``,
        ``StaleEpoch``, ``Unavailable``.
        """
        check_name(artifact.name)
        check_media(artifact.media)
        await self._check_bytes(artifact)
        namespace = job.options.lane.namespace
        if artifact.digest not in await self._store.held(namespace, [artifact.digest]):
            await self._backpressure.admit_bytes(namespace, artifact.size)
        put = Put(placed=placed, number=number, artifact=artifact, at_ms=self._clock.now_ms())
        result = await self._store.put(put, MAX_ARTIFACTS)
        if result is PutResult.INPUT:
            raise Conflict(f"the job was given the artifact {artifact.name!r}, which nobody changes")
        if result is PutResult.FULL:
            raise Conflict(f"the job has {MAX_ARTIFACTS} artifacts, as many as it may have")
        if result is PutResult.STALE:
            raise StaleEpoch("this placement of the job is over")

    async def get(self, job: Job, name: str, of: str | None = None) -> Artifact:
        """An artifact for a job: its own, or that of a job of its namespace. Its bytes stay until the job's
        journal can refer to them. Raises ``NotFound``, ``BadInput``, ``Unavailable``.
        """
        check_name(name)
        owner = await self._owner(job, of)
        found = await self._store.artifact(owner, name)
        if found is None or not await self._blobs.has(found.artifact.digest):
            raise NotFound(f"the job {format_job_id(owner)} has no artifact {name!r}")
        return found.artifact

    async def listing(self, job: Job, of: str | None = None) -> list[StoredArtifact]:
        """All artifacts of a job, likewise."""
        return await self._store.artifacts(await self._owner(job, of))

    async def of_job(self, job: JobId) -> list[StoredArtifact]:
        """All artifacts of a job, for users."""
        return await self._store.artifacts(job)

    async def one_of_job(self, job: JobId, name: str) -> StoredArtifact:
        """One of them. Raises ``NotFound``."""
        found = await self._store.artifact(job, name)
        if found is None:
            raise NotFound(f"the job {format_job_id(job)} has no artifact {name[:80]!r}")
        return found

    # ------------------------------------------------------------ uploads
    async def upload(self, namespace: str, digest: Digest, size: int) -> None:
        """A namespace holds bytes that are here. Raises ``QuotaExceeded``, ``Unavailable``."""
        if digest not in await self._store.held(namespace, [digest]):
            await self._backpressure.admit_bytes(namespace, size)
        await self._store.upload(namespace, digest, size, self._clock.now_ms())

    async def held(self, namespace: str, digests: Collection[Digest]) -> dict[Digest, int]:
        """The sizes of what a namespace holds of ``digests``; from now on its bytes stay until a job can
        refer to them. Raises ``Unavailable``.
        """
        found = await self._store.held(namespace, list(digests))
        return {digest: size for digest, size in found.items() if await self._blobs.has(digest)}

    # ------------------------------------------------------------
    async def _check_bytes(self, artifact: Artifact) -> None:
        if not is_digest(artifact.digest):
            raise BadInput("digest: not 64 lower-case hex digits")
        if not await self._blobs.has(artifact.digest):
            raise NotFound(f"the bytes of the artifact {artifact.name!r} are not here")
        size = await self._blobs.size(artifact.digest)
        if size != artifact.size:
            raise BadInput(f"size: {artifact.size}, but there are {size} bytes")

    async def _owner(self, job: Job, of: str | None) -> JobId:
        """Whose artifacts a job asks for."""
        if of is None:
            return job.id
        if of == PARENT:
            if job.options.parent is None:
                raise NotFound("no job has started this one: it has no parent")
            return job.options.parent.job
        try:
            owner = parse_job_id(of)
        except ValueError:
            raise BadInput(f"job: {of[:80]!r} is not a job id (j and 13 characters)") from None
        (found,) = await self._queue.get([owner])
        if found is None or found.options.lane.namespace != job.options.lane.namespace:
            raise NotFound(f"there is no job {format_job_id(owner)}")
        return owner
