"""What a control plane's watchdog hangs on: its store writes."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mvm_ci.adapters.sql.database import FILE
from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.domain.errors import Unavailable
from mvm_ci.ports.supervisor import Progress
from mvm_ci.wiring.control_plane import _progress


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = await asyncio.to_thread(SqlStore.open, tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
def progress(store: SqlStore) -> Progress:
    dispatcher = SimpleNamespace(seats=[SimpleNamespace(sent=3), SimpleNamespace(sent=4)])
    plane = SimpleNamespace(services=SimpleNamespace(dispatcher=dispatcher))
    running: Any = SimpleNamespace(url="http://127.0.0.1:1", plane=plane, probe=store.probe)
    return partial(_progress, running)


async def test_it_reaches_the_disk(tmp_path: Path, progress: Progress) -> None:
    wal = tmp_path / f"{FILE}-wal"
    seen = set()
    for _ in range(3):
        assert await progress() == "serving http://127.0.0.1:1: 2 workers, 7 jobs at them"
        seen.add(wal.read_bytes())
    assert len(seen) == 3


async def test_a_writer_that_hangs(store: SqlStore, progress: Progress) -> None:
    goes_on = threading.Event()

    def hang(_: sqlite3.Connection, calls: Sequence[None]) -> Sequence[None]:
        goes_on.wait(60)
        return calls

    hanging = store._writer.call(hang, None)
    asked = asyncio.ensure_future(progress())
    done, _ = await asyncio.wait([asked], timeout=0.3)
    assert not done
    goes_on.set()
    await hanging
    assert (await asked).startswith("serving")


async def test_a_store_that_refuses_has_answered(store: SqlStore, tmp_path: Path, progress: Progress) -> None:
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await store.probe()
        assert (await progress()).startswith("the store cannot write: ")
        other.execute("ROLLBACK")
        assert (await progress()).startswith("serving")
    finally:
        other.close()
