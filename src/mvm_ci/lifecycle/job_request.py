"""A request's job, checked field by field and in the form that the queue keeps."""

import math
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final, TypeVar

import msgspec

from mvm_ci.domain.artifact import Artifact, check_inputs
from mvm_ci.domain.errors import BadInput, NotFound, TooLarge
from mvm_ci.domain.ids import Digest, JobId, is_digest, parse_job_id
from mvm_ci.domain.job import Durability
from mvm_ci.domain.labels import check_labels
from mvm_ci.domain.lane import HIGHEST_PRIORITY, LOWEST_PRIORITY, Concurrency, Excess, Lane, lane
from mvm_ci.domain.options import Idempotency, JobOptions, Needs
from mvm_ci.domain.outcome import FailureKind
from mvm_ci.domain.retry import Backoff
from mvm_ci.domain.secrets import check_names
from mvm_ci.lifecycle.modules import check_hosts, check_name
from mvm_ci.wire.api import MAX_INPUT, AfterSpec, BackoffSpec, ConcurrencySpec, SubmitJob

MAX_ATTEMPTS: Final = 100
MAX_TIMEOUT_S: Final = 30 * 86_400.0
MAX_GRACE_S: Final = 3_600.0
MAX_DEADLINE_S: Final = 3_650 * 86_400.0
MAX_MEMORY_MB: Final = 4_096
MAX_KEY: Final = 200
"""Characters of a concurrency, fairness or idempotency key, a tag, a metadata key or the name of a queue."""
MAX_TAGS: Final = 32
MAX_METADATA: Final = 32
MAX_METADATA_VALUE: Final = 1_000
MAX_AFTER: Final = 100
MAX_CONCURRENCY: Final = 1_000_000
LAST_MS: Final = 1 << 43
"""Times lie before the year 2248."""
T = TypeVar("T", bound=str)
_DURABILITIES: Final = {one.value: one for one in Durability}
_USUAL_BACKOFF: Final = BackoffSpec()
_BACKOFF: Final = Backoff()
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Upstream(msgspec.Struct, frozen=True):
    """``job``: an id, or the number of a job of the same request (``same_request``)."""

    job: int
    same_request: bool
    needs: Needs


def options_of(number: int, job: SubmitJob, namespace: str, now_ms: int) -> JobOptions:
    """How the queue treats a job, but for what it waits for (``upstreams_of``). Raises ``BadInput``."""
    where = f"jobs[{number}]"
    if is_plain(job):
        return _usual(namespace, job.queue, job.priority)
    _check_terms(where, job)
    run_at_ms = job.run_at_ms
    if run_at_ms is not None and not 0 <= run_at_ms < LAST_MS:
        raise BadInput(f"{where}.run_at_ms: {run_at_ms} is no time (Unix milliseconds)")
    expires_ms = None
    if job.start_within_s is not None:
        _check_range(f"{where}.start_within_s", job.start_within_s, MAX_TIMEOUT_S)
        expires_ms = max(now_ms, run_at_ms or 0) + max(1, round(job.start_within_s * 1000))
    deadline_ms = None
    if job.deadline_s is not None:
        _check_range(f"{where}.deadline_s", job.deadline_s, MAX_DEADLINE_S)
        deadline_ms = max(now_ms, run_at_ms or 0) + max(1, round(job.deadline_s * 1000))
    once = job.idempotency_key
    if once is not None:
        check_key(f"{where}.idempotency_key", once)
    return JobOptions(
        lane=_lane(where, job, namespace),
        run_at_ms=run_at_ms if run_at_ms is not None and run_at_ms > now_ms else None,
        expires_ms=expires_ms,
        deadline_ms=deadline_ms,
        backoff=_backoff(f"{where}.backoff", job.backoff),
        tags=tuple(dict.fromkeys(job.tags)),
        metadata=tuple(sorted(job.metadata.items())),
        idempotency=Idempotency(once, _fingerprint(job)) if once is not None else None,
    )


def upstreams_of(number: int, job: SubmitJob) -> tuple[Upstream, ...]:
    """What a job waits for. Raises ``BadInput``."""
    where = f"jobs[{number}].after"
    if len(job.after) > MAX_AFTER:
        raise TooLarge(f"{where}: {len(job.after)} jobs; at most {MAX_AFTER} are allowed")
    found = [_upstream(f"{where}[{at}]", number, after) for at, after in enumerate(job.after)]
    if len({(upstream.job, upstream.same_request) for upstream in found}) != len(found):
        raise BadInput(f"{where}: names a job twice")
    return tuple(found)


def check_ranges(number: int, job: SubmitJob) -> None:
    """Raises ``BadInput`` for what every job has."""
    where = f"jobs[{number}]"
    check_name(job.name, f"{where}.name")
    if not 1 <= job.max_attempts <= MAX_ATTEMPTS:
        raise BadInput(f"{where}.max_attempts: {job.max_attempts} is not between 1 and {MAX_ATTEMPTS}")
    _check_range(f"{where}.timeout_s", job.timeout_s, MAX_TIMEOUT_S)
    if not 1 <= job.memory_mb <= MAX_MEMORY_MB:
        raise BadInput(f"{where}.memory_mb: {job.memory_mb} is not between 1 and {MAX_MEMORY_MB}")
    if not LOWEST_PRIORITY <= job.priority <= HIGHEST_PRIORITY:
        raise BadInput(
            f"{where}.priority: {job.priority} is not between {LOWEST_PRIORITY} and {HIGHEST_PRIORITY}"
        )
    if job.cancel_grace_s is not None:
        _check_range(f"{where}.cancel_grace_s", job.cancel_grace_s, MAX_GRACE_S)
    check_key(f"{where}.queue", job.queue)
    if job.allow_hosts is not None:
        check_hosts(job.allow_hosts, f"{where}.allow_hosts")
    if job.secrets:
        check_names(job.secrets, f"{where}.secrets")


def durability_of(number: int, job: SubmitJob) -> Durability:
    """What is kept of its executions. Raises ``BadInput``."""
    return _one_of(f"jobs[{number}].durability", job.durability, _DURABILITIES)


def input_of(number: int, job: SubmitJob) -> bytes:
    """The job's input. Raises ``TooLarge`` or ``BadInput``."""
    given = bytes(job.input)
    if len(given) > MAX_INPUT:
        raise TooLarge(f"jobs[{number}].input: {len(given)} bytes; at most {MAX_INPUT} are allowed")
    try:
        given.decode()
    except UnicodeDecodeError:
        raise BadInput(f"jobs[{number}].input: not UTF-8") from None
    return given


def inputs_of(number: int, job: SubmitJob, held: Mapping[Digest, int]) -> tuple[Artifact, ...]:
    """The artifacts that a job is given. ``held``: sizes by digest. Raises ``BadInput``, ``NotFound``."""
    where = f"jobs[{number}].inputs"
    check_inputs(job.inputs, where)
    found = []
    for name, digest in sorted(job.inputs.items()):
        if not is_digest(digest):
            raise BadInput(f"{where}: {digest[:80]!r} is not a digest (64 hex digits)")
        size = held.get(Digest(digest))
        if size is None:
            raise NotFound(f"{where}: the namespace holds no artifact {digest}; upload it first")
        found.append(Artifact(name, Digest(digest), size))
    return tuple(found)


def is_plain(job: SubmitJob) -> bool:
    """Whether a job has none of what few jobs have: its queue and priority are all its options."""
    return not (
        job.labels
        or job.tags
        or job.metadata
        or job.fairness_key
        or job.after
        or job.inputs
        or job.concurrency is not None
        or job.idempotency_key is not None
        or job.run_at_ms is not None
        or job.start_within_s is not None
        or job.deadline_s is not None
        or job.backoff != _USUAL_BACKOFF
    )


@lru_cache(maxsize=1024)
def _usual(namespace: str, queue: str, priority: int) -> JobOptions:
    return JobOptions(lane=lane(namespace, queue, priority))


def _lane(where: str, job: SubmitJob, namespace: str) -> Lane:
    try:
        check_labels(job.labels)
    except ValueError as error:
        raise BadInput(f"{where}.labels: {error}") from None
    if job.fairness_key:
        check_key(f"{where}.fairness_key", job.fairness_key)
    concurrency = None
    if job.concurrency is not None:
        concurrency = _concurrency(f"{where}.concurrency", job.concurrency)
    return lane(
        namespace, job.queue, job.priority, tuple(sorted(job.labels.items())), job.fairness_key, concurrency
    )


def _concurrency(where: str, given: ConcurrencySpec) -> Concurrency:
    check_key(f"{where}.key", given.key)
    if given.limit is None and given.starts is None:
        raise BadInput(f"{where}: has neither limit nor starts; give one of them")
    for name, number in (("limit", given.limit), ("starts", given.starts)):
        if number is not None and not 1 <= number <= MAX_CONCURRENCY:
            raise BadInput(f"{where}.{name}: {number} is not between 1 and {MAX_CONCURRENCY}")
    _check_range(f"{where}.per_s", given.per_s, MAX_TIMEOUT_S)
    return Concurrency(
        key=given.key,
        limit=given.limit,
        starts=given.starts,
        per_ms=max(1, round(given.per_s * 1000)),
        excess=_one_of(f"{where}.excess", given.excess, {e.value: e for e in Excess}),
    )


def _backoff(where: str, given: BackoffSpec) -> Backoff:
    if given == _USUAL_BACKOFF:
        return _BACKOFF
    for name, seconds in (("base_s", given.base_s), ("longest_s", given.longest_s)):
        _check_range(f"{where}.{name}", seconds, MAX_TIMEOUT_S)
    if not 1 <= given.factor <= 100:
        raise BadInput(f"{where}.factor: {given.factor} is not between 1 and 100")
    known = {kind.value: kind for kind in FailureKind}
    return Backoff(
        base_ms=max(1, round(given.base_s * 1000)),
        longest_ms=max(1, round(given.longest_s * 1000)),
        factor=given.factor,
        kinds=tuple(_one_of(f"{where}.kinds", kind, known) for kind in given.kinds),
    )


def _upstream(where: str, number: int, after: AfterSpec) -> Upstream:
    needs = _one_of(f"{where}.needs", after.needs, {need.value: need for need in Needs})
    if after.job.startswith("#"):
        index = after.job[1:]
        if not index.isdecimal() or len(index) > 6 or int(index) >= number:
            raise BadInput(
                f"{where}.job: {after.job[:80]!r} is no earlier job of this request (#0 to #{number - 1})"
            )
        return Upstream(int(index), True, needs)
    try:
        return Upstream(JobId(parse_job_id(after.job)), False, needs)
    except ValueError:
        raise BadInput(f"{where}.job: {after.job[:80]!r} is not a job id (j and 13 characters)") from None


def _check_terms(where: str, job: SubmitJob) -> None:
    if len(job.tags) > MAX_TAGS:
        raise BadInput(f"{where}.tags: {len(job.tags)} tags; at most {MAX_TAGS} are allowed")
    for tag in job.tags:
        check_key(f"{where}.tags", tag)
        if "=" in tag:
            raise BadInput(f"{where}.tags: {tag[:80]!r} has a =; key and value belong into metadata")
    check_metadata(f"{where}.metadata", job.metadata)


def check_metadata(where: str, metadata: Mapping[str, str]) -> None:
    """Raises ``BadInput``, saying where, for what cannot be metadata."""
    if len(metadata) > MAX_METADATA:
        raise BadInput(f"{where}: {len(metadata)} keys; at most {MAX_METADATA} are allowed")
    for key, value in metadata.items():
        check_key(where, key)
        if "=" in key:
            raise BadInput(f"{where}: the key {key[:80]!r} has a =")
        if len(value) > MAX_METADATA_VALUE:
            raise BadInput(
                f"{where}: the value of {key[:80]!r} has {len(value)} characters; "
                f"at most {MAX_METADATA_VALUE} are allowed"
            )


def check_key(where: str, text: str) -> None:
    """Raises ``BadInput``, saying where, for what is no key, and no name of a queue."""
    if not text or len(text) > MAX_KEY or not text.isprintable():
        raise BadInput(f"{where}: {text[:80]!r} is not 1 to {MAX_KEY} printable characters")


def _check_range(where: str, seconds: float, most: float) -> None:
    if not (math.isfinite(seconds) and 0 < seconds <= most):
        raise BadInput(f"{where}: {seconds} is not above 0 and at most {most:.0f}")


def _one_of(where: str, text: str, known: Mapping[str, T]) -> T:
    found = known.get(text)
    if found is None:
        raise BadInput(f"{where}: {text[:80]!r} is none; there are: {', '.join(known)}")
    return found


def _fingerprint(job: SubmitJob) -> bytes:
    return blake2b(_encode(job), digest_size=16).digest()
