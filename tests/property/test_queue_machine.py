"""Random histories of a job queue: no store loses, repeats or revives anything, and all stores agree.

Both stores get the same calls; after each, their answers and the whole state they show must be equal. What
must hold of any history, whatever the stores say, is kept beside them: epochs only grow, ends are final, a
placement ends once.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import FINAL, PLACED, Job, JobState, NewJob, Placed
from mvm_ci.domain.outcome import Completed, Outcome, Released, Stopped, Suspended
from mvm_ci.ports.job_queue import Append, JobQueue, Report, Segment
from tests.contract.jobs import FAILED, NOW, PARKED, new_job

JOBS = [JobId(number) for number in range(1, 9)]
jobs = st.sampled_from(JOBS)
sessions = st.sampled_from([SessionId(number) for number in (70, 71, 72)])
delays = st.integers(0, 20)
placements = st.builds(Placed, jobs, st.integers(0, 6))
segments = st.builds(Segment, st.integers(0, 4), st.integers(0, 3), st.sampled_from([b"", b"a", b"bb"]))
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Completed, st.sampled_from([b"", b"result"])),
    st.just(FAILED),
    st.builds(Suspended, st.integers(NOW, NOW + 60)),
    st.just(PARKED),
    st.just(Released()),
    st.just(Stopped()),
)


class BothStores(RuleBasedStateMachine):
    """Calls both stores and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.now_ms = NOW
        self.seen: dict[JobId, Job] = {}
        self.journals: dict[tuple[JobId, int], list[Segment]] = {}
        self.reports: list[Report] = []

    @initialize()
    def open(self) -> None:
        self.store = SqlStore.open(Path(self.directory.name))
        self.queues: list[JobQueue] = [MemoryJobQueue(), self.store.queue]
        self.submitted: set[JobId] = set()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.runner.run(self.store.close())
        self.runner.close()
        self.directory.cleanup()

    def both(self, call: Callable[[JobQueue], Awaitable[Any]]) -> Any:
        """Makes the call on both stores; the answer on which they agree."""

        async def ask() -> list[Any]:
            return [await call(queue) for queue in self.queues]

        model, real = self.runner.run(ask())
        assert real == model
        return model

    # ---------------------------------------------------------------- calls that may make sense or not

    @rule(ids=st.lists(jobs, max_size=4), session=st.none() | sessions)
    def submit(self, ids: list[JobId], session: SessionId | None) -> None:
        new: list[NewJob] = [new_job(job, session=session) for job in ids]
        self.both(lambda queue: queue.submit(new))
        self.submitted |= set(ids)

    @rule(session=sessions, limit=st.integers(0, 4))
    def claim(self, session: SessionId, limit: int) -> None:
        claimed = self.both(lambda queue: queue.claim(session, limit))
        ready = sorted(job for job, seen in self.seen.items() if seen.state is JobState.PENDING)
        assert [job.id for job in claimed] == ready[:limit]
        for job in claimed:
            assert job.epoch == self.seen[job.id].epoch + 1

    @rule(asked=st.lists(placements, max_size=4))
    def start(self, asked: list[Placed]) -> None:
        answers = self.both(lambda queue: queue.start(asked, self.now_ms))
        assert answers == [self.is_current(placed) for placed in asked]

    @rule(added=st.lists(st.tuples(placements, segments), max_size=4))
    def append(self, added: list[tuple[Placed, Segment]]) -> None:
        answers = self.both(lambda queue: queue.append(added))
        stale = [answer is Append.STALE for answer in answers]
        assert stale == [not self.is_current(placed) for placed, _ in added]

    @rule(
        placed=placements,
        outcome=outcomes,
        tail=st.none() | segments,
        retry=st.none() | delays,
    )
    def report(self, placed: Placed, outcome: Outcome, tail: Segment | None, retry: int | None) -> None:
        retry_ms = None if retry is None else self.now_ms + retry
        self.send([Report(placed=placed, outcome=outcome, tail=tail, retry_ms=retry_ms)])

    @rule(job=jobs)
    def cancel(self, job: JobId) -> None:
        self.both(lambda queue: queue.cancel(job, self.now_ms))

    @rule(session=sessions, max_losses=st.integers(0, 2), keep=st.lists(placements, max_size=3))
    def rescue(self, session: SessionId, max_losses: int, keep: list[Placed]) -> None:
        held = self.both(lambda queue: queue.held(session))
        rescued = self.both(lambda queue: queue.rescue(session, self.now_ms, max_losses, keep))
        lost = sorted({*rescued.pending, *rescued.dead, *rescued.cancelled})
        assert lost == [placed.job for placed in held if placed not in keep]
        assert self.both(lambda queue: queue.held(session)) == [p for p in held if p in keep]

    @rule(limit=st.integers(0, 3), later=delays)
    def wake(self, limit: int, later: int) -> None:
        self.now_ms += later
        due = sum(1 for job in self.seen.values() if job.wake_ms is not None and job.wake_ms <= self.now_ms)
        assert self.both(lambda queue: queue.wake(self.now_ms, limit)) == min(due, limit)

    # ---------------------------------------------------------------- calls that do make sense

    @precondition(lambda self: any(job.state in PLACED for job in self.seen.values()))
    @rule(data=st.data(), outcome=outcomes, entries=st.integers(0, 2), retry=st.none() | delays)
    def end(self, data: st.DataObject, outcome: Outcome, entries: int, retry: int | None) -> None:
        held = [job for job in self.seen.values() if job.state in PLACED]
        job = data.draw(st.sampled_from(held))
        tail = Segment(job.journal_length, entries, b"t" * entries) if entries else None
        retry_ms = None if retry is None else self.now_ms + retry
        placed = Placed(job.id, job.epoch)
        accepted = self.send([Report(placed=placed, outcome=outcome, tail=tail, retry_ms=retry_ms)])
        stops = isinstance(outcome, Stopped)
        assert accepted == [not stops or job.state is JobState.CANCELLING]

    @precondition(lambda self: any(job.state in PLACED for job in self.seen.values()))
    @rule(data=st.data(), start=st.booleans())
    def go_on(self, data: st.DataObject, *, start: bool) -> None:
        job = data.draw(st.sampled_from([job for job in self.seen.values() if job.state in PLACED]))
        placed, segment = Placed(job.id, job.epoch), Segment(job.journal_length, 1, b"s")
        if start:
            assert self.both(lambda queue: queue.start([placed], self.now_ms)) == [True]
        twice = [(placed, segment), (placed, segment)]
        assert self.both(lambda queue: queue.append(twice)) == [Append.DONE] * 2

    @precondition(lambda self: self.reports)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        report = data.draw(st.sampled_from(self.reports))
        before = self.seen[report.placed.job]
        assert self.send([report, report]) == [before.epoch == report.placed.epoch] * 2
        self.look()
        assert self.seen[report.placed.job] == before

    # ---------------------------------------------------------------- what must hold

    def send(self, reports: list[Report]) -> list[bool]:
        answers: list[bool] = self.both(lambda queue: queue.report(reports, self.now_ms))
        self.reports += [report for report, true in zip(reports, answers, strict=True) if true]
        return answers

    def is_current(self, placed: Placed) -> bool:
        job = self.seen.get(placed.job)
        return job is not None and job.state in PLACED and job.epoch == placed.epoch

    @invariant()
    def look(self) -> None:
        if not hasattr(self, "store"):
            return
        found = self.both(lambda queue: queue.get(JOBS))
        now = {job.id: job for job in found if job is not None}
        assert now.keys() == self.submitted
        for job_id, job in now.items():
            before = self.seen.get(job_id)
            if before is not None:
                self.check_step(before, job)
            self.check_journal(job)
        self.seen = now
        self.check_lists()

    def check_step(self, before: Job, job: Job) -> None:
        assert job.epoch >= before.epoch
        assert job.attempt >= before.attempt
        assert job.losses >= before.losses
        if before.state in FINAL:
            assert job == before
        if job.attempt == before.attempt:
            assert job.journal_length >= before.journal_length
        assert (job.session is not None) == (job.state in PLACED)
        assert (job.finished_ms is not None) == (job.state in FINAL)

    def check_journal(self, job: Job) -> None:
        journal = self.both(lambda queue: queue.journal(job.id, job.attempt))
        ends = [segment.first + segment.count for segment in journal]
        assert [segment.first for segment in journal] == [0, *ends][:-1] if journal else True
        assert job.journal_length == (ends[-1] if ends else 0)
        known = self.journals.get((job.id, job.attempt), [])
        assert journal[: len(known)] == known
        self.journals[job.id, job.attempt] = journal

    def listed(self, state: JobState) -> list[Job]:
        found: list[Job] = self.both(lambda queue: queue.list_jobs(states=[state]))
        return found

    def check_lists(self) -> None:
        listed = self.both(lambda queue: queue.list_jobs())
        assert {job.id: job for job in listed} == self.seen
        for state in JobState:
            assert self.listed(state) == [job for job in listed if job.state is state]
        counts = self.both(lambda queue: queue.counts())
        assert sum(counts.values()) == len(listed)
        waiting = [job.wake_ms for job in listed if job.wake_ms is not None]
        assert self.both(lambda queue: queue.next_wake()) == min(waiting, default=None)


BothStores.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,  # the disk's time is not ours
    suppress_health_check=[HealthCheck.too_slow],
)
TestBothStores = pytest.mark.timeout(300)(BothStores.TestCase)
