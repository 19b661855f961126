"""Submissions that share something: an idempotency key, or a job that others wait for."""

import asyncio
from collections.abc import Sequence

import pytest

from mvm_ci.adapters.blobs.memory import MemoryBlobStore
from mvm_ci.adapters.memory.artifacts import MemoryArtifactStore
from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.adapters.memory.registry import MemoryRegistry
from mvm_ci.adapters.memory.secrets import MemorySecretStore
from mvm_ci.adapters.sealing.aes_gcm import AesGcmSealer
from mvm_ci.domain.errors import QueueFull, Unavailable
from mvm_ci.domain.ids import Digest, JobId, SessionId, format_job_id
from mvm_ci.domain.job import JobState, NewJob
from mvm_ci.domain.level import Level
from mvm_ci.lifecycle.artifacts import Artifacts
from mvm_ci.lifecycle.backpressure import LOOK_MS, RECOUNT_MS, Backpressure
from mvm_ci.lifecycle.dependencies import Dependencies
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.modules import Modules
from mvm_ci.lifecycle.placed_jobs import PlacedJobs
from mvm_ci.lifecycle.secrets import Secrets
from mvm_ci.lifecycle.submit import Submission, Submitter
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.lifecycle.wake import Waker
from mvm_ci.ports.catalogue import ModuleInfo
from mvm_ci.testing.clock import FakeClock, settle
from mvm_ci.wire.api import AfterSpec, SubmitJob
from tests.unit.lifecycle.recording_link import RecordingLink

MODULE = Digest("a" * 64)


class SlowQueue(MemoryJobQueue):
    """A queue that takes jobs when it is told to, or fails to."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way: list[tuple[Sequence[NewJob], Sequence[Level], asyncio.Future[None]]] = []

    def submit(self, jobs: Sequence[NewJob], levels: Sequence[Level] = ()) -> asyncio.Future[None]:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.under_way.append((jobs, levels, answer))
        return answer

    async def take(self) -> None:
        """The oldest insert becomes durable."""
        jobs, levels, answer = self.under_way.pop(0)
        await super().submit(jobs, levels)
        answer.set_result(None)
        await settle()

    async def fail(self) -> None:
        """The oldest insert fails."""
        self.under_way.pop(0)[-1].set_exception(Unavailable("the disk is full"))
        await settle()


class Disk:
    async def free_bytes(self) -> int:
        return 1 << 40


class Rig:
    def __init__(self, max_jobs: int = 1_000) -> None:
        self.queue, self.clock, self.waiters = SlowQueue(), FakeClock(), Waiters()
        self.registry, self.link = MemoryRegistry(), RecordingLink()
        blobs, artifacts = MemoryBlobStore(), MemoryArtifactStore(self.queue)
        sealer = AesGcmSealer([b"k" * 32])
        self.secrets = Secrets(MemorySecretStore(self.queue._records), sealer, self.clock, bytes)
        self.dispatcher = Dispatcher(self.queue, self.clock, self.secrets)
        waker = Waker(self.queue, self.clock, self.dispatcher.renewed)
        dependencies = Dependencies(self.queue, self.clock, self.dispatcher, waker, self.waiters)
        self.waiters.listen(dependencies)
        self.backpressure = Backpressure(
            self.queue,
            self.registry,
            artifacts,
            self.clock,
            self.waiters,
            Disk(),
            max_jobs=max_jobs,
            min_free_bytes=0,
        )
        self.submitter = Submitter(
            self.queue,
            blobs,
            Modules(self.registry, blobs, self.clock, self.backpressure.admit_bytes),
            self.dispatcher,
            self.backpressure,
            self.clock,
            {},
            dependencies.added,
            secrets=self.secrets,
            artifacts=Artifacts(
                artifacts, self.queue, blobs, self.backpressure, self.clock, PlacedJobs(self.queue, ())
            ),
        )

    async def prepare(self) -> None:
        info = ModuleInfo(digest=MODULE, name="noop", kind="core", size=1, created_ms=1, allow_hosts=())
        await self.registry.put_module("default", info)

    async def submit(self, **fields: object) -> Submission:
        checked = await self.submitter.check([SubmitJob(module=MODULE, **fields)], "default")  # type: ignore[arg-type]
        submission = self.submitter.hand_over(checked)
        await settle()
        return submission

    async def state(self, job: JobId) -> JobState | None:
        (found,) = await self.queue.get([job])
        return found.state if found is not None else None


@pytest.fixture
async def rig() -> Rig:
    made = Rig()
    await made.prepare()
    return made


async def durable(submission: Submission) -> list[JobId]:
    await submission.durable
    return submission.jobs


async def test_who_gives_up_takes_nobody_along_who_used_the_same_key(rig: Rig) -> None:
    first = asyncio.create_task(durable(await rig.submit(idempotency_key="order-1")))
    second = asyncio.create_task(durable(await rig.submit(idempotency_key="order-1")))
    await settle()
    first.cancel()
    await settle()
    third = asyncio.create_task(durable(await rig.submit(idempotency_key="order-1")))
    await settle()
    second.cancel()
    await settle()
    assert not third.done()
    # What is not durable yet is still remembered, and still one job.
    rig.submitter.deleted_before(JobId(1 << 62))
    await rig.queue.take()
    (job,) = await third
    assert (first.cancelled(), second.cancelled()) == (True, True)
    assert await rig.state(job) is JobState.PENDING
    assert (await rig.submit(idempotency_key="order-1")).jobs == [job]
    assert rig.queue.under_way == []


async def test_all_who_used_a_key_hear_that_its_job_could_not_be_stored(rig: Rig) -> None:
    both = [asyncio.create_task(durable(await rig.submit(idempotency_key="order-1"))) for _ in range(2)]
    await settle()
    await rig.queue.fail()
    for outcome in await asyncio.gather(*both, return_exceptions=True):
        assert isinstance(outcome, Unavailable)


@pytest.mark.parametrize("needs", ["success", "end"])
async def test_a_job_does_not_run_if_what_it_waits_for_could_not_be_stored(rig: Rig, needs: str) -> None:
    upstream = await rig.submit()
    after = AfterSpec(job=format_job_id(upstream.jobs[0]), needs=needs)
    waiting = await rig.submit(after=(after,))
    await rig.queue.fail()
    await rig.queue.take()
    with pytest.raises(Unavailable):
        await upstream.durable
    (job,) = await durable(waiting)
    rig.dispatcher.attach(SessionId(70), rig.link)
    rig.dispatcher.credit(SessionId(70), 1)
    running = asyncio.create_task(rig.dispatcher.run())
    await settle()
    assert rig.link.sent == []
    assert await rig.state(job) is JobState.CANCELLED
    running.cancel()


async def full(max_jobs: int) -> Rig:
    """A queue that is full but for the jobs of one insert, which is under way."""
    made = Rig(max_jobs)
    await made.prepare()
    await made.backpressure.restore()
    for _ in range(max_jobs - 1):
        await made.submit()
        await made.queue.take()
    await made.submit()
    return made


async def test_a_count_does_not_miss_what_is_under_way() -> None:
    rig = await full(3)
    rig.clock.jump(LOOK_MS)
    # It is counted anew, and the store has two.
    with pytest.raises(QueueFull):
        await rig.submit()
    await rig.queue.take()
    assert rig.backpressure.live == 3
    with pytest.raises(QueueFull):
        await rig.submit()
    # And again when all is durable, or nothing more is under way.
    rig.clock.jump(LOOK_MS)
    with pytest.raises(QueueFull):
        await rig.submit()
    assert rig.backpressure.live == 3


async def test_what_becomes_durable_during_a_count_is_not_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = await full(3)
    rig.clock.jump(LOOK_MS)
    counts = rig.queue.counts

    async def slow(namespace: str | None = None) -> dict[JobState, int]:
        found = await counts(namespace)
        await rig.queue.take()
        return found

    monkeypatch.setattr(rig.queue, "counts", slow)
    with pytest.raises(QueueFull):
        await rig.submit()
    assert rig.backpressure.live == 3


async def test_jobs_that_could_not_be_stored_take_no_room_whenever_it_was_counted() -> None:
    rig = await full(3)
    rig.clock.jump(LOOK_MS)
    with pytest.raises(QueueFull):
        await rig.submit()
    await rig.queue.fail()
    assert rig.backpressure.live == 2
    await rig.submit()


async def test_a_count_that_went_wrong_is_made_anew_though_there_seems_to_be_room() -> None:
    rig = await full(3)
    await rig.queue.take()
    # An end that two parts told of.
    rig.waiters.ended([JobId(1), JobId(1)])
    assert rig.backpressure.live == 1
    rig.clock.jump(RECOUNT_MS)
    with pytest.raises(QueueFull):
        await rig.submit()
    assert rig.backpressure.live == 3
