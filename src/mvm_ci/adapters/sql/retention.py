"""The job store's side of retention in SQL: removals by the writer, looks by the readers."""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Final, TypeAlias

from mvm_ci.adapters.sql.change_writes import delete
from mvm_ci.adapters.sql.queries import QUERIES
from mvm_ci.adapters.sql.reader import Reader
from mvm_ci.adapters.sql.writer import Writer
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.retention import Bounds, FinishedJob, digests_in
from mvm_ci.ports.catalogue import Holding
from mvm_ci.ports.job_queue import Change
from mvm_ci.ports.retention import FinishedPage, References, Removal

_LAST_ID: Final = (1 << 63) - 1
RemoveCall: TypeAlias = tuple[JobId, Bounds, int]


class SqlRetainedJobs:
    """A ``RetainedJobs``."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    def finished(self, before: JobId | None, limit: int) -> asyncio.Future[FinishedPage]:
        return self._reader.read(partial(_finished, _LAST_ID if before is None else before, limit))

    def remove_finished(self, after: JobId, bounds: Bounds, limit: int) -> asyncio.Future[Removal]:
        return self._writer.call(_remove, (after, bounds, limit))

    def remove_journals(self, after: JobId, bounds: Bounds, limit: int) -> asyncio.Future[Removal]:
        return self._writer.call(_remove_journals, (after, bounds, limit))

    def remove_artifacts(self, after: JobId, bounds: Bounds, limit: int) -> asyncio.Future[Removal]:
        return self._writer.call(_remove_artifacts, (after, bounds, limit))

    def forget_keys(self, after: JobId, bounds: Bounds, limit: int) -> asyncio.Future[Removal]:
        return self._writer.call(_forget_keys, (after, bounds, limit))

    def references(self, after: JobId, among: AbstractSet[Digest], limit: int) -> asyncio.Future[References]:
        return self._reader.read(partial(_references, after, among, limit))


def _remove(connection: sqlite3.Connection, calls: Sequence[RemoveCall]) -> list[Removal]:
    return [_remove_batch(connection, *call) for call in calls]


def _remove_batch(connection: sqlite3.Connection, after: JobId, bounds: Bounds, limit: int) -> Removal:
    values = (after, bounds.before, bounds.ended_before_ms, limit)
    rows = connection.execute(QUERIES["removable"], values).fetchall()
    # What a person may delete is also what may go by itself: nothing that a job which is not over waits for.
    (answers,) = delete(connection, [[job for job, removable in rows if removable]])
    removed = sum(answer.change is Change.DONE for answer in answers)
    return Removal(removed, rows[-1][0] if len(rows) == limit else None)


def _remove_journals(connection: sqlite3.Connection, calls: Sequence[RemoveCall]) -> list[Removal]:
    names = ("delete_journals", "empty_journals")
    return [_strip_batch(connection, "journals_removable", names, *call) for call in calls]


def _remove_artifacts(connection: sqlite3.Connection, calls: Sequence[RemoveCall]) -> list[Removal]:
    return [_strip_batch(connection, "artifacts_removable", ("delete_outputs",), *call) for call in calls]


def _forget_keys(connection: sqlite3.Connection, calls: Sequence[RemoveCall]) -> list[Removal]:
    return [_strip_batch(connection, "keys_removable", ("forget_keys",), *call) for call in calls]


def _strip_batch(
    connection: sqlite3.Connection,
    look: str,
    statements: Sequence[str],
    after: JobId,
    bounds: Bounds,
    limit: int,
) -> Removal:
    """Takes from jobs that stay what the first statement finds."""
    values = (after, bounds.before, bounds.ended_before_ms, limit)
    rows = connection.execute(QUERIES[look], values).fetchall()
    chosen = [job for job, removable in rows if removable]
    for statement in statements if chosen else ():
        connection.execute(QUERIES[statement], (json.dumps(chosen),))
    return Removal(len(chosen), rows[-1][0] if len(rows) == limit else None)


def _finished(before: int, limit: int, connection: sqlite3.Connection) -> FinishedPage:
    rows = connection.execute(QUERIES["finished_page"], (before, limit)).fetchall()
    jobs = tuple(FinishedJob(job, held) for job, over, held in rows if over)
    return FinishedPage(jobs, rows[-1][0] if len(rows) == limit else None)


def _references(
    after: JobId, among: AbstractSet[Digest], limit: int, connection: sqlite3.Connection
) -> References:
    rows = connection.execute(QUERIES["references"], (after, limit)).fetchall()
    found: set[str] = set()
    modules: set[Holding] = set()
    for _, namespace, module, *blobs in rows:
        found.add(module)
        if module in among:
            modules.add(Holding(namespace, module))
        found.update(blob.hex() for blob in blobs if blob is not None)
    if rows:
        for (data,) in connection.execute(QUERIES["journals_between"], (after, rows[-1][0])):
            found |= digests_in(data)
        for (blob,) in connection.execute(QUERIES["mail_between"], (after, rows[-1][0])):
            found.add(blob.hex())
    last = rows[-1][0] if len(rows) == limit else None
    return References(frozenset(Digest(one) for one in found) & among, last, frozenset(modules))
