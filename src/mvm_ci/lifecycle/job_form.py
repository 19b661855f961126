"""What jobs of one request have in common: it is checked once for all that have the same."""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from mvm_ci.domain.errors import NotFound
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.job import JobSpec
from mvm_ci.domain.options import JobOptions
from mvm_ci.domain.payload import Payload
from mvm_ci.lifecycle import job_request
from mvm_ci.ports.catalogue import ModuleInfo
from mvm_ci.wire.api import SubmitJob


class Form(NamedTuple):
    """All of a job but its input and what it waits for. ``common``: its spec, without an input."""

    common: JobSpec
    options: JobOptions

    def spec(self, given: Payload) -> JobSpec:
        """A job's own spec."""
        return replace(self.common, input=given)


class Forms:
    """The forms of one request's jobs. ``modules``: those that the request names and that there are;
    ``artifacts``: the sizes of likewise those artifacts, by digest.
    """

    def __init__(
        self, modules: Mapping[str, ModuleInfo], artifacts: Mapping[Digest, int], namespace: str, now_ms: int
    ) -> None:
        self._modules = modules
        self._artifacts = artifacts
        self._namespace = namespace
        self._now_ms = now_ms
        self._known: dict[tuple[object, ...], Form] = {}

    def of(self, number: int, job: SubmitJob) -> Form:
        """The form of the request's job ``number``. Raises ``BadInput`` or ``NotFound``, saying which job and
        field.
        """
        if not job_request.is_plain(job):
            return self._checked(number, job)
        # All that a plain job has, but for its input.
        key = (
            job.module,
            job.name,
            job.allow_hosts,
            job.secrets,
            job.timeout_s,
            job.memory_mb,
            job.cancel_grace_s,
            job.durability,
            job.queue,
            job.priority,
            job.max_attempts,
        )
        form = self._known.get(key)
        if form is None:
            form = self._known[key] = self._checked(number, job)
        return form

    def _checked(self, number: int, job: SubmitJob) -> Form:
        job_request.check_ranges(number, job)
        module = self._modules.get(job.module)
        if module is None:
            raise NotFound(f"jobs[{number}].module: there is no module {job.module[:80]!r}; upload it first")
        common = JobSpec(
            module=module.digest,
            input=b"",
            name=job.name,
            allow_hosts=module.allow_hosts if job.allow_hosts is None else job.allow_hosts,
            secrets=module.secrets if job.secrets is None else job.secrets,
            max_attempts=job.max_attempts,
            timeout_ms=max(1, round(job.timeout_s * 1000)),
            memory_bytes=job.memory_mb << 20,
            cancel_grace_ms=round((job.cancel_grace_s or 0.0) * 1000),
            durability=job_request.durability_of(number, job),
            inputs=job_request.inputs_of(number, job, self._artifacts) if job.inputs else (),
        )
        return Form(common, job_request.options_of(number, job, self._namespace, self._now_ms))
