"""Two stores that get the same calls, and what a history is made of."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from mvm_ci.adapters.memory.mail import MemoryMailStore
from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import PLACED, Job, JobState, Placed
from mvm_ci.domain.lane import Concurrency, lane
from mvm_ci.domain.mail import NEVER_MS, Mail, of_child
from mvm_ci.domain.outcome import Completed, Continued, Outcome, Released, Stopped, Suspended
from mvm_ci.ports.job_queue import JobQueue, Report, Segment
from mvm_ci.ports.mail import MailStore
from tests.contract.jobs import FAILED, NOW, PARKED

JOBS = [JobId(number) for number in range(1, 9)]
jobs = st.sampled_from(JOBS)
LANES = [lane(), lane(priority=9), lane(concurrency=Concurrency(key="k"))]
TAGS = ["red", "blue"]
WAITS = {JobState.SUSPENDED, JobState.SCHEDULED}
sessions = st.sampled_from([SessionId(number) for number in (70, 71, 72)])
delays = st.integers(0, 20)
placements = st.builds(Placed, jobs, st.integers(0, 6))
segments = st.builds(
    Segment,
    st.integers(0, 4),
    st.integers(0, 3),
    st.sampled_from([b"", b"a", b"bb"]),
    st.lists(st.integers(1, 12), max_size=2).map(tuple),
)
TOPICS = ["message:a", "message:b", *(of_child(job) for job in JOBS)]
topics = st.lists(st.sampled_from(TOPICS), max_size=3, unique=True).map(tuple)
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Completed, st.sampled_from([b"", b"result"])),
    st.just(FAILED),
    st.builds(Suspended, st.integers(NOW, NOW + 60), topics),
    st.builds(Suspended, st.just(NEVER_MS), topics.filter(bool)),
    st.builds(Continued, st.sampled_from([b"", b"next"])),
    st.just(PARKED),
    st.just(Released()),
    st.just(Stopped()),
)


class TwoStores(RuleBasedStateMachine):
    """Calls both stores and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.now_ms = NOW
        self.seen: dict[JobId, Job] = {}
        self.journals: dict[tuple[JobId, int], list[Segment]] = {}
        self.reports: list[Report] = []
        self.revived: set[JobId] = set()
        self.cuts: set[JobId] = set()

    @initialize()
    def open(self) -> None:
        self.store = SqlStore.open(Path(self.directory.name))
        memory = MemoryJobQueue()
        self.queues: list[JobQueue] = [memory, self.store.queue]
        self.mails: list[MailStore] = [MemoryMailStore(memory), self.store.mail]
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

    def both_mails(self, call: Callable[[MailStore], Awaitable[Any]]) -> Any:
        """The same of the stores of mail."""

        async def ask() -> list[Any]:
            return [await call(mail) for mail in self.mails]

        model, real = self.runner.run(ask())
        assert real == model
        return model

    def box(self, job: JobId) -> list[Mail]:
        found: list[Mail] = self.both_mails(
            lambda mail: mail.mail(job, (*TOPICS, "promise:p", "promise:q"), 99)
        )
        return found

    def send(self, reports: list[Report]) -> list[bool]:
        answers: list[bool] = self.both(lambda queue: queue.report(reports, self.now_ms))
        self.reports += [report for report, true in zip(reports, answers, strict=True) if true]
        return answers

    def is_current(self, placed: Placed) -> bool:
        job = self.seen.get(placed.job)
        return job is not None and job.state in PLACED and job.epoch == placed.epoch
