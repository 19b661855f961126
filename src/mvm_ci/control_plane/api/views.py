"""Jobs, workers and modules as the API shows them."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from mvm_ci.domain.errors import NotFound
from mvm_ci.domain.ids import JobId, format_job_id
from mvm_ci.domain.job import Job, JobState, NewJob
from mvm_ci.domain.lane import Concurrency
from mvm_ci.domain.mail import NEVER_MS, shown_topic
from mvm_ci.domain.options import Dependency
from mvm_ci.domain.outcome import Failure
from mvm_ci.domain.payload import BlobRef, Payload, is_json
from mvm_ci.domain.shown import Progress
from mvm_ci.domain.versions import is_older
from mvm_ci.lifecycle.session import Session
from mvm_ci.lifecycle.sessions import Sessions
from mvm_ci.ports.catalogue import ModuleInfo, ModuleVersion
from mvm_ci.ports.registry import Worker, WorkerState
from mvm_ci.wire import api

_COMPLETED: Final = JobState.COMPLETED.label
"""Looked up once: a member of an enumeration costs Python a call each time."""


def job_view(job: Job, sessions: Sessions, after: Sequence[Dependency] = ()) -> api.JobView:
    """A job; ``after``: what it waits for, or waited."""
    session = sessions.by_id(job.session) if job.session is not None else None
    result, base64, size = _result(job.result)
    return api.JobView(
        id=format_job_id(job.id),
        state=job.state.label,
        name=job.spec.name,
        module=job.spec.module,
        **_options(job),
        after=tuple(
            api.AfterSpec(job=format_job_id(dependency.job), needs=dependency.needs.value)
            for dependency in after
        ),
        attempt=job.attempt,
        epoch=job.epoch,
        losses=job.losses,
        journal_length=job.journal_length,
        created_ms=job.created_ms,
        started_ms=job.started_ms,
        finished_ms=job.finished_ms,
        wake_ms=job.wake_ms if job.wake_ms != NEVER_MS else None,
        expires_ms=job.expires_ms,
        deadline_ms=job.options.deadline_ms,
        worker=session.name if session is not None else None,
        first_attempt=job.first_attempt,
        parent=format_job_id(job.options.parent.job) if job.options.parent is not None else None,
        awaits=tuple(map(shown_topic, job.awaits)) if job.state is JobState.SUSPENDED else (),
        progress=_progress(job.progress),
        inputs={one.name: one.digest for one in job.spec.inputs},
        failure=_failure(job.failure),
        result=result,
        result_base64=base64,
        result_size=size,
    )


def _progress(said: Progress | None) -> api.ProgressView | None:
    if said is None:
        return None
    return api.ProgressView(text=said.text, done=said.done, total=said.total)


def _options(job: Job) -> dict[str, Any]:
    """The fields of a view that show a job's options."""
    options = job.options
    lane, once = options.lane, options.idempotency
    return {
        "namespace": lane.namespace,
        "queue": lane.queue,
        "priority": lane.priority,
        "labels": dict(lane.labels),
        "tags": options.tags,
        "metadata": dict(options.metadata),
        "fairness_key": lane.fairness_key,
        "concurrency": _concurrency(lane.concurrency),
        "idempotency_key": once.key if once is not None else None,
        "max_attempts": job.spec.max_attempts,
        "secrets": job.spec.secrets,
    }


def _concurrency(concurrency: Concurrency | None) -> api.ConcurrencySpec | None:
    if concurrency is None:
        return None
    return api.ConcurrencySpec(
        key=concurrency.key,
        limit=concurrency.limit,
        starts=concurrency.starts,
        per_s=concurrency.per_ms / 1000,
        excess=concurrency.excess.value,
    )


def completed_view(job: JobId, result: Payload) -> api.JobView:
    """How a job ended that has completed."""
    shown, base64, size = _result(result)
    return api.JobView(
        id=format_job_id(job),
        state=_COMPLETED,
        result=shown,
        result_base64=base64,
        result_size=size,
    )


def new_view(job: NewJob) -> api.JobView:
    """A job that was submitted just now."""
    if job.session is not None:
        state = JobState.CLAIMED
    elif job.options.after:
        state = JobState.BLOCKED
    else:
        state = JobState.PENDING if job.options.run_at_ms is None else JobState.SCHEDULED
    return api.JobView(id=format_job_id(job.id), state=state.label)


def end_view(job_id: JobId, job: Job | None) -> api.JobView:
    """How a job ended, or in which state it is."""
    if job is None:
        raise NotFound(f"job {format_job_id(job_id)} is gone")
    if job.state is JobState.COMPLETED and job.result is not None:
        return completed_view(job_id, job.result)
    return api.JobView(id=format_job_id(job_id), state=job.state.label, failure=_failure(job.failure))


def worker_view(worker: Worker, session: Session | None, lease_left_ms: int, version: str) -> api.WorkerView:
    """A worker; ``session``: its open one; ``version``: the control plane's."""
    state = worker.state.name.lower()
    if worker.state is WorkerState.ACTIVE and session is not None and session.leaving:
        state = WorkerState.DRAINING.name.lower()
    return api.WorkerView(
        id=worker.id,
        name=worker.name,
        state=state,
        connected=session is not None and lease_left_ms > 0,
        path=session.link.path() if session is not None and session.link is not None else None,
        slots=worker.slots,
        running=session.running if session is not None else 0,
        version=worker.version,
        platform=worker.platform,
        joined_ms=worker.joined_ms,
        seen_ms=max(worker.seen_ms, session.seen_ms) if session is not None else worker.seen_ms,
        session=session.id if session is not None else None,
        lease_left_ms=lease_left_ms if session is not None else None,
        labels=dict(worker.labels),
        ephemeral=worker.ephemeral,
        drain_by_ms=worker.drain_by_ms,
        protocol=worker.protocol,
        outdated=is_older(worker.version, version),
        stalled=session is not None and session.stalled,
        jobs=len(session.placements) if session is not None else 0,
        role=worker.role.value,
    )


def module_view(info: ModuleInfo) -> api.ModuleView:
    """A module."""
    return api.ModuleView(
        digest=info.digest,
        name=info.name,
        kind=info.kind,
        size=info.size,
        created_ms=info.created_ms,
        allow_hosts=info.allow_hosts,
        secrets=info.secrets,
    )


def version_view(version: ModuleVersion) -> api.ModuleVersionView:
    """A version of a module's name."""
    return api.ModuleVersionView(
        name=version.name, version=version.version, digest=version.digest, created_ms=version.created_ms
    )


def _failure(failure: Failure | None) -> api.FailureView | None:
    if failure is None:
        return None
    return api.FailureView(kind=failure.kind.value, message=failure.message, detail=failure.detail)


def _result(payload: Payload | None) -> tuple[msgspec.Raw | msgspec.UnsetType, str | None, int | None]:
    if payload is None:
        return msgspec.UNSET, None, None
    if isinstance(payload, BlobRef):
        return msgspec.UNSET, None, payload.size
    if is_json(payload):
        return msgspec.Raw(payload), None, len(payload)
    return msgspec.UNSET, b64encode(payload).decode(), len(payload)
