"""Jobs and reports as rows, and back."""

from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import msgspec

from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import ClaimedJob, Job, JobSpec, JobState, NewJob
from mvm_ci.domain.outcome import Failure
from mvm_ci.domain.payload import BlobRef, Payload
from mvm_ci.ports.job_queue import Report

Row: TypeAlias = tuple[Any, ...]
"""The values of one row, typed by the schema."""


class _Options(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The rarely used parts of a job: one JSON array. Stored: new fields go to the end, with a default."""

    allow_hosts: tuple[str, ...]
    max_attempts: int
    timeout_ms: int
    memory_bytes: int


_PENDING, _CLAIMED = int(JobState.PENDING), int(JobState.CLAIMED)
_encode_json: Final = msgspec.json.Encoder().encode
_encode_msgpack: Final = msgspec.msgpack.Encoder().encode
_decode_failure: Final = msgspec.json.Decoder(Failure).decode
_decode_options: Final = lru_cache(maxsize=1024)(msgspec.json.Decoder(_Options).decode)


@lru_cache(maxsize=1024)  # most jobs have the options of the one before
def _options(allow_hosts: tuple[str, ...], max_attempts: int, timeout_ms: int, memory_bytes: int) -> str:
    return _encode_json(_Options(allow_hosts, max_attempts, timeout_ms, memory_bytes)).decode()


def payload_columns(payload: Payload) -> tuple[bytes, int | None]:
    """The two columns of a payload: its bytes and None, or its digest's bytes and its size."""
    if isinstance(payload, BlobRef):
        return bytes.fromhex(payload.digest), payload.size
    return payload, None


def _payload(data: bytes, size: int | None) -> Payload:
    return data if size is None else BlobRef(Digest(data.hex()), size)


def new_job_row(new: NewJob) -> Row:
    """What the statement ``submit`` takes."""
    spec, session = new.spec, new.session
    state, epoch = (_PENDING, 0) if session is None else (_CLAIMED, 1)
    options = _options(spec.allow_hosts, spec.max_attempts, spec.timeout_ms, spec.memory_bytes)
    data, size = payload_columns(spec.input)
    return (new.id, state, epoch, session, new.created_ms, spec.module, spec.name, options, data, size)


def _spec(module: str, name: str, options: str, data: bytes, size: int | None) -> JobSpec:
    rare = _decode_options(options)
    return JobSpec(
        module=Digest(module),
        input=_payload(data, size),
        name=name,
        allow_hosts=rare.allow_hosts,
        max_attempts=rare.max_attempts,
        timeout_ms=rare.timeout_ms,
        memory_bytes=rare.memory_bytes,
    )


def claimed_job(row: Row) -> ClaimedJob:
    """What the statement ``claim`` returned."""
    job_id, epoch, attempt, journal_length, *spec = row
    return ClaimedJob(
        id=JobId(job_id), epoch=epoch, attempt=attempt, spec=_spec(*spec), journal_length=journal_length
    )


def job(row: Row) -> Job:
    """What the statements that read whole jobs return."""
    result, result_size, failure = row[-3:]
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
        spec=_spec(*row[11:16]),
        result=None if result is None else _payload(result, result_size),
        failure=None if failure is None else _decode_failure(failure),
    )


def failure_text(failure: Failure) -> str:
    """A failure as stored."""
    return _encode_json(failure).decode()


def fingerprint(report: Report) -> int:
    """64 bits that tell a report from other reports of the same placement."""
    encoded = _encode_msgpack((report.outcome, report.tail, report.retry_ms))
    return int.from_bytes(blake2b(encoded, digest_size=8).digest(), "big", signed=True)
