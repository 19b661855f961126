"""Artifacts in memory."""

import asyncio
from collections.abc import Collection, Iterator, Sequence

from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.adapters.memory.reads import answered
from mvm_ci.adapters.memory.record import Kept
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import PLACED
from mvm_ci.ports.artifacts import Put, PutResult, StoredArtifact


class MemoryArtifactStore:
    """An ``ArtifactStore`` for the jobs of a ``MemoryJobQueue``."""

    def __init__(self, queue: MemoryJobQueue) -> None:
        self._records = queue.records
        self._uploads: dict[tuple[str, Digest], tuple[int, int]] = {}
        """Size and time, by namespace and digest."""

    def put(self, put: Put, most: int) -> asyncio.Future[PutResult]:
        return answered(self._put(put, most))

    def artifacts(self, job: JobId) -> asyncio.Future[list[StoredArtifact]]:
        record = self._records.get(job)
        kept = record.artifacts if record is not None else {}
        return answered([_stored(kept[name]) for name in sorted(kept)])

    def artifact(self, job: JobId, name: str) -> asyncio.Future[StoredArtifact | None]:
        record = self._records.get(job)
        kept = record.artifacts.get(name) if record is not None else None
        return answered(None if kept is None else _stored(kept))

    def upload(self, namespace: str, digest: Digest, size: int, now_ms: int) -> asyncio.Future[None]:
        self._uploads[namespace, digest] = (size, now_ms)
        return answered(None)

    def held(self, namespace: str, digests: Sequence[Digest]) -> asyncio.Future[dict[Digest, int]]:
        asked = set(digests)
        return answered({digest: size for digest, size in self._held(namespace) if digest in asked})

    def stored(self, namespace: str) -> asyncio.Future[int]:
        return answered(sum(dict(self._held(namespace)).values()))

    def referenced(self, digests: Collection[Digest]) -> asyncio.Future[set[Digest]]:
        uploaded = {digest for _, digest in self._uploads}
        kept = {one.artifact.digest for record in self._records.values() for one in record.artifacts.values()}
        return answered((uploaded | kept) & set(digests))

    def forget_uploads(self, before_ms: int, limit: int) -> asyncio.Future[int]:
        old = sorted(key for key, (_, at_ms) in self._uploads.items() if at_ms < before_ms)[:limit]
        for key in old:
            del self._uploads[key]
        return answered(len(old))

    def forget_uploads_of(self, namespace: str) -> asyncio.Future[None]:
        self._uploads = {key: value for key, value in self._uploads.items() if key[0] != namespace}
        return answered(None)

    def _put(self, put: Put, most: int) -> PutResult:
        record = self._records.get(put.placed.job)
        order = (put.placed.epoch, put.number)
        known = record.artifacts.get(put.artifact.name) if record is not None else None
        if known is not None and known.input:
            return PutResult.INPUT
        same = known is not None and (known.order, known.artifact.digest) == (order, put.artifact.digest)
        if known is not None and (known.order > order or same):
            return PutResult.DONE
        if record is None or record.job.epoch != put.placed.epoch or record.job.state not in PLACED:
            return PutResult.STALE
        if known is None and len(record.artifacts) >= most:
            return PutResult.FULL
        record.artifacts[put.artifact.name] = Kept(put.artifact, put.at_ms, False, order)
        return PutResult.DONE

    def _held(self, namespace: str) -> Iterator[tuple[Digest, int]]:
        for (of, digest), (size, _) in self._uploads.items():
            if of == namespace:
                yield digest, size
        for record in self._records.values():
            if record.job.options.lane.namespace == namespace:
                for kept in record.artifacts.values():
                    yield kept.artifact.digest, kept.artifact.size


def _stored(kept: Kept) -> StoredArtifact:
    return StoredArtifact(artifact=kept.artifact, created_ms=kept.at_ms, input=kept.input)
