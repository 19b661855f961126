"""Mail, promises and what users see of a running job, in SQL."""

import asyncio
import json
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from mvm_ci.adapters.sql.queries import QUERIES
from mvm_ci.adapters.sql.rows import failure_of, failure_text, payload_columns, payload_of
from mvm_ci.adapters.sql.statements import Statement, Statements, execute
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import JobState, Placed
from mvm_ci.domain.mail import Mail, child_mail
from mvm_ci.domain.options import Parent
from mvm_ci.domain.shown import Progress
from mvm_ci.ports.mail import MAX_WAITING, Letter, Promise, Sent

_HOWEVER_MUCH: Final = -1


class SqlMailStore(Statements):
    """A ``MailStore``."""

    def send(self, letter: Letter) -> asyncio.Future[Sent]:
        return self._writer.call(_send, letter)

    def mail(self, job: JobId, topics: Sequence[str], limit: int) -> asyncio.Future[list[Mail]]:
        return self._reader.read(partial(_mail, job, tuple(topics), limit))

    def open_promise(self, promise: Promise) -> asyncio.Future[None]:
        values = (promise.id, promise.job, promise.label, promise.digest, promise.created_ms)
        return self._writer.call(_carry_out, [("open_promise", values)])

    async def promise(self, id_: str) -> Promise | None:
        for row in await self._read("promise", id_):
            return Promise(**dict(zip(Promise.__struct_fields__, row, strict=True)))
        return None

    def complete_promise(self, id_: str, letter: Letter) -> asyncio.Future[bool]:
        return self._writer.call(_complete, (id_, letter))

    def children(self, parents: Sequence[JobId]) -> asyncio.Future[dict[JobId, list[JobId]]]:
        return self._reader.read(partial(_children, tuple(parents)))

    def parents(self) -> asyncio.Future[dict[JobId, Parent]]:
        return self._reader.read(_parents)

    def progress(self, placed: Placed, progress: Progress) -> asyncio.Future[None]:
        text = msgspec.json.encode(progress).decode()
        return self._writer.shared(_carry_out, [("progress", (placed.job, placed.epoch, text))])

    def annotate(self, job: JobId, metadata: Mapping[str, str | None]) -> asyncio.Future[None]:
        values = (job, json.dumps(dict(metadata)))
        statements = ("annotate", "unsearchable", "searchable")
        return self._writer.call(_carry_out, [(name, values) for name in statements])


def _carry_out(connection: sqlite3.Connection, calls: Sequence[Sequence[Statement]]) -> list[None]:
    for statements in calls:
        execute(connection, statements)
    return [None] * len(calls)


def _send(connection: sqlite3.Connection, calls: Sequence[Letter]) -> list[Sent]:
    return [_send_one(connection, letter, MAX_WAITING) for letter in calls]


def _send_one(connection: sqlite3.Connection, letter: Letter, most: int) -> Sent:
    data, size = (None, None) if letter.body is None else payload_columns(letter.body)
    failure = None if letter.failure is None else failure_text(letter.failure)
    identity = (letter.job, letter.topic, letter.key)
    values = (*identity, letter.at_ms, data, -1 if size is None else size, failure, most)
    connection.execute(QUERIES["send"], values)
    if connection.execute(QUERIES["sent"], identity).fetchone() is not None:
        return Sent.DONE
    over = connection.execute(QUERIES["is_over"], (letter.job,)).fetchone() is None
    return Sent.OVER if over else Sent.FULL


def _complete(connection: sqlite3.Connection, calls: Sequence[tuple[str, Letter]]) -> list[bool]:
    return [_complete_one(connection, *call) for call in calls]


def _complete_one(connection: sqlite3.Connection, id_: str, letter: Letter) -> bool:
    connection.execute(QUERIES["complete_promise"], (id_, letter.at_ms))
    if not connection.execute("SELECT changes()").fetchone()[0]:
        return False
    _send_one(connection, letter, _HOWEVER_MUCH)
    return True


def _mail(job: JobId, topics: Sequence[str], limit: int, connection: sqlite3.Connection) -> list[Mail]:
    rows = connection.execute(QUERIES["mail"], (job, json.dumps(topics), limit))
    return [_piece(*row) for row in rows]


def _piece(
    number: int, topic: str, state: int | None, body: bytes | None, size: int | None, failure: str | None
) -> Mail:
    contents = None if body is None else payload_of(body, size)
    reason = None if failure is None else failure_of(failure)
    if state is not None:
        return child_mail(number, topic, JobState(state).label, contents, reason)
    return Mail(number, topic, contents, reason)


def _children(parents: Sequence[JobId], connection: sqlite3.Connection) -> dict[JobId, list[JobId]]:
    found: dict[JobId, list[JobId]] = {}
    for parent, child in connection.execute(QUERIES["children"], (json.dumps(parents),)):
        found.setdefault(parent, []).append(child)
    return found


def _parents(connection: sqlite3.Connection) -> dict[JobId, Parent]:
    return {child: Parent(*parent) for child, *parent in connection.execute(QUERIES["parents"])}
