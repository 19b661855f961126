"""Mail, promises and what users see of a running job, in memory."""

import asyncio
import sys
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.adapters.memory.reads import answered
from mvm_ci.adapters.memory.record import Piece, Record
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import FINAL, PLACED, Placed
from mvm_ci.domain.mail import Mail, child_mail
from mvm_ci.domain.options import Parent
from mvm_ci.domain.shown import Progress
from mvm_ci.ports.mail import MAX_WAITING, Letter, Promise, Sent


class MemoryMailStore:
    """A ``MailStore`` for the jobs of a ``MemoryJobQueue``."""

    def __init__(self, queue: MemoryJobQueue) -> None:
        self._queue = queue
        self._records = queue.records
        self._promises: dict[str, Promise] = {}

    def send(self, letter: Letter) -> asyncio.Future[Sent]:
        return answered(self._send(letter, MAX_WAITING))

    def mail(self, job: JobId, topics: Sequence[str], limit: int) -> asyncio.Future[list[Mail]]:
        record = self._records.get(job)
        pieces = record.mail if record is not None else []
        return answered([_mail(p) for p in pieces if not p.taken and p.topic in topics][:limit])

    def open_promise(self, promise: Promise) -> asyncio.Future[None]:
        self._promises.setdefault(promise.id, promise)
        return answered(None)

    def promise(self, id_: str) -> asyncio.Future[Promise | None]:
        promise = self._promises.get(id_)
        return answered(promise if promise is not None and promise.job in self._records else None)

    def complete_promise(self, id_: str, letter: Letter) -> asyncio.Future[bool]:
        promise = self._promises.get(id_)
        if promise is None or promise.completed_ms is not None or self._live(promise.job) is None:
            return answered(False)
        self._promises[id_] = replace(promise, completed_ms=letter.at_ms)
        self._send(letter, sys.maxsize)
        return answered(True)

    def children(self, parents: Sequence[JobId]) -> asyncio.Future[dict[JobId, list[JobId]]]:
        found: dict[JobId, list[JobId]] = {}
        for child, parent in sorted(self._parents().items()):
            if parent.job in parents:
                found.setdefault(parent.job, []).append(child)
        return answered(found)

    def parents(self) -> asyncio.Future[dict[JobId, Parent]]:
        return answered(self._parents())

    def progress(self, placed: Placed, progress: Progress) -> asyncio.Future[None]:
        record = self._records.get(placed.job)
        if record is not None and record.job.epoch == placed.epoch and record.job.state in PLACED:
            record.job = replace(record.job, progress=progress)
        return answered(None)

    def annotate(self, job: JobId, metadata: Mapping[str, str | None]) -> asyncio.Future[None]:
        record = self._records.get(job)
        if record is not None:
            merged = dict(record.job.options.metadata) | dict(metadata)
            kept = tuple(sorted((key, value) for key, value in merged.items() if value is not None))
            record.job = replace(record.job, options=replace(record.job.options, metadata=kept))
        return answered(None)

    def _send(self, letter: Letter, most: int) -> Sent:
        record = self._live(letter.job)
        if record is None:
            known = self._records.get(letter.job)
            return Sent.DONE if known is not None and _holds(known, letter) else Sent.OVER
        if not _holds(record, letter) and sum(not p.taken for p in record.mail) >= most:
            return Sent.FULL
        number = self._queue.next_number()
        record.post(Piece(number, letter.topic, letter.key, letter.body, letter.failure))
        return Sent.DONE

    def _live(self, job: JobId) -> Record | None:
        record = self._records.get(job)
        return record if record is not None and record.job.state not in FINAL else None

    def _parents(self) -> dict[JobId, Parent]:
        live = (record.job for record in self._records.values() if record.job.state not in FINAL)
        return {job.id: job.options.parent for job in live if job.options.parent is not None}


def _holds(record: Record, letter: Letter) -> bool:
    return any((piece.topic, piece.key) == (letter.topic, letter.key) for piece in record.mail)


def _mail(piece: Piece) -> Mail:
    if piece.state is not None:
        return child_mail(piece.number, piece.topic, piece.state.label, piece.body, piece.failure)
    return Mail(piece.number, piece.topic, piece.body, piece.failure)
