"""Random histories of a job queue: no store loses, repeats or revives anything, and all stores agree.

Both stores get the same calls; after each, their answers and the whole state they show must be equal. What
must hold of any history, whatever the stores say, is kept beside them: epochs only grow, ends are final, a
placement ends once, no job sleeps while mail that it waits for is there.
"""

from collections.abc import Awaitable
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from msgspec.structs import replace

from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import FINAL, PLACED, Job, JobState, NewJob, Placed
from mvm_ci.domain.lane import Lane, begun
from mvm_ci.domain.mail import of_child
from mvm_ci.domain.options import Dependency, JobOptions, Needs, Parent
from mvm_ci.domain.outcome import Outcome, Stopped
from mvm_ci.domain.segment import Prefix
from mvm_ci.domain.shown import Progress
from mvm_ci.ports.job_queue import Append, Change, JobFilter, JobQueue, Report, Segment
from mvm_ci.ports.mail import Letter, Promise, Sent
from tests.contract.jobs import new_job
from tests.property.two_stores import (
    JOBS,
    LANES,
    TAGS,
    TOPICS,
    WAITS,
    TwoStores,
    delays,
    jobs,
    outcomes,
    placements,
    segments,
    sessions,
)


def ahead_of(job: JobId, queue: JobQueue) -> Awaitable[int]:
    return queue.ahead(job, 9)


def list_of(which: JobFilter, queue: JobQueue) -> Awaitable[list[Job]]:
    return queue.list_jobs(which)


class BothStores(TwoStores):
    """Calls both stores and compares."""

    # ---------------------------------------------------------------- calls that may make sense or not

    @rule(ids=st.lists(jobs, max_size=4), session=st.none() | sessions)
    def submit(self, ids: list[JobId], session: SessionId | None) -> None:
        new: list[NewJob] = [new_job(job, session=session) for job in ids]
        self.both(lambda queue: queue.submit(new))
        self.submitted |= set(ids)

    @rule(
        job=jobs,
        lane=st.sampled_from(LANES),
        run_at=st.none() | delays,
        expires=st.none() | delays,
        after=st.sets(jobs, max_size=2),
        needs=st.sampled_from(Needs),
        tags=st.sets(st.sampled_from(TAGS)),
        parent=st.none() | jobs,
        deadline=st.none() | delays,
    )
    def submit_with_options(
        self,
        *,
        job: JobId,
        lane: Lane,
        run_at: int | None,
        expires: int | None,
        after: set[JobId],
        needs: Needs,
        tags: set[str],
        parent: JobId | None,
        deadline: int | None,
    ) -> None:
        options = JobOptions(
            lane=lane,
            run_at_ms=None if run_at is None else self.now_ms + run_at,
            expires_ms=None if expires is None else self.now_ms + expires,
            after=tuple(Dependency(other, needs) for other in after & self.submitted if other < job),
            tags=tuple(sorted(tags)),
            deadline_ms=None if deadline is None else self.now_ms + deadline,
            parent=Parent(parent, 1) if parent is not None and parent < job else None,
        )
        self.both(lambda queue: queue.submit([new_job(job, options=options)]))
        self.submitted.add(job)

    @rule(session=sessions, lane=st.sampled_from(LANES), began=st.booleans(), limit=st.integers(0, 4))
    def claim(self, session: SessionId, lane: Lane, limit: int, *, began: bool) -> None:
        lane_id = begun(lane.id) if began else lane.id
        lanes = self.both(lambda queue: queue.ready_lanes())
        ahead = {job: self.both(partial(ahead_of, job)) for job in self.seen}
        claimed = self.both(lambda queue: queue.claim(session, lane_id, limit))
        assert [job.id for job in claimed] == sorted(job.id for job in claimed)
        assert bool(claimed) == (lane_id in lanes and limit > 0)
        for place, job in enumerate(claimed):
            before = self.seen[job.id]
            assert (before.state, before.options.lane) == (JobState.PENDING, lane)
            assert (job.epoch, ahead[job.id]) == (before.epoch + 1, place)

    @rule(job=jobs)
    def pause(self, job: JobId) -> None:
        self.both(lambda queue: queue.pause([job]))

    @rule(job=jobs)
    def resume(self, job: JobId) -> None:
        self.both(lambda queue: queue.resume([job], self.now_ms))

    @rule(asked=st.sets(jobs, max_size=3))
    def revive(self, asked: set[JobId]) -> None:
        answers = self.both(lambda queue: queue.revive(sorted(asked)))
        self.revived = {job for job, a in zip(sorted(asked), answers, strict=True) if a.change is Change.DONE}

    @rule(asked=st.sets(jobs, max_size=3))
    def delete(self, asked: set[JobId]) -> None:
        answers = self.both(lambda queue: queue.delete(sorted(asked)))
        gone = {job for job, a in zip(sorted(asked), answers, strict=True) if a.change is Change.DONE}
        assert all(self.seen[job].state in FINAL for job in gone)
        self.submitted -= gone
        self.seen = {job: seen for job, seen in self.seen.items() if job not in gone}
        self.journals = {key: known for key, known in self.journals.items() if key[0] not in gone}
        self.reports = [report for report in self.reports if report.placed.job not in gone]

    @rule(ended=st.sets(jobs, max_size=3))
    def settle(self, ended: set[JobId]) -> None:
        settled = self.both(lambda queue: queue.settle(sorted(ended), self.now_ms))
        for job in (*settled.pending, *settled.scheduled, *settled.cancelled):
            assert self.seen[job].state is JobState.BLOCKED
        assert bool(settled.lanes) == bool(settled.pending)
        assert settled.lanes.items() <= self.both(lambda queue: queue.ready_lanes()).items()

    @rule(limit=st.integers(0, 3), later=delays)
    def expire(self, limit: int, later: int) -> None:
        self.now_ms += later
        for job in self.both(lambda queue: queue.expire(self.now_ms, limit)):
            before = self.seen[job]
            assert before.epoch == 0
            assert before.expires_ms is not None
            assert before.expires_ms <= self.now_ms

    @rule(limit=st.integers(0, 3), later=delays)
    def overdue(self, limit: int, later: int) -> None:
        self.now_ms += later
        for job in self.both(lambda queue: queue.overdue(self.now_ms, limit)):
            before = self.seen[job]
            assert before.state not in FINAL | PLACED
            assert (before.options.deadline_ms or self.now_ms + 1) <= self.now_ms

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
        self.both(lambda queue: queue.cancel([job], self.now_ms))

    @rule(session=sessions, max_losses=st.integers(0, 2), keep=st.lists(placements, max_size=3))
    def rescue(self, session: SessionId, max_losses: int, keep: list[Placed]) -> None:
        held = self.both(lambda queue: queue.held(session))
        rescued = self.both(lambda queue: queue.rescue(session, self.now_ms, max_losses, keep))
        lost = sorted({*rescued.pending, *rescued.paused, *rescued.dead, *rescued.cancelled})
        assert lost == [placed.job for placed in held if placed not in keep]
        assert self.both(lambda queue: queue.held(session)) == [p for p in held if p in keep]

    @rule(job=jobs, topic=st.sampled_from(TOPICS[:2]), key=st.sampled_from("kl"))
    def mail(self, job: JobId, topic: str, key: str) -> None:
        letter = Letter(job=job, topic=topic, key=key, at_ms=self.now_ms, body=key.encode())
        sent = self.both_mails(lambda mail: mail.send(letter))
        known = self.seen.get(job)
        if known is not None and known.state not in FINAL:
            assert sent is Sent.DONE

    @rule(job=jobs, name=st.sampled_from("pq"), complete=st.booleans())
    def promise(self, job: JobId, name: str, *, complete: bool) -> None:
        if complete:
            letter = Letter(job=job, topic=f"promise:{name}", key="", at_ms=self.now_ms, body=b"kept")
            self.both_mails(lambda mail: mail.complete_promise(name, letter))
        elif job in self.submitted:
            opened = Promise(id=name, job=job, label="", digest="d", created_ms=self.now_ms)
            self.both_mails(lambda mail: mail.open_promise(opened))

    @rule(job=jobs, key=st.sampled_from(["x", "y"]), value=st.none() | st.sampled_from(["1", "2"]))
    def annotate(self, job: JobId, key: str, value: str | None) -> None:
        self.both_mails(lambda mail: mail.annotate(job, {key: value}))

    @rule(placed=placements, done=st.integers(0, 3))
    def progress(self, placed: Placed, done: int) -> None:
        self.both_mails(lambda mail: mail.progress(placed, Progress(done=done)))

    @rule(limit=st.integers(0, 3), later=delays)
    def wake(self, limit: int, later: int) -> None:
        self.now_ms += later
        due = sum(job.state in WAITS and (job.wake_ms or 0) <= self.now_ms for job in self.seen.values())
        woken = self.both(lambda queue: queue.wake(self.now_ms, limit))
        assert woken.jobs == min(due, limit)
        assert woken.lanes.items() <= self.both(lambda queue: queue.ready_lanes()).items()

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
        assert accepted == [not stops or job.state in {JobState.CANCELLING, JobState.PAUSING}]

    @precondition(lambda self: any(job.state in PLACED for job in self.seen.values()))
    @rule(data=st.data(), start=st.booleans())
    def go_on(self, data: st.DataObject, *, start: bool) -> None:
        job = data.draw(st.sampled_from([job for job in self.seen.values() if job.state in PLACED]))
        there = self.box(job.id)
        taken = data.draw(st.sampled_from([(), *((piece.number,) for piece in there[:1])]))
        placed, segment = Placed(job.id, job.epoch), Segment(job.journal_length, 1, b"s", taken)
        if start:
            assert self.both(lambda queue: queue.start([placed], self.now_ms)) == [True]
        twice = [(placed, segment), (placed, segment)]
        assert self.both(lambda queue: queue.append(twice)) == [Append.DONE] * 2
        assert [piece for piece in there if piece.number not in taken] == self.box(job.id)

    @rule(job=jobs, source=jobs, attempt=st.integers(1, 2), length=st.integers(1, 6), whole=st.booleans())
    def fork(self, job: JobId, source: JobId, attempt: int, length: int, *, whole: bool) -> None:
        known = self.journals.get((source, attempt), [])
        ends = [segment.first + segment.count for segment in known]
        begin = max([end for end in ends if end <= length], default=0)
        rest = Segment(begin, length - begin, b"f")
        others = (rest,) if whole and rest.count else ()
        prefix = Prefix(job=source, attempt=attempt, length=length, begin=0, end=begin, others=others)
        there = job in self.submitted
        forked = self.both(lambda queue: queue.fork(new_job(job), prefix))
        assert forked == (there or (bool(known) and (bool(others) or begin == length)))
        if forked and not there:
            self.submitted.add(job)

    @rule(placed=placements, kept=st.integers(0, 3))
    def cut(self, placed: Placed, kept: int) -> None:
        job = self.seen.get(placed.job)
        known = self.journals.get((placed.job, job.attempt), []) if job is not None else []
        length = known[kept].first if kept < len(known) else 0
        done = self.both(lambda queue: queue.cut_journal(placed, length))
        assert done == self.is_current(placed)
        if done and job is not None:
            self.cuts.add(placed.job)
            self.journals[placed.job, job.attempt] = [one for one in known if one.first < length]

    @precondition(lambda self: self.reports)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        report = data.draw(st.sampled_from(self.reports))
        before = self.seen[report.placed.job]
        assert self.send([report, report]) == [before.epoch == report.placed.epoch] * 2
        self.look()
        assert self.seen[report.placed.job] == before

    # ---------------------------------------------------------------- what must hold

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
            self.check_mail(job)
        self.check_ends(now)
        self.seen = now
        self.revived = set()
        self.cuts = set()
        self.check_lists()

    def check_step(self, before: Job, job: Job) -> None:
        assert job.epoch >= before.epoch
        assert job.attempt >= before.attempt
        if job.id in self.revived:
            assert before.state in FINAL - {JobState.COMPLETED}
            return
        assert job.losses >= before.losses
        if before.state in FINAL:
            # What it is called may change, and nothing else.
            assert replace(job, options=before.options) == before
        if job.attempt == before.attempt and job.id not in self.cuts:
            assert job.journal_length >= before.journal_length
        assert (job.session is not None) == (job.state in PLACED)
        assert (job.finished_ms is not None) == (job.state in FINAL)

    def check_mail(self, job: Job) -> None:
        there = self.box(job.id)
        if job.state is JobState.SUSPENDED:
            assert [piece.topic for piece in there if piece.topic in job.awaits] == [], "it sleeps over mail"

    def check_ends(self, now: dict[JobId, Job]) -> None:
        """The parent of a child that has just ended has mail about it."""
        for job_id, job in now.items():
            before, of = self.seen.get(job_id), job.options.parent
            parent = now.get(of.job) if of is not None else None
            just_ended = before is not None and before.state not in FINAL and job.state in FINAL
            if just_ended and parent is not None and parent.state not in FINAL:
                assert of_child(job_id) in {piece.topic for piece in self.box(parent.id)}

    def check_journal(self, job: Job) -> None:
        journal = self.both(lambda queue: queue.journal(job.id, job.attempt))
        ends = [segment.first + segment.count for segment in journal]
        assert [segment.first for segment in journal] == [0, *ends][:-1] if journal else True
        assert job.journal_length == (ends[-1] if ends else 0)
        known = self.journals.get((job.id, job.attempt), [])
        assert journal[: len(known)] == known
        self.journals[job.id, job.attempt] = journal

    def listed(self, state: JobState) -> list[Job]:
        found: list[Job] = self.both(
            lambda queue: queue.list_jobs(JobFilter(namespace="default", states=(state,)))
        )
        return found

    def check_lists(self) -> None:
        listed = self.both(lambda queue: queue.list_jobs())
        assert {job.id: job for job in listed} == self.seen
        for state in JobState:
            assert self.listed(state) == [job for job in listed if job.state is state]
        counts = self.both(lambda queue: queue.counts())
        assert sum(counts.values()) == len(listed)
        for tag in TAGS:
            which = JobFilter(namespace="default", terms=(tag,))
            tagged = self.both(partial(list_of, which))
            assert tagged == [job for job in listed if tag in job.options.tags]
        self.both(lambda queue: queue.next_expiry())
        self.both(lambda queue: queue.next_deadline())
        self.both(lambda queue: queue.deadlines())
        waiting = [job.wake_ms for job in listed if job.wake_ms is not None and job.state in WAITS]
        assert self.both(lambda queue: queue.next_wake()) == min(waiting, default=None)


BothStores.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,  # the disk's time is not ours
    suppress_health_check=[HealthCheck.too_slow],
)
# A history that fails is shrunk for up to five minutes: long enough to be told which one it is.
TestBothStores = pytest.mark.timeout(600)(BothStores.TestCase)
