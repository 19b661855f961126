"""The SQLite store under kill -9, full disks, and files that are not its own.

Run as a script, this file is the process to be killed: it works on a store and prints what was acknowledged.
"""

import asyncio
import json
import resource
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mvm_ci.adapters.sql.database import APPLICATION_ID, FILE
from mvm_ci.adapters.sql.migrations import MIGRATIONS
from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.domain.errors import Misconfigured, Unavailable
from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import JobSpec, JobState, NewJob, Placed
from mvm_ci.domain.outcome import Completed
from mvm_ci.ports.job_queue import Append, JobQueue, Report, Segment

BATCH, CLIENTS = 7, 4
SESSION = SessionId(1)


def jobs(first: int, size: int = 16, count: int = BATCH) -> list[NewJob]:
    spec = JobSpec(module=Digest("0" * 64), input=b"i" * size)
    return [NewJob(id=JobId(first + n), spec=spec, created_ms=0, session=SESSION) for n in range(count)]


def result(job: int) -> Completed:
    return Completed(b"result of %d" % job)


# -------------------------------------------------------------------- the process to be killed


def acknowledge(*fact: object) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


async def client(queue: JobQueue, batches: Iterator[int]) -> None:
    for batch in batches:
        first = batch * BATCH + 1
        placed = [Placed(JobId(first + number), 1) for number in range(BATCH)]
        await queue.submit(jobs(first))
        acknowledge("submitted", first)
        appended = await queue.append([(one, Segment(0, 2, b"head")) for one in placed])
        assert appended == [Append.DONE] * BATCH
        acknowledge("appended", first)
        tail = Segment(2, 1, b"tail")
        reports = [Report(placed=one, outcome=result(one.job), tail=tail) for one in placed]
        assert await queue.report(reports, 5) == [True] * BATCH
        acknowledge("reported", first)


async def work(directory: Path, first_batch: int) -> None:
    store = await asyncio.to_thread(SqlStore.open, directory)
    batches = iter(range(first_batch, sys.maxsize))
    await asyncio.gather(*(client(store.queue, batches) for _ in range(CLIENTS)))


async def fill_the_disk(directory: Path) -> None:
    """No file of this process may grow beyond 2 MiB: writes fail as they do on a full disk."""
    store = await asyncio.to_thread(SqlStore.open, directory)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, hard))
    first, failed = 1, 0
    while not failed:
        try:
            await store.queue.submit(jobs(first, size=4096))
        except Unavailable as error:
            failed = first
            acknowledge("full", failed, str(error))
        first += BATCH
    assert (await store.queue.get([JobId(1)]))[0] is not None  # it can still be read
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await store.queue.submit(jobs(failed, size=4096))
    acknowledge("room again", failed)
    await store.close()


@contextmanager
def child(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, __file__, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def opened(directory: Path, **options: Any) -> AsyncIterator[SqlStore]:
    store = await asyncio.to_thread(lambda: SqlStore.open(directory, **options))
    try:
        yield store
    finally:
        await store.close()


def integrity(directory: Path) -> str:
    with closing(sqlite3.connect(directory / FILE)) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        return str(verdict)


# -------------------------------------------------------------------- kill -9


def kill_after(directory: Path, first_batch: int, acknowledgements: int) -> list[tuple[str, int]]:
    """Starts a worker on the store, kills it after it acknowledged so much; all that it acknowledged."""
    with child("work", directory, first_batch) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledgements)]
        process.kill()
        lines += process.stdout.readlines()  # what it had printed before it died
    whole = [line for line in lines if line.endswith("\n")]
    return [(kind, first) for kind, first in map(json.loads, whole)]


async def check(directory: Path, acknowledged: list[tuple[str, int]]) -> None:
    async with opened(directory) as store:
        counts = await store.queue.counts()
        # A batch is there as a whole, or not at all.
        assert sum(counts.values()) % BATCH == 0
        assert all(count % BATCH == 0 for count in counts.values())
        for kind, first in acknowledged:
            for job in await store.queue.get([JobId(first + number) for number in range(BATCH)]):
                assert job is not None
                if kind == "reported":
                    assert job.state is JobState.COMPLETED
                    assert Completed(job.result or b"") == result(job.id)
                if kind != "submitted":
                    journal = await store.queue.journal(job.id, 1)
                    assert journal[0] == Segment(0, 2, b"head")
                    assert journal[-1].first + journal[-1].count == job.journal_length


@given(kills=st.lists(st.integers(1, 400), min_size=1, max_size=3))
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_was_acknowledged_outlives_kill_9(
    tmp_path_factory: pytest.TempPathFactory, kills: list[int]
) -> None:
    directory = tmp_path_factory.mktemp("killed")
    acknowledged: list[tuple[str, int]] = []
    for number, acknowledgements in enumerate(kills):
        acknowledged += kill_after(directory, number * 1_000_000, acknowledgements)
    assert len(acknowledged) >= sum(kills)
    asyncio.run(check(directory, acknowledged))
    assert integrity(directory) == "ok"


# -------------------------------------------------------------------- full disks, failing neighbours, closing


def test_a_full_disk_is_unavailable_and_passes(tmp_path: Path) -> None:
    with child("fill", tmp_path) as process:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    (full, failed, reason), again = map(json.loads, out.splitlines())
    assert (full, again) == ("full", ["room again", failed])
    assert "the job store failed" in reason
    assert "\n" not in reason

    async def look() -> int:
        async with opened(tmp_path) as store:
            return (await store.queue.counts())[JobState.CLAIMED]

    assert asyncio.run(look()) == failed + BATCH - 1
    assert integrity(tmp_path) == "ok"


async def test_one_call_that_fails_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.queue.submit(jobs(1))

        def limit(connection: sqlite3.Connection, pages: Any) -> Any:
            (used,) = connection.execute("PRAGMA page_count").fetchone()
            return [connection.execute(f"PRAGMA max_page_count = {used + more}").fetchone() for more in pages]

        await store._writer.call(limit, 3)
        placed = [Placed(JobId(number), 1) for number in (1, 2)]
        small = store.queue.start(placed[:1], 7)
        large = store.queue.submit(jobs(100, size=4096, count=50))
        after = store.queue.report([Report(placed=placed[1], outcome=result(2))], 8)
        assert await small == [True]
        with pytest.raises(Unavailable, match="full"):
            await large
        assert await after == [True]
        assert await store.queue.get([JobId(100)]) == [None]
        await store._writer.call(limit, 1000)
        await store.queue.submit(jobs(100, size=4096, count=50))
        assert await store.queue.counts() == {
            JobState.CLAIMED: BATCH - 2 + 50,
            JobState.IN_PROGRESS: 1,
            JobState.COMPLETED: 1,
        }


async def test_a_database_that_somebody_else_locked_is_unavailable_until_it_is_free(tmp_path: Path) -> None:
    def do_not_wait(connection: sqlite3.Connection, calls: Any) -> Any:
        connection.execute("PRAGMA busy_timeout = 0")
        return calls

    async with opened(tmp_path) as store:
        await store._writer.call(do_not_wait, None)
        with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            refused = [store.queue.submit(jobs(1)), store.queue.submit(jobs(100))]
            for submitted in refused:
                with pytest.raises(Unavailable, match="locked"):
                    await submitted
            somebody.execute("ROLLBACK")
        await store.queue.submit(jobs(1))
        assert await store.queue.counts() == {JobState.CLAIMED: BATCH}


async def test_the_statements_of_one_read_see_one_state(tmp_path: Path) -> None:
    looked, changed = threading.Event(), threading.Event()

    def look_twice(connection: sqlite3.Connection) -> list[int]:
        seen = [connection.execute("SELECT count(*) FROM jobs").fetchone()[0]]
        looked.set()
        changed.wait(60)
        return [*seen, connection.execute("SELECT count(*) FROM jobs").fetchone()[0]]

    async with opened(tmp_path) as store:
        reading = store._reader.read(look_twice)
        await asyncio.to_thread(looked.wait, 60)
        await store.queue.submit(jobs(1))
        changed.set()
        assert await reading == [0, 0]


async def test_a_bug_reaches_its_caller_as_it_is(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        too_large = store.queue.claim(SessionId(1 << 64), 0, 1)
        after = store.queue.submit(jobs(1))
        with pytest.raises(OverflowError):
            await too_large
        await after
        with pytest.raises(OverflowError):
            await store.queue.held(SessionId(1 << 64))
        assert await store.queue.held(SESSION) == [Placed(job.id, 1) for job in jobs(1)]


async def test_closing_finishes_what_was_called(tmp_path: Path) -> None:
    store = await asyncio.to_thread(SqlStore.open, tmp_path)
    submitted = store.queue.submit(jobs(1))
    await store.close()
    assert submitted.done()
    with pytest.raises(Unavailable, match="closed"):
        await store.queue.submit(jobs(100))
    with pytest.raises(Unavailable, match="closed"):
        await store.queue.get([JobId(1)])
    await store.close()
    async with opened(tmp_path) as again:
        assert await again.queue.counts() == {JobState.CLAIMED: BATCH}


# -------------------------------------------------------------------- whose file it is


def test_one_process_at_a_time(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    with child("work", directory, 0) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has the store
        with pytest.raises(Misconfigured, match="in use by another process") as caught:
            SqlStore.open(directory)
        assert "\n" not in str(caught.value)
        process.kill()
        process.wait()
    asyncio.run(check(directory, []))


async def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    second = "CREATE TABLE more (id INTEGER NOT NULL PRIMARY KEY) STRICT;"
    directory = tmp_path / "state"
    async with opened(directory) as store:
        await store.queue.submit(jobs(1))
    async with opened(directory, migrations=(*MIGRATIONS, second)) as store:
        assert await store.queue.counts() == {JobState.CLAIMED: BATCH}
    with pytest.raises(Misconfigured, match=r"the state in .* was written by a newer version"):
        await asyncio.to_thread(SqlStore.open, directory)


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    second = "CREATE TABLE more (id INTEGER NOT NULL PRIMARY KEY) STRICT; DROP TABLE absent;"
    directory = tmp_path / "state"
    async with opened(directory) as store:
        await store.queue.submit(jobs(1))
    with pytest.raises(Misconfigured, match="no such table: absent"):
        await asyncio.to_thread(lambda: SqlStore.open(directory, migrations=(*MIGRATIONS, second)))
    async with opened(directory) as store:
        assert await store.queue.counts() == {JobState.CLAIMED: BATCH}


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = "this is somebody's diary\n" * 200
    (tmp_path / FILE).write_text(text)
    with pytest.raises(Misconfigured, match="is not a database of this program") as caught:
        SqlStore.open(tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / FILE).read_text() == text


@pytest.mark.parametrize("script", ["CREATE TABLE diary (day);", "PRAGMA application_id = 7;"])
def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path, script: str) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.executescript(script)
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(Misconfigured, match="database of another program"):
        SqlStore.open(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_making_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    asyncio.run(check(tmp_path, []))
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_a_directory_that_cannot_be_used_is_misconfigured(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(Misconfigured, match="cannot be used"):
            SqlStore.open(directory)


def test_the_state_is_private(tmp_path: Path) -> None:
    asyncio.run(check(tmp_path / "state", []))
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o077 == 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case "work", directory, first_batch:
            asyncio.run(work(Path(directory), int(first_batch)))
        case "fill", directory:
            asyncio.run(fill_the_disk(Path(directory)))
        case other:
            sys.exit(f"no such part: {other}")
