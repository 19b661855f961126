"""Children: jobs that guests start. Parents hear of their ends. A child is cancelled when its parent ends
other than by completing, or when the attempt that started it has failed.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final

import msgspec
from msgspec.structs import replace

from mvm_ci.domain.errors import BadInput, MvmCiError, NotFound, Refused
from mvm_ci.domain.ids import JobId, format_job_id
from mvm_ci.domain.job import FINAL, Job, JobState
from mvm_ci.domain.network import covered
from mvm_ci.domain.options import JobOptions, Parent
from mvm_ci.lifecycle.mailroom import Mailroom
from mvm_ci.lifecycle.submit import Checked, Submitter
from mvm_ci.lifecycle.until_done import UntilDone
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.ports.mail import MailStore
from mvm_ci.wire.api import SubmitJob

MAX_AT_ONCE: Final = 1_000
"""Children that one call starts."""


class Family:
    """An ``EndListener``: knows the parent of every child that has not ended. ``cancel`` cancels jobs."""

    def __init__(
        self,
        queue: JobQueue,
        store: MailStore,
        mailroom: Mailroom,
        clock: Clock,
        submitter: Submitter,
        cancel: Callable[[Sequence[JobId]], Awaitable[object]],
    ) -> None:
        self._queue = queue
        self._store = store
        self._mailroom = mailroom
        self._submitter = submitter
        self._cancel = cancel
        self._parents: dict[JobId, Parent] = {}
        self._children: dict[JobId, set[JobId]] = {}
        self._orphaning = UntilDone(clock, "children_not_cancelled")

    async def restore(self) -> None:
        """After the start: a crash may have come between a parent's end and its children's. Raises
        ``Unavailable``.
        """
        for child, parent in (await self._store.parents()).items():
            self._add(parent, child)
        self._look_at(self._children)

    async def start(self, parent: Job, key: str, jobs: Sequence[SubmitJob]) -> list[JobId]:
        """Starts children, all or none, durably; again with the same ``key``: the same ones.

        Raises what ``Submitter.check`` raises, and ``Refused`` for what the parent may not do itself.
        """
        if len(jobs) > MAX_AT_ONCE:
            raise BadInput(f"jobs: {len(jobs)} children; at most {MAX_AT_ONCE} at once are allowed")
        if any(job.idempotency_key is not None for job in jobs):
            raise BadInput("idempotency_key: children have one of their own: each call starts them once")
        keyed = [
            replace(job, idempotency_key=f"child-{key}-{number}", allow_hosts=_hosts(job, parent))
            for number, job in enumerate(jobs)
        ]
        namespace = parent.options.lane.namespace
        try:
            checked = await self._submitter.check(keyed, namespace)
        except MvmCiError:
            # Asked again, it was done: what has become full since, or is not there any more, changes nothing.
            known = await self._submitter.known(keyed, namespace)
            if known is None:
                raise
            return known
        for number, one in enumerate(checked):
            _check(number, one, parent)
        of = Parent(parent.id, parent.attempt)
        submission = self._submitter.hand_over(
            [replace(one, options=_as_child(one.options, of, parent.options.deadline_ms)) for one in checked]
        )
        for child in submission.new:
            self._add(of, child)
        try:
            await submission.durable
        except MvmCiError:
            for child in submission.new:
                self._remove(child)
            raise
        # It may have ended while they were on their way, and nobody had heard of them then.
        self._look_at((parent.id,))
        return submission.jobs

    async def cancel(self, parent: Job, child: JobId) -> None:
        """Cancels a child. Raises ``NotFound`` if it is none of this parent, ``Unavailable``."""
        (job,) = await self._queue.get([child])
        if job is None or job.options.parent is None or job.options.parent.job != parent.id:
            raise NotFound(f"this job has no child {format_job_id(child)}")
        await self._cancel([child])

    def concerns(self, job: JobId) -> bool:
        return job in self._parents or job in self._children

    def ended(self, jobs: Sequence[JobId]) -> None:
        if not self._parents:
            return
        told = {parent for job in jobs if (parent := self._remove(job)) is not None}
        if told:
            self._mailroom.arrived(told)
        self._look_at([job for job in jobs if job in self._children])

    def forsaken(self, jobs: Iterable[JobId]) -> None:
        """These begin anew: the children of the attempt that failed are nobody's."""
        self._look_at([job for job in jobs if job in self._children])

    async def close(self) -> None:
        """Ends what is under way; the next start does it."""
        await self._orphaning.close()

    def _add(self, parent: Parent, child: JobId) -> None:
        self._parents[child] = parent
        self._children.setdefault(parent.job, set()).add(child)

    def _remove(self, child: JobId) -> JobId | None:
        parent = self._parents.pop(child, None)
        if parent is None:
            return None
        siblings = self._children[parent.job]
        siblings.discard(child)
        if not siblings:
            del self._children[parent.job]
        return parent.job

    def _look_at(self, parents: Iterable[JobId]) -> None:
        asked = list(parents)
        if asked:
            self._orphaning.begin(partial(self._orphan, asked))

    async def _orphan(self, parents: Sequence[JobId]) -> None:
        """Cancels those of their children that nobody will hear of."""
        found = await self._queue.get(parents)
        orphans = [
            child
            for id_, job in zip(parents, found, strict=True)
            for child in self._children.get(id_, ())
            if _orphaned(job, self._parents[child].attempt)
        ]
        if orphans:
            await self._cancel(orphans)


def _as_child(options: JobOptions, parent: Parent, deadline_ms: int | None) -> JobOptions:
    """It must have ended by the time by which its parent must."""
    times = [at_ms for at_ms in (options.deadline_ms, deadline_ms) if at_ms is not None]
    return replace(options, parent=parent, deadline_ms=min(times, default=None))


def _orphaned(parent: Job | None, attempt: int) -> bool:
    """Whether nobody waits any more for what ``attempt`` of a job started. Who goes on as new keeps its
    children.
    """
    if parent is None:
        return True
    if parent.state in FINAL:
        return parent.state is not JobState.COMPLETED
    return parent.first_attempt <= attempt < parent.attempt


def _hosts(child: SubmitJob, parent: Job) -> tuple[str, ...] | None:
    """The hosts of a child that does not say: of its parent's module, those of its parent."""
    if child.allow_hosts is None and child.module == parent.spec.module:
        return parent.spec.allow_hosts
    return child.allow_hosts


def _check(number: int, child: Checked, parent: Job) -> None:
    """A child may do no more than its parent."""
    for host in child.spec.allow_hosts:
        if not covered(host, parent.spec.allow_hosts):
            allowed = ", ".join(parent.spec.allow_hosts) or "none"
            raise Refused(
                f"jobs[{number}].allow_hosts: {host[:80]!r}; the job that starts it may call: {allowed}"
            )


def decode_children(argument: bytes) -> tuple[SubmitJob, ...]:
    """The argument of ``child.start``. Raises ``BadInput``."""
    try:
        return msgspec.json.decode(argument, type=_Children).jobs
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"the argument cannot be read: {error}") from None


class _Children(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    jobs: tuple[SubmitJob, ...]
