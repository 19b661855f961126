"""The job queue: the durable state of every job.

All methods take and return batches, because the hot path lives from batches; results come in the order of
the arguments. A call is atomic on its own and returns when its effect is durable (survives ``kill -9`` and
power loss). Calls take effect in the order in which they were *called*, even if a caller does not wait: a
caller may send on what a later call depends on. So the methods are plain functions that return an awaitable:
the call itself enters the queue, and needs a running event loop. A read does not wait for writes under way;
it sees every write that was answered before the read was called.

Every write may be repeated safely: ids are made by the caller, and each report about a placement is guarded
by its epoch. A report whose placement is over (another epoch, another state) changes nothing and is answered
``False``.

Cancelling the task that waits does not undo a call. Errors of the store itself (disk full, closed) are
``Unavailable``.
"""

from collections.abc import Awaitable, Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import ClaimedJob, Job, JobState, NewJob, Placed
from mvm_ci.domain.lane import Lane
from mvm_ci.domain.level import Level
from mvm_ci.domain.options import Dependency, terms
from mvm_ci.domain.outcome import Outcome
from mvm_ci.domain.segment import Append as Append
from mvm_ci.domain.segment import Prefix
from mvm_ci.domain.segment import Segment as Segment


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How a placement ended, with the last entries of its journal.

    Both become durable together, or neither.
    """

    placed: Placed
    outcome: Outcome
    tail: Segment | None = None
    retry_ms: int | None = None
    """For ``Failed``: when the next attempt may begin (Unix ms), as the retry policy decided; None: never."""


class Cancelled(StrEnum):
    """What became of a cancellation."""

    DONE = "done"  # it is cancelled now
    STOPPING = "stopping"  # its worker has to stop it first, or, without a placement, the next one to get it
    ALREADY = "already"  # it had ended, or is being cancelled
    UNKNOWN = "unknown"


class CancelResult(msgspec.Struct, frozen=True, kw_only=True):
    """``placed`` and ``session``: whom to tell, if ``STOPPING``."""

    cancelled: Cancelled
    placed: Placed | None = None
    session: SessionId | None = None


class Change(StrEnum):
    """What became of a pause, a resumption, a revival or a deletion."""

    DONE = "done"
    STOPPING = "stopping"  # its worker has to stop it first
    ALREADY = "already"  # it is as asked
    REFUSED = "refused"  # its state forbids it
    UNKNOWN = "unknown"


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """``placed`` and ``session``: whom to tell, if ``STOPPING``."""

    change: Change
    placed: Placed | None = None
    session: SessionId | None = None


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of jobs that waited for others: ready now, waiting for their time, cancelled. ``lanes``: of
    those that are ready, by number.
    """

    lanes: dict[int, Lane] = {}
    pending: tuple[JobId, ...] = ()
    scheduled: tuple[JobId, ...] = ()
    cancelled: tuple[JobId, ...] = ()


class Woken(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs became ready because their time has come, and their lanes, by number."""

    jobs: int = 0
    lanes: dict[int, Lane] = {}


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A job that counts in its lane's limits. ``begun``: it holds a slot of its concurrency key; ``placed``:
    its placement, if a worker has it.
    """

    job: JobId
    lane: Lane
    begun: bool
    placed: Placed | None


class Keyed(msgspec.Struct, frozen=True, kw_only=True):
    """The job that an idempotency key stands for, and the request that made it."""

    job: JobId
    request: bytes


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs; everything that is given must hold. Ids: below ``before``, at least ``after``.

    ``namespace`` None: those of all. ``terms``: tags, or ``key=value`` of the metadata.
    """

    namespace: str | None = None
    states: tuple[JobState, ...] = ()
    queue: str | None = None
    module: Digest | None = None
    name: str | None = None
    terms: tuple[str, ...] = ()
    before: JobId | None = None
    after: JobId | None = None

    def selects(self, job: Job) -> bool:
        """Whether all of it holds for ``job``."""
        lane = job.options.lane
        return (
            self.namespace in {None, lane.namespace}
            and (not self.states or job.state in self.states)
            and self.queue in {None, lane.queue}
            and self.module in {None, job.spec.module}
            and self.name in {None, job.spec.name}
            and set(self.terms) <= set(terms(job.options))
            and (self.before is None or job.id < self.before)
            and (self.after is None or job.id >= self.after)
        )


class Rescued(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the jobs of a session that ended. ``placed``: the placements that are over by it."""

    placed: tuple[Placed, ...] = ()
    pending: tuple[JobId, ...] = ()
    dead: tuple[JobId, ...] = ()
    cancelled: tuple[JobId, ...] = ()
    paused: tuple[JobId, ...] = ()


EVERY_JOB: Final = JobFilter()


class JobQueue(Protocol):
    """See the module's docstring. Times are Unix milliseconds, given by the caller."""

    def submit(self, jobs: Sequence[NewJob], levels: Sequence[Level] = ()) -> Awaitable[None]:
        """Inserts jobs, all or none: claimed with epoch 1 where ``session`` is set, else blocked if they wait
        for other jobs, scheduled if they have a time, or pending.

        A job whose id is already there is left as it is (a repetition). One that waits for others stays
        blocked until ``settle``, even if those have ended. ``levels``: what is left of the rates of those
        that are claimed, each key once; it becomes durable with them, or not at all.
        """
        ...

    def fork(self, new: NewJob, prefix: Prefix) -> Awaitable[bool]:
        """Inserts a pending job whose first attempt has a journal already: it is there with the whole of
        ``prefix``, or not at all. ``False``: the other journal does not hold that (any more).

        A job whose id is already there is left as it is (a repetition: ``True``). It may take several
        commits, and takes effect with the last one.
        """
        ...

    def claim(
        self, session: SessionId, lane: int, limit: int, level: Level | None = None
    ) -> Awaitable[list[ClaimedJob]]:
        """Places up to ``limit`` pending jobs of a lane, oldest first (by id), on ``session``.

        Each gets its next epoch; its attempt has begun. ``level``: what is left of the rate of the lane's
        key once ``limit`` jobs are placed. It becomes durable with them, one more for each that is not
        there; if none is, the rate stays as it was.
        """
        ...

    def ready_lanes(self) -> Awaitable[dict[int, Lane]]:
        """The lanes in which jobs are pending, by number (odd where their attempts have begun)."""
        ...

    def start(self, placements: Sequence[Placed], now_ms: int) -> Awaitable[list[bool]]:
        """The guests of these placements run now (``started_ms``: the first start of the attempt).

        A placement that is being cancelled is not over: ``True``, and nothing changes.
        """
        ...

    def append(self, segments: Sequence[tuple[Placed, Segment]]) -> Awaitable[list[Append]]:
        """Compare and append.

        A segment is written only if its placement is current and it begins at the journal's end. One
        without entries is a ``GAP``. A repetition of what the same placement appended is ``DONE``.
        """
        ...

    def cut_journal(self, placed: Placed, length: int) -> Awaitable[bool]:
        """Takes back the entries from ``length`` on, where a segment begins: their segments are damaged.

        ``False``, and nothing changed, if the placement is over.
        """
        ...

    def report(self, reports: Sequence[Report], now_ms: int) -> Awaitable[list[bool]]:
        """Ends placements.

        Completed, failed (or scheduled for another attempt with an empty journal), suspended, parked,
        released, stopped; each with its tail, which must begin at the journal's end (else: ``False``,
        nothing written).

        An exact repetition of a report that took effect is answered ``True`` as long as the job has not been
        placed again. A report about a job that is being cancelled takes effect as the transition table says.
        ``Suspended`` whose time is past makes the job pending at once. A failure with ``retry_ms`` counts
        the attempt; a released or suspended job keeps its journal.
        """
        ...

    def cancel(self, jobs: Sequence[JobId], now_ms: int) -> Awaitable[list[CancelResult]]:
        """Asks for the end of jobs, each named once.

        One that no worker has is cancelled at once, unless its guest has begun and has a grace to clean up:
        then it is pending, and cancelling as soon as it is placed. Asked once more, it is cancelled, too.
        """
        ...

    def settle(self, ended: Sequence[JobId], now_ms: int) -> Awaitable[Settled]:
        """Looks at the blocked jobs that wait for ``ended``, and at all that follows from them.

        Those for which all jobs have ended as they must are pending, or scheduled if they have a time; those
        that need the success of one that ended otherwise, or wait for one that is not there, are cancelled
        (``DEPENDENCY``).
        """
        ...

    def upstreams(self) -> Awaitable[list[JobId]]:
        """The jobs for which blocked ones wait."""
        ...

    def pause(self, jobs: Sequence[JobId]) -> Awaitable[list[Changed]]:
        """Parks jobs until they are resumed; those at workers have to be stopped first.

        A paused job keeps its attempt, its journal, its time and its slot.
        """
        ...

    def resume(self, jobs: Sequence[JobId], now_ms: int) -> Awaitable[list[Changed]]:
        """Paused jobs go on: pending, scheduled if their time is to come, blocked if they wait for others."""
        ...

    def revive(self, jobs: Sequence[JobId]) -> Awaitable[list[Changed]]:
        """Failed, cancelled and dead jobs are pending again, with no losses counted.

        A dead one goes on in its attempt, by its journal; the others begin a new one.
        """
        ...

    def delete(self, jobs: Sequence[JobId]) -> Awaitable[list[Changed]]:
        """Removes jobs that have ended, with their journals. ``REFUSED``: one has not, or a job that has not
        ended waits for it or is its child.
        """
        ...

    def expire(self, now_ms: int, limit: int) -> Awaitable[list[JobId]]:
        """Fails jobs (``EXPIRED``) that no worker has taken by their ``expires_ms``, earliest first."""
        ...

    def overdue(self, now_ms: int, limit: int) -> Awaitable[list[JobId]]:
        """Fails jobs (``OVERDUE``) whose ``deadline_ms`` has passed and that no worker has, earliest ones
        first.
        """
        ...

    def next_deadline(self) -> Awaitable[int | None]:
        """The earliest time at which ``overdue`` will find something."""
        ...

    def deadlines(self) -> Awaitable[dict[JobId, int]]:
        """The deadlines of all jobs that have not ended."""
        ...

    def next_expiry(self) -> Awaitable[int | None]:
        """The earliest time at which ``expire`` will find something."""
        ...

    def supersede(self, jobs: Sequence[JobId], now_ms: int) -> Awaitable[list[CancelResult]]:
        """Cancels jobs whose place newer ones of their concurrency key take (``SUPERSEDED``)."""
        ...

    def rescue(
        self, session: SessionId, now_ms: int, max_losses: int, keep: Sequence[Placed] = ()
    ) -> Awaitable[Rescued]:
        """A session ended (or came back knowing only of ``keep``): its other placed jobs return to pending.

        Jobs in progress count a loss; one with more than ``max_losses`` becomes dead. One that was only
        claimed loses nothing.
        """
        ...

    def held(self, session: SessionId) -> Awaitable[list[Placed]]:
        """The placements that the session holds now (claimed, in progress or cancelling)."""
        ...

    def wake(self, now_ms: int, limit: int) -> Awaitable[Woken]:
        """Makes suspended and scheduled jobs whose time has come pending, earliest first."""
        ...

    def next_wake(self) -> Awaitable[int | None]:
        """The earliest time at which ``wake`` will find something; None if nothing waits for a time."""
        ...

    def get(self, jobs: Sequence[JobId]) -> Awaitable[list[Job | None]]:
        """The jobs as they are; None where there is none."""
        ...

    def dependencies(self, job: JobId) -> Awaitable[list[Dependency]]:
        """What a job waits for, or waited, by id."""
        ...

    def list_jobs(
        self,
        which: JobFilter = EVERY_JOB,
        limit: int = 100,
    ) -> Awaitable[list[Job]]:
        """Jobs, newest first (by id)."""
        ...

    def counts(self, namespace: str | None = None) -> Awaitable[dict[JobState, int]]:
        """How many jobs there are in each state (states without jobs may be missing)."""
        ...

    def oldest_ready(self) -> Awaitable[JobId | None]:
        """The pending job with the lowest id; None if none is pending."""
        ...

    def waiting(self, namespace: str) -> Awaitable[int]:
        """How many jobs of a namespace have not ended and are at no worker."""
        ...

    def stored(self, namespace: str) -> Awaitable[int]:
        """Bytes of the inputs and results of a namespace's jobs, and of what others sent them and they have
        not taken, whether inline or blobs; every job counts its own. Looks at each of its jobs.
        """
        ...

    def ahead(self, job: JobId, limit: int) -> Awaitable[int]:
        """How many pending jobs of a pending job's lane come before it; ``limit`` if there are more."""
        ...

    def holders(self) -> Awaitable[list[Holder]]:
        """The jobs that have not ended and have a concurrency key, or are placed."""
        ...

    def levels(self, now_ms: int) -> Awaitable[list[Level]]:
        """What the last placements left of rates, by namespace and key.

        A write: those that are full by ``now_ms`` are removed. Those of a later time, when the clock was set
        back since then, are of ``now_ms`` from then on: they do not wait until the clock is there again.
        """
        ...

    def with_key(self, namespace: str, key: str) -> Awaitable[list[JobId]]:
        """The jobs of a concurrency key that have not ended, newest first."""
        ...

    def keyed(self, namespace: str, keys: Sequence[str]) -> Awaitable[dict[str, Keyed]]:
        """The jobs of idempotency keys."""
        ...

    def journal(
        self, job: JobId, attempt: int, first: int = 0, limit: int = 1000
    ) -> Awaitable[list[Segment]]:
        """Up to ``limit`` durable segments of the attempt, in order, that hold entries from ``first`` on."""
        ...
