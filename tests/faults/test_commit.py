"""What is answered is durable: an answer never overtakes its commit."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import JobSpec, NewJob, Placed
from mvm_ci.domain.outcome import Completed
from mvm_ci.ports.job_queue import Report
from mvm_ci.testing.clock import settle


class Held:
    """A connection whose commits wait."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self._real = real
        self.reached, self.go = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            self.reached.set()
            self.go.wait(60)
        return self._real.execute(sql, *values)


async def test_an_answer_waits_for_the_commit(tmp_path: Path) -> None:
    store = await asyncio.to_thread(SqlStore.open, tmp_path)
    held = Held(store._writer._connection)
    store._writer._connection = held  # type: ignore[assignment]
    try:
        spec = JobSpec(module=Digest("0" * 64), input=b"")
        job = NewJob(id=JobId(1), spec=spec, created_ms=0, session=SessionId(1))
        submitted = store.queue.submit([job])
        # Every kind of write goes this way; the next one joins this commit or waits for it.
        reported = store.queue.report([Report(placed=Placed(job.id, 1), outcome=Completed(b""))], 5)
        assert await asyncio.to_thread(held.reached.wait, 60)
        await settle()
        assert not submitted.done()
        assert not reported.done()
        held.go.set()
        await submitted
        assert await reported == [True]
    finally:
        held.go.set()
        await store.close()
