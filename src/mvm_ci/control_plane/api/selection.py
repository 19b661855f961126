"""Which jobs a request is about."""

from typing import Final

from msgspec.structs import replace

from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.ids import Digest, JobId, first_id_of, is_digest, parse_job_id
from mvm_ci.domain.job import JobState
from mvm_ci.ports.job_queue import JobFilter
from mvm_ci.wire import api

_STATES: Final = {state.label: state for state in JobState}


def parse_id(text: str, where: str) -> JobId:
    """A job id. Raises ``BadInput``, saying where."""
    try:
        return parse_job_id(text)
    except ValueError:
        raise BadInput(f"{where}: {text[:80]!r} is not a job id (j and 13 characters)") from None


def job_filter(selection: api.JobSelection, namespace: str) -> JobFilter:
    """The jobs of a namespace that a selection means. Raises ``BadInput``."""
    states = []
    for name in selection.states:
        state = _STATES.get(name)
        if state is None:
            raise BadInput(f"state: {name[:80]!r} is none; there are: {', '.join(_STATES)}")
        states.append(state)
    if selection.module is not None and not is_digest(selection.module):
        raise BadInput(f"module: {selection.module[:80]!r} is not a digest (64 hex digits)")
    which = JobFilter(
        namespace=namespace,
        states=tuple(states),
        queue=selection.queue,
        module=Digest(selection.module) if selection.module is not None else None,
        name=selection.name,
        terms=selection.tags,
    )
    # An id begins with the time of its submission.
    if selection.created_from_ms is not None:
        which = narrowed(which, after=first_id_of(selection.created_from_ms))
    if selection.created_before_ms is not None:
        which = narrowed(which, before=first_id_of(selection.created_before_ms))
    return which


def narrowed(which: JobFilter, *, before: JobId | None = None, after: JobId | None = None) -> JobFilter:
    """The jobs of ``which`` with ids below ``before`` and at least ``after``, too."""
    if before is not None and (which.before is None or before < which.before):
        which = replace(which, before=before)
    if after is not None and (which.after is None or after > which.after):
        which = replace(which, after=after)
    return which
