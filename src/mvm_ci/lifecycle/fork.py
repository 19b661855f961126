"""Fork: a new job whose execution begins with the first entries of another one's journal.

What these record stands, and is not done again. What the new job asks for after that is done under its own
id, so with idempotency keys of its own.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.errors import BadInput, Conflict, CorruptJournal, NotFound, Unavailable
from mvm_ci.domain.ids import Digest, format_job_id
from mvm_ci.domain.job import Job, NewJob
from mvm_ci.domain.options import JobOptions
from mvm_ci.domain.payload import size_of
from mvm_ci.domain.segment import Prefix, Segment
from mvm_ci.journal.codec import decode_data, split
from mvm_ci.journal.entries import Began, Entry
from mvm_ci.journal.prefix import check_end, is_call, of_module
from mvm_ci.journal.refers import blobs_of
from mvm_ci.lifecycle.backpressure import Backpressure
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.execute import payload_digest
from mvm_ci.lifecycle.journal_view import journal_length
from mvm_ci.lifecycle.modules import Modules
from mvm_ci.lifecycle.recordings import PAGE
from mvm_ci.lifecycle.submit import Submitter
from mvm_ci.ports.artifacts import ArtifactStore
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue

FROM: Final = "forked_from"
AT: Final = "forked_at"
"""Keys in a fork's metadata: of which job, and how many entries."""


class Forker:
    """``inserted`` is told of new jobs when they are durable."""

    def __init__(
        self,
        queue: JobQueue,
        artifacts: ArtifactStore,
        modules: Modules,
        submitter: Submitter,
        backpressure: Backpressure,
        dispatcher: Dispatcher,
        clock: Clock,
        inserted: Callable[[Sequence[NewJob]], None],
    ) -> None:
        self._queue = queue
        self._artifacts = artifacts
        self._modules = modules
        self._submitter = submitter
        self._backpressure = backpressure
        self._dispatcher = dispatcher
        self._clock = clock
        self._inserted = inserted
        self._inserting: set[asyncio.Task[None]] = set()

    async def fork(self, job: Job, attempt: int, at: int, module: str | None) -> NewJob:
        """The new job, durable: as ``job`` was asked for, but that it waits for nothing and for no time.
        ``module``: another one for it, by its digest, name or ``name@version``.

        Raises ``BadInput`` if no fork can begin with ``at`` entries; ``Conflict`` if there is no journal (any
        more), or it is damaged; ``NotFound`` for the module; what ``Backpressure.admit`` raises.
        """
        lane = job.options.lane
        digest = job.spec.module if module is None else await self._digest(lane.namespace, module)
        await self._backpressure.admit(lane.namespace, 1)
        await self._backpressure.admit_bytes(lane.namespace, size_of(job.spec.input))
        try:
            prefix = await self._prefix(job, attempt, at, digest)
        except CorruptJournal as error:
            raise Conflict(f"the journal is damaged: {error}") from error
        now = self._clock.now_ms()
        new = NewJob(
            id=self._submitter.new_id(now),
            spec=replace(job.spec, module=digest),
            created_ms=now,
            options=_options(job, at),
        )
        # Also if whoever asked for it gives up.
        inserting = asyncio.get_running_loop().create_task(self._insert(new, prefix, job))
        self._inserting.add(inserting)
        inserting.add_done_callback(self._inserting.discard)
        await asyncio.shield(inserting)
        return new

    async def _insert(self, new: NewJob, prefix: Prefix, job: Job) -> None:
        self._backpressure.added(1)
        forked = False
        try:
            forked = await self._queue.fork(new, prefix)
        except Unavailable as error:
            raise await self._backpressure.explained(error) from error
        finally:
            if not forked:
                self._backpressure.added(-1)
        if not forked:
            raise _no_journal(job)
        self._backpressure.durable(1)
        self._dispatcher.ready(new.options.lane)
        self._inserted([new])

    async def _digest(self, namespace: str, module: str) -> Digest:
        found = (await self._modules.find(namespace, [module])).get(module)
        if found is None:
            raise NotFound(f"module: there is no module {module[:80]!r}")
        return found.digest

    async def _prefix(self, job: Job, attempt: int, at: int, module: Digest) -> Prefix:
        length = job.journal_length
        if attempt < job.attempt:
            length = await journal_length(self._queue, job.id, attempt)
        if not length:
            raise _no_journal(job)
        if not 1 <= at <= length:
            raise BadInput(f"at: {at} is not between 1 and {length}, the entries of the journal")
        reader = _Reader(self._queue, job, attempt)
        await self._check_beginning(job, reader)
        index = at - 1
        while not is_call(await reader.entry(index)):
            index -= 1
        check_end(await reader.entry(index), index, at)
        first, last = await reader.segment(0), await reader.segment(at - 1)
        others: list[Segment] = []
        begin, end = 0, at
        if module != job.spec.module:
            begin = min(first.first + first.count, at)
            others += split(of_module(reader.decoded(first)[:at], module), 0)
        if begin < at < last.first + last.count:
            end = last.first
            others += split(reader.decoded(last)[: at - last.first], last.first)
        return Prefix(
            job=job.id,
            attempt=attempt,
            length=at,
            begin=begin,
            end=max(begin, end),
            others=tuple(others),
            artifacts=await self._put_by(job, attempt, at),
        )

    async def _put_by(self, job: Job, attempt: int, at: int) -> tuple[Artifact, ...]:
        """What the first ``at`` entries put, as far as nothing else was put under its name since."""
        found = [one.artifact for one in await self._artifacts.artifacts(job.id) if not one.input]
        named: set[Digest] = set()
        first = 0
        while found and first < at:
            segments = await self._queue.journal(job.id, attempt, first, PAGE)
            if not segments:
                break
            for segment in segments:
                named |= blobs_of(decode_data(segment.data)[: max(0, at - segment.first)])
            first = segments[-1].first + segments[-1].count
        return tuple(artifact for artifact in found if artifact.digest in named)

    async def _check_beginning(self, job: Job, reader: "_Reader") -> None:
        began = await reader.entry(0)
        if not isinstance(began, Began) or began.module != job.spec.module:
            raise CorruptJournal(f"job {format_job_id(job.id)}: its journal does not begin with its module")
        if began.input != payload_digest(job.spec.input):
            raise Conflict(
                f"the attempt of job {format_job_id(job.id)} had another input than the job has now"
            )


class _Reader:
    """Single entries of a journal, by the segments that hold them; these are few."""

    def __init__(self, queue: JobQueue, job: Job, attempt: int) -> None:
        self._queue = queue
        self._job = job
        self._attempt = attempt
        self._read: dict[int, tuple[Segment, list[Entry]]] = {}

    async def entry(self, index: int) -> Entry:
        """Raises ``CorruptJournal``, also where there is none."""
        segment = await self.segment(index)
        return self.decoded(segment)[index - segment.first]

    async def segment(self, index: int) -> Segment:
        """The segment that holds entry ``index``. Raises ``CorruptJournal``."""
        for segment, _ in self._read.values():
            if segment.first <= index < segment.first + segment.count:
                return segment
        found = await self._queue.journal(self._job.id, self._attempt, index, 1)
        where = f"job {format_job_id(self._job.id)}, journal entry {index}"
        if not found or not found[0].first <= index < found[0].first + found[0].count:
            raise CorruptJournal(f"{where}: it is missing")
        (segment,) = found
        try:
            entries = decode_data(segment.data)
        except CorruptJournal as error:
            raise CorruptJournal(f"{where}: {error}") from error
        if len(entries) != segment.count:
            raise CorruptJournal(f"{where}: {len(entries)} entries where {segment.count} were stored")
        self._read[segment.first] = (segment, entries)
        return segment

    def decoded(self, segment: Segment) -> list[Entry]:
        """The entries of a segment that was read."""
        return self._read[segment.first][1]


def _options(job: Job, at: int) -> JobOptions:
    metadata = dict(job.options.metadata) | {FROM: format_job_id(job.id), AT: str(at)}
    return msgspec.structs.replace(
        job.options,
        run_at_ms=None,
        expires_ms=None,
        deadline_ms=None,
        parent=None,
        after=(),
        idempotency=None,
        metadata=tuple(sorted(metadata.items())),
    )


def _no_journal(job: Job) -> Conflict:
    return Conflict(
        f"job {format_job_id(job.id)} has no journal to begin with: "
        "it has not begun, or its journal was removed"
    )
