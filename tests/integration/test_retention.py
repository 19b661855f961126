"""Retention on real stores while jobs come and go: what is kept has all that it needs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mvm_ci.adapters.blobs.files import FileBlobStore
from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.domain.job import FINAL, Placed
from mvm_ci.domain.outcome import Completed
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.retention import RetentionPolicy
from mvm_ci.lifecycle.modules import Modules
from mvm_ci.lifecycle.retention import RetainedStores, Retention
from mvm_ci.ports.job_queue import Report
from tests.contract.jobs import NOW, SESSION, new_job

STEP_MS = 1_000
KEPT = 5


class OwnTime:
    """A clock that goes on by jobs; pauses are turns of the loop."""

    def __init__(self) -> None:
        self.now = NOW

    def now_ms(self) -> int:
        return self.now

    def lease_ms(self) -> int:
        return self.now

    async def sleep(self, ms: float) -> None:
        await asyncio.sleep(0)


async def test_no_kept_job_ever_misses_a_blob(tmp_path: Path) -> None:
    clock = OwnTime()
    store = await asyncio.to_thread(SqlStore.open, tmp_path / "store")
    blobs = await asyncio.to_thread(FileBlobStore, tmp_path / "blobs", clock.now_ms)
    policy = RetentionPolicy(jobs_age_ms=None, jobs_count=KEPT, blob_grace_ms=3 * STEP_MS)
    stores = RetainedStores(
        jobs=store.retained,
        artifacts=store.artifacts,
        registry=store.registry,
        access=store.access,
        schedules=store.schedules,
        blobs=blobs,
        events=store.events,
        secrets=store.secrets,
    )

    async def always(namespace: str, size: int) -> None:
        """There is room for everything."""

    modules = Modules(store.registry, blobs, clock, always)
    retention = Retention(stores, modules, clock, policy, lambda _: None)
    jobs = 400

    async def load() -> None:
        for number in range(1, jobs + 1):
            # The same contents come again and again, also when they have just gone or are just going.
            payload = await blobs.put(b"%d" % (number % 37) * 5_000)
            await store.queue.submit([new_job(number, session=SESSION, payload=payload)])
            result = await blobs.put(b"%d" % (number % 23) * 6_000)
            if number % 10:
                report = Report(placed=Placed(new_job(number).id, 1), outcome=Completed(result))
                assert await store.queue.report([report], clock.now) == [True]
            clock.now += STEP_MS

    loading = asyncio.create_task(load())
    try:
        while not loading.done():
            await retention.remove_jobs()
            await retention.remove_blobs()
        await loading
        clock.now += 10 * STEP_MS
        await retention.remove_jobs()
        await retention.remove_blobs()
        left = await store.queue.list_jobs(limit=10_000)
        needed = {
            payload.digest
            for job in left
            for payload in (job.spec.input, job.result)
            if isinstance(payload, BlobRef)
        }
        assert len([job for job in left if job.state in FINAL]) == KEPT
        assert len(left) == KEPT + jobs // 10
        for digest in needed:
            await blobs.get(digest)
        assert {blob.digest for blob in await blobs.stored(None, 1_000)} == needed
        assert retention.removed.jobs == jobs - len(left)
        assert retention.removed.blobs > 37 + 23
    finally:
        await store.close()
