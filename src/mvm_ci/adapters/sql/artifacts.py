"""Artifacts in SQL."""

import asyncio
import json
import sqlite3
from collections.abc import Collection, Sequence

from mvm_ci.adapters.sql.queries import QUERIES
from mvm_ci.adapters.sql.statements import Row, Statements
from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.ports.artifacts import Put, PutResult, StoredArtifact


class SqlArtifactStore(Statements):
    """An ``ArtifactStore``."""

    def put(self, put: Put, most: int) -> asyncio.Future[PutResult]:
        return self._writer.call(_put, (put, most))

    async def artifacts(self, job: JobId) -> list[StoredArtifact]:
        return list(map(_stored, await self._read("artifacts", job)))

    async def artifact(self, job: JobId, name: str) -> StoredArtifact | None:
        return next(map(_stored, await self._read("artifact", job, name)), None)

    async def upload(self, namespace: str, digest: Digest, size: int, now_ms: int) -> None:
        await self._write("upload", namespace, digest, size, now_ms)

    async def held(self, namespace: str, digests: Sequence[Digest]) -> dict[Digest, int]:
        return dict(await self._read("held_artifacts", namespace, json.dumps(digests)))

    async def stored(self, namespace: str) -> int:
        ((size,),) = await self._read("artifact_bytes", namespace)
        return int(size)

    async def referenced(self, digests: Collection[Digest]) -> set[Digest]:
        return {digest for (digest,) in await self._read("referenced_artifacts", json.dumps(list(digests)))}

    async def forget_uploads(self, before_ms: int, limit: int) -> int:
        return await self._write("forget_uploads", before_ms, limit)

    async def forget_uploads_of(self, namespace: str) -> None:
        await self._write("forget_uploads_of", namespace)


def _put(connection: sqlite3.Connection, calls: Sequence[tuple[Put, int]]) -> list[PutResult]:
    return [_put_one(connection, *call) for call in calls]


def _put_one(connection: sqlite3.Connection, put: Put, most: int) -> PutResult:
    job, epoch, one = put.placed.job, put.placed.epoch, put.artifact
    values = (job, one.name, one.digest, one.size, one.media, put.at_ms, epoch, put.number, most)
    connection.execute(QUERIES["put_artifact"], values)
    found = connection.execute(QUERIES["artifact_put"], (job, one.name)).fetchone()
    if found is not None and found[0]:
        return PutResult.INPUT
    if found is not None and (found[1], found[2]) >= (epoch, put.number):
        return PutResult.DONE
    placed = connection.execute(QUERIES["is_placed"], (job, epoch)).fetchone() is not None
    return PutResult.FULL if placed else PutResult.STALE


def _stored(row: Row) -> StoredArtifact:
    name, digest, size, media, created_ms, given = row
    artifact = Artifact(name, Digest(digest), size, media)
    return StoredArtifact(artifact=artifact, created_ms=created_ms, input=bool(given))
