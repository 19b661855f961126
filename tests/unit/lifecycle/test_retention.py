"""Retention as a duty: round by round, batch by batch, and never what is needed."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mvm_ci.adapters.blobs.memory import MemoryBlobStore
from mvm_ci.adapters.memory.access import MemoryAccess
from mvm_ci.adapters.memory.artifacts import MemoryArtifactStore
from mvm_ci.adapters.memory.event_log import MemoryEventLog
from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.adapters.memory.registry import MemoryRegistry
from mvm_ci.adapters.memory.retained import MemoryRetainedJobs
from mvm_ci.adapters.memory.schedules import MemoryScheduleStore
from mvm_ci.adapters.memory.secrets import MemorySecretStore
from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.events import EventKind, pack
from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import JobSpec, NewJob, Placed
from mvm_ci.domain.namespace import DEFAULT_NAMESPACE
from mvm_ci.domain.outcome import Completed, Suspended
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.retention import RetentionPolicy
from mvm_ci.domain.schedule import Schedule
from mvm_ci.lifecycle.modules import Modules
from mvm_ci.lifecycle.retention import ENTRIES_AT_ONCE, REMOVE_AT_ONCE, ROUND_MS, RetainedStores, Retention
from mvm_ci.ports.access import AuditEntry, AuditFilter
from mvm_ci.ports.artifacts import Put, PutResult
from mvm_ci.ports.catalogue import Holding, ModuleInfo
from mvm_ci.ports.job_queue import Report, Segment
from mvm_ci.testing.clock import FakeClock

SESSION = SessionId(7)
DAY = 86_400_000


async def always(namespace: str, size: int) -> None:
    """There is room for everything."""


class Rig:
    """Stores in memory, and retention over them."""

    def __init__(self, policy: RetentionPolicy) -> None:
        self.clock = FakeClock()
        self.queue = MemoryJobQueue()
        self.registry = MemoryRegistry()
        self.blobs = MemoryBlobStore(self.clock.now_ms)
        self.events = MemoryEventLog()
        self.artifacts = MemoryArtifactStore(self.queue)
        jobs = MemoryRetainedJobs(self.queue._records)
        self.modules = Modules(self.registry, self.blobs, self.clock, always)
        self.schedules = MemoryScheduleStore()
        self.access = MemoryAccess()
        self.secrets = MemorySecretStore(self.queue._records)
        self.keys_gone: list[JobId] = []
        stores = RetainedStores(
            jobs=jobs,
            artifacts=self.artifacts,
            registry=self.registry,
            access=self.access,
            schedules=self.schedules,
            blobs=self.blobs,
            events=self.events,
            secrets=self.secrets,
        )
        self.retention = Retention(stores, self.modules, self.clock, policy, self.keys_gone.append)
        self._ids = 0

    async def job(
        self,
        *,
        payload: bytes | BlobRef = b"in",
        module: str = "5" * 64,
        inputs: tuple[Artifact, ...] = (),
    ) -> JobId:
        self._ids += 1
        job = JobId((self.clock.now_ms() << 20) + self._ids)
        spec = JobSpec(module=Digest(module), input=payload, inputs=inputs)
        await self.queue.submit([NewJob(id=job, spec=spec, created_ms=self.clock.now_ms(), session=SESSION)])
        return job

    async def finished(self, *, payload: bytes | BlobRef = b"in", result: bytes | BlobRef = b"out") -> JobId:
        job = await self.job(payload=payload)
        report = Report(placed=Placed(job, 1), outcome=Completed(result))
        assert await self.queue.report([report], self.clock.now_ms()) == [True]
        return job

    async def left(self) -> set[JobId]:
        return {job.id for job in await self.queue.list_jobs(limit=10_000)}

    async def through(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Does it, letting the time of its pauses pass."""
        task = asyncio.ensure_future(work())
        while not task.done():
            await self.clock.advance(1_000)
        await task


async def test_jobs_go_when_they_have_been_over_for_long_enough() -> None:
    rig = Rig(RetentionPolicy(jobs_age_ms=DAY))
    slow = await rig.job()
    suspended = await rig.job()
    await rig.queue.report([Report(placed=Placed(suspended, 1), outcome=Suspended(1 << 50))], 0)
    old = await rig.finished()
    await rig.clock.advance(DAY / 2)
    newer = await rig.finished()
    report = Report(placed=Placed(slow, 1), outcome=Completed(b"out"))
    await rig.queue.report([report], rig.clock.now_ms())
    await rig.clock.advance(DAY / 2 + 1)
    await rig.through(rig.retention.remove_jobs)
    assert await rig.left() == {slow, suspended, newer}
    assert rig.retention.removed.jobs == 1
    assert old not in await rig.left()
    await rig.clock.advance(DAY)
    await rig.through(rig.retention.remove_jobs)
    assert await rig.left() == {suspended}


async def test_only_the_newest_jobs_are_kept_however_many_batches_it_takes() -> None:
    rig = Rig(RetentionPolicy(jobs_age_ms=None, jobs_count=3))
    running = await rig.job()
    finished = [await rig.finished() for _ in range(3 * REMOVE_AT_ONCE)]
    await rig.through(rig.retention.remove_jobs)
    assert await rig.left() == {running, *finished[-3:]}
    assert rig.retention.removed.jobs == len(finished) - 3


async def test_what_the_kept_jobs_hold_has_a_limit() -> None:
    rig = Rig(RetentionPolicy(jobs_bytes=1_000))
    large = await rig.blobs.put(b"L" * 900)
    first, second = await rig.finished(), await rig.finished(result=large)
    third = await rig.finished(payload=b"x" * 60)
    await rig.through(rig.retention.remove_jobs)
    assert await rig.left() == {second, third}
    assert first not in await rig.left()


async def test_blobs_go_once_nothing_refers_to_them_and_they_are_old() -> None:
    rig = Rig(RetentionPolicy(blob_grace_ms=DAY))
    names = ["lost", "module", "input", "result", "journal", "asked", "put"]
    refs = {name: await rig.blobs.put(name.encode()) for name in names}
    module = refs["module"]
    await rig.registry.put_module(
        "team", ModuleInfo(digest=module.digest, name="", kind="core", size=module.size, created_ms=0)
    )
    await rig.job(payload=refs["input"])
    await rig.finished(result=refs["result"])
    writing = await rig.job()
    segment = Segment(first=0, count=1, data=b"\xd9\x40" + refs["journal"].digest.encode())
    await rig.queue.append([(Placed(writing, 1), segment)])
    await rig.through(rig.retention.remove_blobs)
    assert rig.retention.removed.blobs == 0
    await rig.clock.advance(DAY + 1)
    await rig.blobs.has(refs["asked"].digest)
    await rig.blobs.put(b"put")
    young = await rig.blobs.put(b"young")
    await rig.through(rig.retention.remove_blobs)
    left = {blob.digest for blob in await rig.blobs.stored(None, 100)}
    assert left == {young.digest, *(ref.digest for name, ref in refs.items() if name != "lost")}
    assert (rig.retention.removed.blobs, rig.retention.removed.blob_bytes) == (1, len("lost"))


async def test_what_is_an_artifact_stays_as_long_as_its_job() -> None:
    rig = Rig(RetentionPolicy(jobs_age_ms=10 * DAY, blob_grace_ms=DAY, artifacts_age_ms=5 * DAY))
    put, given, loose = [await rig.blobs.put(name) for name in (b"put", b"given", b"loose")]
    await rig.artifacts.upload(DEFAULT_NAMESPACE, loose.digest, loose.size, rig.clock.now_ms())
    job = await rig.job(inputs=(Artifact("given", given.digest, given.size),))
    asked = Put(placed=Placed(job, 1), number=0, artifact=Artifact("put", put.digest, put.size), at_ms=0)
    assert await rig.artifacts.put(asked, 10) is PutResult.DONE
    report = Report(placed=Placed(job, 1), outcome=Completed(b"out"))
    await rig.queue.report([report], rig.clock.now_ms())

    async def left() -> tuple[set[str], set[str]]:
        for part in (rig.retention.remove_jobs, rig.retention.remove_artifacts, rig.retention.remove_blobs):
            await rig.through(part)
        names = {one.artifact.name for one in await rig.artifacts.artifacts(job)}
        return names, {(await rig.blobs.get(one.digest)).decode() for one in await rig.blobs.stored(None, 9)}

    await rig.clock.advance(DAY / 2)
    assert await left() == ({"given", "put"}, {"put", "given", "loose"})
    await rig.clock.advance(DAY)
    assert await left() == ({"given", "put"}, {"put", "given"})
    await rig.clock.advance(4 * DAY)
    assert await left() == ({"given"}, {"given"})
    await rig.clock.advance(6 * DAY)
    assert await left() == (set(), set())
    removed = rig.retention.removed
    assert (removed.uploads, removed.artifacts, removed.jobs) == (1, 1, 1)


async def test_what_the_kept_jobs_hold_counts_artifacts() -> None:
    rig = Rig(RetentionPolicy(jobs_bytes=1_000))
    first = await rig.job()
    artifact = Artifact("large", Digest("7" * 64), 5_000)
    await rig.artifacts.put(Put(placed=Placed(first, 1), number=0, artifact=artifact, at_ms=0), 10)
    await rig.queue.report([Report(placed=Placed(first, 1), outcome=Completed(b"out"))], 0)
    second = await rig.finished()
    await rig.through(rig.retention.remove_jobs)
    assert await rig.left() == {second}


async def test_a_blob_that_is_asked_for_while_references_are_gathered_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(RetentionPolicy(blob_grace_ms=1))
    ref = await rig.blobs.put(b"old")
    await rig.clock.advance(DAY)
    gather = rig.retention._jobs.references

    def gathering(*args: Any) -> Any:
        found = gather(*args)
        # The look is over; now a worker says that it has it, and its job's end is reported.
        rig.blobs._kept_ms[ref.digest] = rig.clock.now_ms()
        return found

    monkeypatch.setattr(rig.retention._jobs, "references", gathering)
    await rig.through(rig.retention.remove_blobs)
    assert await rig.blobs.get(ref.digest) == b"old"


async def test_blobs_of_a_job_go_in_the_round_that_removes_it_and_rounds_go_on_after_trouble(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(RetentionPolicy(jobs_age_ms=DAY, blob_grace_ms=DAY))
    ref = await rig.blobs.put(b"input")
    await rig.finished(payload=ref)
    duty = asyncio.ensure_future(rig.retention.run())
    await rig.clock.until_sleeping(1)
    await rig.clock.advance(DAY - ROUND_MS)
    assert rig.retention.removed.jobs == 0

    async def busy(*args: object) -> list[Digest]:
        raise Unavailable("a backup copies the blobs")

    with monkeypatch.context() as patch:
        patch.setattr(rig.blobs, "remove", busy)
        await rig.clock.advance(2 * ROUND_MS)
    assert (rig.retention.removed.jobs, rig.retention.removed.blobs) == (1, 0)
    await rig.clock.advance(2 * ROUND_MS)
    assert (rig.retention.removed.jobs, rig.retention.removed.blobs) == (1, 1)
    assert not duty.done()
    duty.cancel()
    await asyncio.gather(duty, return_exceptions=True)


# Exports run and memory; a custom section after it makes another module.
WASM = b"\0asm\x01\0\0\0\x07\x10\x02\x03run\0\0\x06memory\x02\0"


async def test_modules_go_when_they_are_old_and_of_no_kept_job() -> None:
    rig = Rig(RetentionPolicy(jobs_age_ms=DAY, modules_age_ms=DAY, blob_grace_ms=DAY))
    unused, used = (
        await rig.modules.add(DEFAULT_NAMESPACE, WASM + b"\0\2\1a"),
        await rig.modules.add(DEFAULT_NAMESPACE, WASM + b"\0\2\1b"),
    )
    await rig.job(module=used.digest)
    await rig.clock.advance(DAY + 1)
    young = await rig.modules.add(DEFAULT_NAMESPACE, WASM + b"\0\2\1c")
    await rig.through(rig.retention.remove_modules)
    await rig.through(rig.retention.remove_blobs)
    asked = [unused.digest, used.digest, young.digest]
    assert set(await rig.modules.find(DEFAULT_NAMESPACE, asked)) == {used.digest, young.digest}
    assert rig.retention.removed.modules == 1
    # A job that was checked just before has its module for a while.
    assert await rig.blobs.get(unused.digest)
    await rig.clock.advance(DAY + 1)
    await rig.through(rig.retention.remove_blobs)
    assert {blob.digest for blob in await rig.blobs.stored(None, 10)} == {used.digest, young.digest}
    assert await rig.modules.add(DEFAULT_NAMESPACE, WASM + b"\0\2\1a") != unused
    assert set(await rig.modules.find(DEFAULT_NAMESPACE, asked)) == set(asked)


async def test_journals_and_keys_go_before_their_jobs_if_they_are_to() -> None:
    rig = Rig(RetentionPolicy(journals_age_ms=DAY, keys_age_ms=2 * DAY))
    writing = await rig.job()
    await rig.queue.append([(Placed(writing, 1), Segment(first=0, count=1, data=b"x"))])
    await rig.queue.report([Report(placed=Placed(writing, 1), outcome=Completed(b"out"))], rig.clock.now_ms())
    await rig.clock.advance(DAY + 1)
    await rig.through(rig.retention.remove_journals)
    await rig.through(rig.retention.forget_keys)
    assert (rig.retention.removed.journals, rig.retention.removed.keys) == (1, 0)
    assert await rig.queue.journal(writing, 1) == []
    assert await rig.left() == {writing}
    assert all(job <= writing for job in rig.keys_gone)
    await rig.clock.advance(DAY)
    await rig.through(rig.retention.forget_keys)
    assert rig.keys_gone[-1] > writing


async def test_old_entries_of_the_audit_log_go_however_many_batches_it_takes() -> None:
    rig = Rig(RetentionPolicy(audit_age_ms=DAY))

    def record() -> None:
        entry = AuditEntry(
            at_ms=rig.clock.now_ms(),
            token="t",
            name="n",
            address="",
            namespace="default",
            action="job.submit",
            target="",
            outcome="done",
        )
        rig.access.record_soon(entry)

    for _ in range(2 * ENTRIES_AT_ONCE + 1):
        record()
    await rig.clock.advance(DAY + 1)
    record()
    await rig.through(rig.retention.prune_audit)
    assert rig.retention.removed.audit_entries == 2 * ENTRIES_AT_ONCE + 1
    assert len((await rig.access.audit(AuditFilter())).entries) == 1


async def test_the_module_of_a_schedule_stays() -> None:
    rig = Rig(RetentionPolicy(modules_age_ms=DAY, blob_grace_ms=DAY))
    unused, scheduled = (
        await rig.modules.add(DEFAULT_NAMESPACE, WASM + b"\0\2\1a"),
        await rig.modules.add(DEFAULT_NAMESPACE, WASM + b"\0\2\1b"),
    )
    job = f'{{"module":"{scheduled.digest}"}}'
    yearly = Schedule(namespace="default", name="n", when="@yearly", job=job, created_ms=0, paused=True)
    assert await rig.schedules.add(yearly)
    rig.clock.jump(2 * DAY)
    await rig.through(rig.retention.remove_modules)
    assert set(await rig.modules.find(DEFAULT_NAMESPACE, [unused.digest, scheduled.digest])) == {
        scheduled.digest
    }


async def test_a_module_goes_out_of_each_namespace_by_itself() -> None:
    rig = Rig(RetentionPolicy(jobs_age_ms=None, modules_age_ms=DAY, blob_grace_ms=DAY))
    module = await rig.modules.add(DEFAULT_NAMESPACE, WASM)
    await rig.modules.add("team", WASM)
    await rig.job(module=module.digest)
    job = f'{{"module":"{module.digest}"}}'
    elsewhere = Schedule(namespace="third", name="n", when="@yearly", job=job, created_ms=0, paused=True)
    assert await rig.schedules.add(elsewhere)
    rig.clock.jump(2 * DAY)
    await rig.through(rig.retention.remove_modules)
    assert await rig.modules.find("team", [module.digest]) == {}
    assert set(await rig.modules.find(DEFAULT_NAMESPACE, [module.digest])) == {module.digest}
    assert rig.retention.removed.modules == 1


async def test_a_module_that_a_version_stands_for_stays_until_that_is_removed() -> None:
    rig = Rig(RetentionPolicy(jobs_age_ms=None, modules_age_ms=DAY, blob_grace_ms=DAY))
    module = await rig.modules.add(DEFAULT_NAMESPACE, WASM)
    await rig.modules.publish(DEFAULT_NAMESPACE, "crawl", "1", module.digest)
    rig.clock.jump(2 * DAY)
    await rig.through(rig.retention.remove_modules)
    assert set(await rig.modules.find(DEFAULT_NAMESPACE, ["crawl"])) == {"crawl"}
    await rig.modules.unpublish(DEFAULT_NAMESPACE, "crawl", "1")
    await rig.through(rig.retention.remove_modules)
    assert await rig.modules.find(DEFAULT_NAMESPACE, [module.digest, "crawl"]) == {}


async def test_a_version_that_is_published_while_its_module_is_judged_keeps_it() -> None:
    rig = Rig(RetentionPolicy(jobs_age_ms=None, modules_age_ms=DAY))
    module = await rig.modules.add(DEFAULT_NAMESPACE, WASM)
    await rig.job()
    rig.clock.jump(2 * DAY)
    judging = asyncio.ensure_future(rig.retention.remove_modules())
    await asyncio.sleep(0)
    await rig.modules.publish(DEFAULT_NAMESPACE, "crawl", "1", module.digest)
    while not judging.done():
        await rig.clock.advance(1_000)
    await judging
    assert set(await rig.modules.find(DEFAULT_NAMESPACE, ["crawl"])) == {"crawl"}


async def test_a_module_that_is_added_while_it_is_removed_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(RetentionPolicy())
    info = await rig.modules.add(DEFAULT_NAMESPACE, WASM)
    go_on, reached = asyncio.Event(), asyncio.Event()
    put = rig.registry.put_module

    async def slow(namespace: str, module: ModuleInfo) -> None:
        await put(namespace, module)
        reached.set()
        await go_on.wait()

    monkeypatch.setattr(rig.registry, "put_module", slow)
    adding = asyncio.ensure_future(rig.modules.add(DEFAULT_NAMESPACE, WASM))
    await asyncio.wait_for(reached.wait(), timeout=60)
    assert await rig.modules.remove([Holding(DEFAULT_NAMESPACE, info.digest)]) == 0
    go_on.set()
    assert await adding == info
    assert set(await rig.modules.find(DEFAULT_NAMESPACE, [info.digest])) == {info.digest}
    assert await rig.modules.remove([Holding(DEFAULT_NAMESPACE, info.digest)]) == 1


async def test_what_was_looked_up_before_a_removal_is_not_remembered_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig(RetentionPolicy())
    info = await rig.modules.add(DEFAULT_NAMESPACE, WASM)
    fresh = Modules(rig.registry, rig.blobs, rig.clock, always)
    go_on = asyncio.Event()
    look = rig.registry.modules

    async def slow(namespace: str, digests: Any = ()) -> list[ModuleInfo]:
        found = await look(namespace, digests)
        await go_on.wait()
        return found

    monkeypatch.setattr(rig.registry, "modules", slow)
    finding = asyncio.ensure_future(fresh.find(DEFAULT_NAMESPACE, [info.digest]))
    await asyncio.sleep(0)
    assert await fresh.remove([Holding(DEFAULT_NAMESPACE, info.digest)]) == 1
    go_on.set()
    assert await finding == {info.digest: info}
    assert await fresh.find(DEFAULT_NAMESPACE, [info.digest]) == {}


async def test_events_that_are_too_old_go_batch_by_batch_and_the_newest_stays() -> None:
    rig = Rig(RetentionPolicy(events_age_ms=DAY, events_count=None))
    for number in range(2 * REMOVE_AT_ONCE + 2):
        jobs = [JobId(1), JobId(2)]
        batch = pack(2 * number + 1, rig.clock.now_ms(), [(EventKind.ENDED, jobs)])
        await rig.events.append(batch, at_once=True)
    await rig.clock.advance(DAY + 1)
    await rig.through(rig.retention.trim_events)
    assert [batch.first for batch in await rig.events.read(0, 10)] == [4 * REMOVE_AT_ONCE + 3]
    assert rig.retention.removed.events == 2 * (2 * REMOVE_AT_ONCE + 1)
