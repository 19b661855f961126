"""Record: what workers report becomes durable, then it is answered and told to whoever waits for it."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

import msgspec
import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.events import EventKind
from mvm_ci.domain.histogram import LAG_S, Histogram
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import PLACED, JobState, NewJob, Placed
from mvm_ci.domain.options import DEFAULT_OPTIONS
from mvm_ci.domain.outcome import (
    Completed,
    Failed,
    Failure,
    FailureKind,
    Outcome,
    Parked,
    Released,
    Stopped,
    Suspended,
)
from mvm_ci.domain.payload import Payload
from mvm_ci.domain.retry import RetryPolicy
from mvm_ci.domain.segment import Append as AppendResult
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.placements import Placements
from mvm_ci.lifecycle.report_checks import check_outcome, check_segment
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.lifecycle.wake import Waker
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue, Report
from mvm_ci.wire.messages import Append, Appended, Drop, EndedItem, FromControlPlane, Recorded

log = structlog.get_logger(__name__)

_WAKE_AGAIN_MS = 1_000
"""Until a guest that went on sleeping is woken again."""


class Batch(msgspec.Struct):
    """What one read brought: starts, then appends, then ends.

    Sorting them so loses no order that matters: a placement starts, appends and ends in that order, and is
    placed anew only after its end was answered.
    """

    started: list[Placed] = []
    appends: list[Append] = []
    ended: list[EndedItem] = []

    def __bool__(self) -> bool:
        return bool(self.started or self.appends or self.ended)


class Recording(msgspec.Struct, frozen=True):
    """A batch that is in the queue's hands: its calls are made, in order, and not answered yet.

    ``came_ms``: when it came, on the lease clock. ``foreign``: placements in it that are not the session's;
    nothing of them went to the queue.
    """

    session: SessionId
    batch: Batch
    came_ms: int
    foreign: frozenset[Placed]
    started: Awaitable[list[bool]] | None
    appended: Awaitable[list[AppendResult]] | None
    reports: tuple[Report, ...]
    reported: Awaitable[list[bool]] | None
    failed: tuple[EndedItem, ...]


class Recorder:
    """``stale``: reports and appends refused because their placement was over. ``journal_lag_s``: how long
    journal entries that came together took to be durable. ``jitter`` gives numbers in [0, 1). ``went_on`` is
    told of jobs that left their workers and go on later.
    """

    def __init__(
        self,
        queue: JobQueue,
        clock: Clock,
        dispatcher: Dispatcher,
        waker: Waker,
        waiters: Waiters,
        uncommitted: Mapping[JobId, NewJob],
        jitter: Callable[[], float],
        went_on: Callable[[EventKind, Sequence[JobId]], None] = lambda _kind, _jobs: None,
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._dispatcher = dispatcher
        self._waker = waker
        self._waiters = waiters
        self._uncommitted = uncommitted
        self._jitter = jitter
        self._went_on = went_on
        self.stale = 0
        self.journal_lag_s = Histogram(LAG_S)

    def begin(self, session: SessionId, placements: Placements, batch: Batch) -> Recording:
        """Hands a batch to the queue; ``placements``: what the session has. Raises ``ProtocolError``, and
        nothing is written, if it cannot be allowed.

        What the session does not have is answered as stale: its worker has lost it, or never had it.
        """
        _check(batch)
        now = self._clock.now_ms()
        foreign = placements.foreign(_named(batch))
        started, ended = batch.started, batch.ended
        items = [(item.placed, item.segment) for append in batch.appends for item in append.items]
        if foreign:
            started = [placed for placed in started if placed not in foreign]
            ended = [item for item in ended if item.placed not in foreign]
            items = [item for item in items if item[0] not in foreign]
        waited_ms = placements.started(started) + placements.over(item.placed for item in ended)
        self._dispatcher.times.started(waited_ms)
        # A failure needs the retry policy, and that the job: it is reported in the second step.
        failed = tuple(item for item in ended if isinstance(item.outcome, Failed))
        reports = tuple(
            Report(placed=item.placed, outcome=_put_off(item, now), tail=item.tail)
            for item in ended
            if not isinstance(item.outcome, Failed)
        )
        return Recording(
            session=session,
            batch=batch,
            came_ms=self._clock.lease_ms(),
            foreign=foreign,
            started=self._queue.start(started, now) if started else None,
            appended=self._queue.append(items) if items else None,
            reports=reports,
            reported=self._queue.report(reports, now) if reports else None,
            failed=failed,
        )

    async def finish(self, recording: Recording) -> list[FromControlPlane]:
        """Waits until all of it is durable, tells whoever waits, and returns the answers for the worker.

        Raises ``Unavailable`` if the store failed: the worker must connect anew and repeat what was not
        answered.
        """
        answers: list[FromControlPlane] = []
        broken: Unavailable | None = None
        # Each by itself: what did become durable must be told of, whatever failed beside it.
        for finish in (self._finish_starts, self._finish_appends, self._finish_ends):
            try:
                answers += await finish(recording)
            except Unavailable as error:
                broken = broken or error
        if broken is not None:
            raise broken
        return answers

    async def release(self, session: SessionId, placements: Sequence[Placed]) -> None:
        """Takes jobs from a worker: they go on elsewhere, from their journals. Raises ``Unavailable``."""
        reports = [Report(placed=placed, outcome=Released()) for placed in placements]
        await self._after_reports(session, reports, await self._queue.report(reports, self._clock.now_ms()))

    async def park(self, session: SessionId, placed: Placed, failure: Failure) -> None:
        """Takes a job from a worker that cannot go on until somebody repairs something. Raises
        ``Unavailable``.
        """
        reports = [Report(placed=placed, outcome=Parked(failure))]
        await self._after_reports(session, reports, await self._queue.report(reports, self._clock.now_ms()))

    async def _finish_starts(self, recording: Recording) -> list[FromControlPlane]:
        placements, foreign = recording.batch.started, recording.foreign
        own = [placed for placed in placements if placed not in foreign]
        results = await recording.started if recording.started is not None else []
        self._waiters.changed(placed.job for placed in own)
        begun = [placed.job for placed, current in zip(own, results, strict=True) if current]
        self._waiters.happened(EventKind.STARTED, begun)
        over = {placed for placed, current in zip(own, results, strict=True) if not current} | foreign
        refused = tuple(placed for placed in placements if placed in over)
        if not refused:
            return []
        self._count_stale("start", refused)
        return [Drop(refused)]

    async def _finish_appends(self, recording: Recording) -> list[FromControlPlane]:
        results = iter(await recording.appended if recording.appended is not None else [])
        if recording.appended is not None:
            self.journal_lag_s.add((self._clock.lease_ms() - recording.came_ms) / 1000)
        answers: list[FromControlPlane] = []
        for append in recording.batch.appends:
            part = tuple(
                AppendResult.STALE if item.placed in recording.foreign else next(results)
                for item in append.items
            )
            answers.append(Appended(part))
            outcomes = list(zip(append.items, part, strict=True))
            self._waiters.changed(item.placed.job for item, result in outcomes if result is AppendResult.DONE)
            refused = [item.placed for item, result in outcomes if result is not AppendResult.DONE]
            if refused:
                self._count_stale("append", refused)
        return answers

    async def _finish_ends(self, recording: Recording) -> list[FromControlPlane]:
        placements = tuple(item.placed for item in recording.batch.ended)
        if not placements:
            return []
        refused = [placed for placed in placements if placed in recording.foreign]
        if refused:
            self._count_stale("end", refused)
        if recording.reported is not None:
            await self._after_reports(recording.session, recording.reports, await recording.reported)
        if recording.failed:
            await self._report_failures(recording.session, recording.failed)
        return [Recorded(placements)]

    async def _after_reports(
        self, session: SessionId, reports: Sequence[Report], results: Sequence[bool]
    ) -> None:
        self._dispatcher.left(session, [report.placed for report in reports])
        completed: list[tuple[JobId, Payload]] = []
        ended: list[JobId] = []
        others: dict[EventKind, list[JobId]] = {}
        rested: list[JobId] = []
        refused: list[Report] = []
        for report, current in zip(reports, results, strict=True):
            if not current:
                refused.append(report)
            elif isinstance(report.outcome, Completed):
                completed.append((report.placed.job, report.outcome.result))
            elif _final_failure(report):
                ended.append(report.placed.job)
            elif isinstance(report.outcome, Stopped | Parked):
                rested.append(report.placed.job)
            else:
                others.setdefault(_going_on(report), []).append(report.placed.job)
                self._arm(report)
        self._waiters.completed(completed)
        self._waiters.ended(ended)
        if others or rested:
            going_on = [job for jobs in others.values() for job in jobs]
            self._waiters.changed(going_on)
            for kind, jobs in others.items():
                self._waiters.happened(kind, jobs)
                self._went_on(kind, jobs)
            self._waiters.rested(rested)
            await self._end_cancelled([*rested, *self._waiters.awaited(going_on)])
        if refused:
            self._count_stale("end", [report.placed for report in refused])
            await self._repair(refused)

    def _arm(self, report: Report) -> None:
        """The job goes on later: at a time, or as soon as a worker has credit."""
        wake = report.outcome.wake_ms if isinstance(report.outcome, Suspended) else report.retry_ms
        now = self._clock.now_ms()
        if report.retry_ms is not None:
            self._dispatcher.ended((report.placed.job,))
        if wake is not None:
            # A time that came while the report was being written, too: the queue may still have it waiting.
            self._waker.arm(wake)
        if wake is None or wake <= now:
            self._dispatcher.pending()
        if isinstance(report.outcome, Suspended) and report.outcome.topics:
            # What it waits for may have come before: then the queue has it pending.
            self._dispatcher.pending()

    async def _end_cancelled(self, jobs: Sequence[JobId]) -> None:
        """A job that was being cancelled or paused ended instead of going on: only the queue knows."""
        if jobs:
            found = [job for job in await self._queue.get(jobs) if job is not None]
            self._waiters.ended([job.id for job in found if job.finished_ms is not None])
            self._waiters.paused([job.id for job in found if job.state is JobState.PAUSED])

    async def _report_failures(self, session: SessionId, items: Sequence[EndedItem]) -> None:
        found = await self._queue.get([item.placed.job for item in items])
        now = self._clock.now_ms()
        reports: list[Report] = []
        for item, job in zip(items, found, strict=True):
            outcome = item.outcome
            if not isinstance(outcome, Failed):
                continue
            new = self._uncommitted.get(item.placed.job) if job is None else None
            spec = job.spec if job is not None else new.spec if new is not None else None
            attempt, first = (job.attempt, job.first_attempt) if job is not None else (1, 1)
            options = job.options if job is not None else new.options if new is not None else DEFAULT_OPTIONS
            policy = RetryPolicy(
                max_attempts=spec.max_attempts if spec is not None else 1, backoff=options.backoff
            )
            retry = policy.decide(outcome.failure.kind, attempt - first + 1, now, self._jitter())
            reports.append(
                Report(
                    placed=item.placed,
                    outcome=outcome,
                    tail=item.tail,
                    retry_ms=retry.at_ms if retry is not None else None,
                )
            )
        await self._after_reports(session, reports, await self._queue.report(reports, now))

    async def _repair(self, refused: Sequence[Report]) -> None:
        """Fails jobs whose refused report was about their current placement (its tail does not fit the
        journal).

        The worker has let go of such a job: it would stay in progress for ever.
        """
        found = await self._queue.get([report.placed.job for report in refused])
        broken = [
            report.placed
            for report, job in zip(refused, found, strict=True)
            if job is not None and job.epoch == report.placed.epoch and job.state in PLACED
        ]
        if broken:
            log.error("tail_does_not_fit", placements=len(broken))
            failure = Failure(
                kind=FailureKind.ENGINE, message="the worker's last journal entries do not fit the journal"
            )
            reports = [Report(placed=placed, outcome=Failed(failure)) for placed in broken]
            await self._queue.report(reports, self._clock.now_ms())
            self._waiters.ended([placed.job for placed in broken])

    def _count_stale(self, what: str, placements: Sequence[Placed]) -> None:
        self.stale += len(placements)
        log.warning("stale_refused", what=what, count=len(placements))


def _put_off(item: EndedItem, now_ms: int) -> Outcome:
    """How a placement ended; a guest that was woken but sleeps on wakes a moment later.

    Else, on a worker whose clock is behind, it would be placed again and again until that time.
    """
    outcome = item.outcome
    if isinstance(outcome, Suspended) and item.tail is None and outcome.wake_ms <= now_ms:
        return Suspended(now_ms + _WAKE_AGAIN_MS, outcome.topics)
    return outcome


def _going_on(report: Report) -> EventKind:
    if isinstance(report.outcome, Suspended):
        return EventKind.SUSPENDED
    return EventKind.REQUEUED if report.retry_ms is None else EventKind.RETRYING


def _final_failure(report: Report) -> bool:
    return isinstance(report.outcome, Failed) and report.retry_ms is None


def _named(batch: Batch) -> Iterator[Placed]:
    yield from batch.started
    for append in batch.appends:
        for item in append.items:
            yield item.placed
    for ended in batch.ended:
        yield ended.placed


def _check(batch: Batch) -> None:
    for append in batch.appends:
        for item in append.items:
            check_segment(item.segment)
    for ended in batch.ended:
        if ended.tail is not None:
            check_segment(ended.tail)
        check_outcome(ended.outcome)
