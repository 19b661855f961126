"""States that earlier versions wrote are read, go on, and end up with the schema of a new state."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from mvm_ci.adapters.sql.database import FILE
from mvm_ci.adapters.sql.migrations import MIGRATIONS
from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.domain.errors import Misconfigured
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.job import JobState
from mvm_ci.ports.catalogue import ModuleInfo, ModuleVersion
from mvm_ci.ports.job_queue import Append, Segment
from tests.contract.jobs import COMPLETED, NOW, OTHER_SESSION, SESSION, claim, new_job, placed, report
from tests.golden.state.make import HERE, JOURNALED, RETRIED, WITH_BLOBS, facts, make

GOLDEN = sorted(HERE.glob("v*.sql"), key=lambda file: int(file.stem[1:]))
STEPS = range(2, len(MIGRATIONS) + 1)


@asynccontextmanager
async def opened(directory: Path, migrations: Sequence[str] = MIGRATIONS) -> AsyncIterator[SqlStore]:
    store = await asyncio.to_thread(lambda: SqlStore.open(directory, migrations=migrations))
    try:
        yield store
    finally:
        await store.close()


def load(text: str, directory: Path) -> Path:
    """A state directory's database from its text."""
    directory.mkdir(exist_ok=True)
    with closing(sqlite3.connect(directory / FILE)) as connection:
        connection.executescript(text)
    return directory


def restored(golden: Path, directory: Path) -> Path:
    """A state directory's database from a golden state."""
    return load(golden.read_text(), directory)


def expectations(golden: Path) -> Any:
    """What can be read of a golden state."""
    return json.loads(golden.with_suffix(".json").read_text())


def content(directory: Path) -> list[str]:
    with closing(sqlite3.connect(directory / FILE)) as connection:
        return list(connection.iterdump())


def schema(directory: Path) -> list[tuple[str, str, str]]:
    """Everything in the schema, whatever the order and the spaces."""
    with closing(sqlite3.connect(directory / FILE)) as connection:
        rows = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_schema").fetchall()
    return sorted((kind, name, " ".join(sql.split()).replace('"', "")) for kind, name, sql in rows)


def differences(expected: Any, found: Any, where: str = "") -> list[str]:
    """Where ``found`` is not what was expected; fields of later versions may be there, too."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            fault
            for key, value in expected.items()
            for fault in differences(value, found.get(key), f"{where}.{key}")
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [fault for at, (one, other) in pairs for fault in differences(one, other, f"{where}[{at}]")]
    return [] if expected == found else [f"{where}: {found!r} instead of {expected!r}"]


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda file: file.stem)
async def test_a_state_of_every_version_is_read(golden: Path, tmp_path: Path) -> None:
    directory = restored(golden, tmp_path / "state")
    expected = expectations(golden)
    async with opened(directory) as store:
        found = await facts(store)
    assert differences(expected, json.loads(json.dumps(found))) == []


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda file: file.stem)
async def test_jobs_of_every_version_go_on(golden: Path, tmp_path: Path) -> None:
    directory = restored(golden, tmp_path / "state")
    async with opened(directory) as store:
        queue = store.queue
        # One whose worker comes back goes on where its journal ends.
        tail = Segment(first=3, count=1, data=b"more")
        assert await queue.append([(placed(JOURNALED), tail)]) == [Append.DONE]
        assert await queue.report([report(JOURNALED, COMPLETED)], NOW) == [True]
        found = {
            state: {job.id for job in await queue.list_jobs() if job.state is state} for state in JobState
        }
        rescued = await queue.rescue(SESSION, NOW, 100)
        assert set(rescued.cancelled) == found[JobState.CANCELLING]
        # Suspended, scheduled and tried again.
        waiting = found[JobState.SUSPENDED] | found[JobState.SCHEDULED]
        assert waiting >= {1 + int(JobState.SUSPENDED), 1 + int(JobState.SCHEDULED), RETRIED}
        assert (await queue.wake(NOW + 60_000, 100)).jobs == len(waiting)
        ids = waiting | found[JobState.PENDING] | found[JobState.CLAIMED] | found[JobState.IN_PROGRESS]
        claimed = [
            job for lane in await queue.ready_lanes() for job in await queue.claim(OTHER_SESSION, lane, 100)
        ]
        assert {job.id for job in claimed} == ids
        ends = [report(job.id, COMPLETED, epoch=job.epoch) for job in claimed]
        assert await queue.report(ends, NOW) == [True] * len(ends)
        await queue.submit([new_job(1_000)])
        (fresh,) = await claim(queue, OTHER_SESSION, 100)
        assert fresh.id == 1_000
        counts = await queue.counts()
        assert counts[JobState.COMPLETED] == len(found[JobState.COMPLETED]) + len(ids)
        (blobs,) = await queue.get([new_job(WITH_BLOBS).id])
        assert blobs is not None
        assert blobs.spec.input == blobs.result


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda file: file.stem)
async def test_a_migrated_schema_is_the_schema_of_a_new_state(golden: Path, tmp_path: Path) -> None:
    old, new = restored(golden, tmp_path / "old"), tmp_path / "new"
    for directory in (old, new):
        async with opened(directory):
            pass
    assert schema(old) == schema(new)
    with closing(sqlite3.connect(old / FILE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("step", STEPS)
async def test_a_step_that_is_cut_short_changes_nothing_and_is_done_at_the_next_start(
    step: int, tmp_path: Path
) -> None:
    directory = restored(GOLDEN[0], tmp_path / "state")
    async with opened(directory, MIGRATIONS[: step - 1]):
        pass
    before = content(directory)
    broken = (*MIGRATIONS[: step - 1], MIGRATIONS[step - 1] + "\n;DROP TABLE absent;")
    with pytest.raises(Misconfigured, match="no such table: absent"):
        await asyncio.to_thread(lambda: SqlStore.open(directory, migrations=broken))
    assert content(directory) == before
    async with opened(directory) as store:
        assert await store.queue.counts()


async def test_every_namespace_holds_every_module_that_was_everybodys(tmp_path: Path) -> None:
    directory = restored(GOLDEN[0], tmp_path / "state")
    before_modules_had_owners = MIGRATIONS[:6]
    async with opened(directory, before_modules_had_owners):
        pass
    with closing(sqlite3.connect(directory / FILE)) as connection:
        connection.execute("INSERT INTO namespaces (name, created_ms) VALUES ('team', ?)", (NOW,))
        connection.execute(
            "INSERT INTO modules (digest, name, kind, size, created_ms, allow_hosts)"
            " VALUES (?, 'other', 'component', 7, ?, '[\"b.test\"]')",
            ("c" * 64, NOW + 1),
        )
        connection.commit()
        known = connection.execute("SELECT digest FROM modules").fetchall()
    async with opened(directory) as store:
        modules = await store.registry.modules("default")
        assert {(module.digest,) for module in modules} == set(known)
        assert modules[0] == ModuleInfo(
            digest=Digest("c" * 64),
            name="other",
            kind="component",
            size=7,
            created_ms=NOW + 1,
            allow_hosts=("b.test",),
        )
        assert await store.registry.modules("team") == modules
        assert await store.registry.modules("nobody") == []
        # What jobs are of is there to be named, and so to be asked for again.
        jobs = await store.queue.list_jobs(limit=1_000)
        assert {job.spec.module for job in jobs} <= {module.digest for module in modules}
        version = ModuleVersion(name="m", version="1", digest=jobs[0].spec.module, created_ms=NOW)
        assert await store.registry.publish("team", version) is not None


async def test_what_the_present_version_writes_can_become_a_golden_state(tmp_path: Path) -> None:
    text, read = await make(tmp_path / "made")
    async with opened(load(text, tmp_path / "loaded")) as store:
        assert differences(json.loads(read), json.loads(json.dumps(await facts(store)))) == []
    with closing(sqlite3.connect(tmp_path / "loaded" / FILE)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        empty = [
            name for name in tables if not connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        ]
    # A new table needs a row in ``fill``: else no later migration is tried on it.
    assert empty == []


def test_there_is_a_golden_state_of_the_first_version_and_none_of_a_later_one() -> None:
    versions = [int(file.stem[1:]) for file in GOLDEN]
    assert versions[0] == 1
    assert versions[-1] <= len(MIGRATIONS)
