"""Jobs and reports as rows, and back. Bytes are bound as ``bytearray``: for ``bytes``, as for None, Python's
``sqlite3`` looks for an adapter each time, which takes ten times as long as the binding.
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import msgspec

from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import ClaimedJob, Durability, Job, JobSpec, JobState, NewJob
from mvm_ci.domain.lane import Concurrency, Labels, Lane, lane
from mvm_ci.domain.options import Idempotency, JobOptions, Needs, Parent, terms
from mvm_ci.domain.outcome import Failure
from mvm_ci.domain.payload import BlobRef, Payload
from mvm_ci.domain.retry import Backoff
from mvm_ci.domain.shown import Progress
from mvm_ci.ports.job_queue import Report

Row: TypeAlias = tuple[Any, ...]
"""The values of one row, typed by the schema."""


class _Options(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The rarely used parts of a job: one JSON array. Stored: new fields go to the end, with a default."""

    allow_hosts: tuple[str, ...]
    max_attempts: int
    timeout_ms: int
    memory_bytes: int
    labels: Labels = ()
    fairness_key: str = ""
    concurrency: Concurrency | None = None
    backoff: Backoff = Backoff()
    cancel_grace_ms: int = 0
    durability: Durability = Durability.JOURNALED
    secrets: tuple[str, ...] = ()
    inputs: tuple[Artifact, ...] = ()


PLAIN: Final = 13
"""Values of a job that has nothing but what all have."""
_NOTHING: Final = (None,) * 12
_PENDING, _CLAIMED = int(JobState.PENDING), int(JobState.CLAIMED)
_CANCELLING = int(JobState.CANCELLING)
_SCHEDULED, _BLOCKED = int(JobState.SCHEDULED), int(JobState.BLOCKED)
_encode_json: Final = msgspec.json.Encoder().encode
_encode_msgpack: Final = msgspec.msgpack.Encoder().encode
failure_of: Final = msgspec.json.Decoder(Failure).decode
"""A failure as stored."""
_decode_options: Final = lru_cache(maxsize=1024)(msgspec.json.Decoder(_Options).decode)
_decode_progress: Final = msgspec.json.Decoder(Progress).decode
_decode_tags: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_metadata: Final = msgspec.json.Decoder(dict[str, str]).decode


_USUAL: Final = Backoff()
_texts: dict[tuple[object, ...], str] = {}
_MOST_TEXTS: Final = 1024


def _options(spec: JobSpec, options: JobOptions) -> str:
    # Most jobs have the options of the one before. A lane's number stands for it: it is costly to compare.
    ours, backoff = options.lane, options.backoff
    usual = None if backoff is _USUAL or backoff == _USUAL else backoff
    limits = spec.allow_hosts, spec.max_attempts, spec.timeout_ms, spec.memory_bytes
    rest = (spec.cancel_grace_ms, spec.durability, spec.secrets, spec.inputs)
    key = (*limits, ours.id, usual, rest)
    text = _texts.get(key)
    if text is None:
        if len(_texts) >= _MOST_TEXTS:
            _texts.clear()
        rare = _Options(*limits, ours.labels, ours.fairness_key, ours.concurrency, backoff, *rest)
        text = _texts[key] = _encode_json(rare).decode()
    return text


def payload_columns(payload: Payload) -> tuple[bytearray, int | None]:
    """The two columns of a payload: its bytes and None, or its digest's bytes and its size."""
    if isinstance(payload, BlobRef):
        return bytearray.fromhex(payload.digest), payload.size
    return bytearray(payload), None


def payload_of(data: bytes, size: int | None) -> Payload:
    """The payload of two columns."""
    return data if size is None else BlobRef(Digest(data.hex()), size)


def new_job_row(new: NewJob) -> Row:
    """What the statement ``submit`` takes, or ``submit_plain`` for a job without what few jobs have: to bind
    a NULL costs as much as ten numbers.
    """
    spec, session, options = new.spec, new.session, new.options
    ours = options.lane
    wake_ms = expires_ms = None
    if session is not None:
        state, epoch, lane_id = _CLAIMED, 1, ours.id | 1
    else:
        epoch, lane_id = 0, ours.id
        wake_ms, expires_ms = options.run_at_ms, options.expires_ms
        state = _BLOCKED if options.after else _PENDING if wake_ms is None else _SCHEDULED
    data, size = payload_columns(spec.input)
    once, parent = options.idempotency, options.parent
    usual = (
        new.id,
        state,
        epoch,
        session,
        new.created_ms,
        ours.namespace,
        ours.queue,
        ours.priority,
        lane_id,
        spec.module,
        spec.name,
        _options(spec, options),
        data,
    )
    rare = (
        wake_ms,
        expires_ms,
        ours.concurrency.key if ours.concurrency is not None else None,
        once.key if once is not None else None,
        once.request if once is not None else None,
        _encode_json(options.tags).decode() if options.tags else None,
        _encode_json(dict(options.metadata)).decode() if options.metadata else None,
        size,
        parent.job if parent is not None else None,
        parent.attempt if parent is not None else None,
        _encode_json(spec.secrets).decode() if spec.secrets else None,
        options.deadline_ms,
    )
    return usual if rare == _NOTHING else usual + rare


def whole_job_row(new: NewJob) -> Row:
    """What the statement ``submit`` takes, also for a job that has nothing but what all have."""
    row = new_job_row(new)
    return row if len(row) != PLAIN else row + _NOTHING


def term_rows(new: NewJob) -> list[Row]:
    """What the statement ``insert_terms`` takes."""
    options = new.options
    return [(options.lane.namespace, term, new.id) for term in terms(options)]


def dependency_rows(new: NewJob) -> list[Row]:
    """What the statement ``insert_dependencies`` takes."""
    return [(new.id, dep.job, int(dep.needs is Needs.SUCCESS)) for dep in new.options.after]


def input_rows(new: NewJob) -> list[Row]:
    """What the statement ``insert_inputs`` takes."""
    return artifact_rows(new, new.spec.inputs)


def artifact_rows(new: NewJob, artifacts: Iterable[Artifact]) -> list[Row]:
    """Artifacts of a new job: what the statement ``fork_artifact`` takes."""
    namespace = new.options.lane.namespace
    return [
        (new.id, one.name, namespace, one.digest, one.size, one.media, new.created_ms) for one in artifacts
    ]


def lane_of(namespace: str, queue: str, priority: int, options: str) -> Lane:
    """The lane of a stored job."""
    rare = _decode_options(options)
    return lane(namespace, queue, priority, rare.labels, rare.fairness_key, rare.concurrency)


def lanes_of(found: Iterable[Row]) -> dict[int, Lane]:
    """Lanes by number, of rows that begin with it and what ``lane_of`` takes. Many may be of one lane."""
    lanes = {row[0]: row[1:5] for row in found}
    return {lane_id: lane_of(*lane) for lane_id, lane in lanes.items()}


def _spec(module: str, name: str, options: str, data: bytes, size: int | None) -> JobSpec:
    rare = _decode_options(options)
    return JobSpec(
        module=Digest(module),
        input=payload_of(data, size),
        name=name,
        allow_hosts=rare.allow_hosts,
        max_attempts=rare.max_attempts,
        timeout_ms=rare.timeout_ms,
        memory_bytes=rare.memory_bytes,
        cancel_grace_ms=rare.cancel_grace_ms,
        durability=rare.durability,
        secrets=rare.secrets,
        inputs=rare.inputs,
    )


def claimed_job(row: Row) -> ClaimedJob:
    """What the statement ``claim`` returned."""
    job_id, epoch, attempt, journal_length, state, deadline_ms, *spec = row
    return ClaimedJob(
        id=JobId(job_id),
        epoch=epoch,
        attempt=attempt,
        spec=_spec(*spec),
        journal_length=journal_length,
        cancelling=state == _CANCELLING,
        deadline_ms=deadline_ms,
    )


def job(row: Row) -> Job:
    """What the statements that read whole jobs return."""
    result, result_size, failure, parent, started_in, first_attempt, awaits, progress, deadline_ms = row[24:]
    namespace, queue, priority, key, request, tags, metadata = row[12:19]
    options = JobOptions(
        lane=lane_of(namespace, queue, priority, row[21]),
        deadline_ms=deadline_ms,
        backoff=_decode_options(row[21]).backoff,
        tags=_decode_tags(tags) if tags is not None else (),
        metadata=tuple(sorted(_decode_metadata(metadata).items())) if metadata is not None else (),
        idempotency=Idempotency(key, request) if key is not None else None,
        parent=Parent(parent, started_in) if parent is not None else None,
    )
    return Job(
        id=row[0],
        state=JobState(row[1]),
        created_ms=row[2],
        attempt=row[3],
        epoch=row[4],
        session=row[5],
        losses=row[6],
        journal_length=row[7],
        started_ms=row[8],
        finished_ms=row[9],
        wake_ms=row[10],
        expires_ms=row[11],
        spec=_spec(*row[19:24]),
        options=options,
        result=None if result is None else payload_of(result, result_size),
        first_attempt=first_attempt,
        awaits=() if awaits is None else _decode_tags(awaits),
        progress=None if progress is None else _decode_progress(progress),
        failure=None if failure is None else failure_of(failure),
    )


def topics_text(topics: tuple[str, ...]) -> str:
    """Topics of mail as stored."""
    return _encode_json(topics).decode()


def failure_text(failure: Failure) -> str:
    """A failure as stored."""
    return _encode_json(failure).decode()


def fingerprint(report: Report) -> int:
    """64 bits that tell a report from other reports of the same placement."""
    encoded = _encode_msgpack((report.outcome, report.tail, report.retry_ms))
    return int.from_bytes(blake2b(encoded, digest_size=8).digest(), "big", signed=True)
