"""Backups: whole, consistent, checked, and restored into a world that went on without them."""

from __future__ import annotations

import asyncio
import io
import os
import sqlite3
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from hashlib import sha256
from pathlib import Path

import pytest

from mvm_ci.adapters.blobs.files import FileBlobStore
from mvm_ci.adapters.blobs.removal import inventory, no_removal, removal
from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.control_plane.archive import FORMAT
from mvm_ci.control_plane.state import StateDirectory, check_is_state
from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.errors import BadInput, Misconfigured, MvmCiError, Unavailable
from mvm_ci.domain.ids import Digest, Incarnation, JobId, WorkerId
from mvm_ci.domain.job import FINAL, PLACED, Job, JobState
from mvm_ci.domain.payload import BlobRef
from mvm_ci.ports.artifacts import Put, PutResult
from mvm_ci.ports.job_queue import Append, Segment
from mvm_ci.ports.registry import JoinToken, Worker, WorkerState
from mvm_ci.wiring.backup import create_backup, restore_backup, verify_backup
from tests.contract.jobs import (
    COMPLETED,
    NOW,
    OTHER_SESSION,
    SESSION,
    UPSTREAM,
    claim,
    new_job,
    placed,
    reach,
    report,
)

LATER = NOW + 60_000
LARGE = os.urandom(1 << 20) * 5
GIVEN_BACK = {JobState.CANCELLING: JobState.CANCELLED, JobState.PAUSING: JobState.PAUSED}
WORKER = Worker(
    id=WorkerId("a" * 64),
    name="one",
    state=WorkerState.ACTIVE,
    joined_ms=NOW,
    session=SESSION,
    incarnation=Incarnation("b" * 32),
    session_open=True,
)


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[SqlStore]:
    store = await asyncio.to_thread(SqlStore.open, directory / "store")
    try:
        yield store
    finally:
        await store.close()


async def every_state(directory: Path) -> dict[JobState, Job]:
    """A state directory with a job in each state, a worker, a blob, the small files."""
    state = StateDirectory.open(directory)
    state.endpoint_key()
    state.admin_token()
    state.p2p_address("127.0.0.1:0")
    blobs = FileBlobStore(state.blobs)
    blob, large = await blobs.put(b"large" * 2000), await blobs.put(LARGE)
    async with opened(directory) as store:
        join = "c" * 64
        token = JoinToken(id="j1", digest=join, created_ms=NOW, expires_ms=NOW + 1000, uses_left=5)
        await store.registry.put_join_token(token)
        await store.registry.join(join, WORKER, NOW)
        await store.registry.open_session(WORKER, NOW)
        # The dead one first: what its session loses would be all others' loss, too.
        for one in sorted(JobState, reverse=True):
            await reach(store.queue, 1 + int(one), one)
        await store.queue.submit([new_job(50, payload=blob)])
        artifact = Artifact("dir/large", large.digest, large.size, "text/plain")
        put = Put(placed=placed(1 + int(JobState.IN_PROGRESS)), number=0, artifact=artifact, at_ms=NOW)
        assert await store.artifacts.put(put, 10) is PutResult.DONE
        jobs = await store.queue.get([JobId(1 + int(one)) for one in JobState])
    return {one: job for one, job in zip(JobState, jobs, strict=True) if job is not None}


async def test_a_restored_state_is_what_was_acknowledged_and_nothing_is_placed(tmp_path: Path) -> None:
    source, target, file = tmp_path / "source", tmp_path / "target", tmp_path / "backup"
    before = await every_state(source)
    made = create_backup(source, file, NOW)
    assert made.damaged == ()
    assert verify_backup(file) == made
    restored = restore_backup(file, target, LATER)
    assert restored.manifest == made
    check_is_state(target)
    for name in ("endpoint-key", "udp-port", "admin-token"):
        assert (target / name).read_text() == (source / name).read_text()
    blobs = FileBlobStore(target / "blobs")
    async with opened(target) as store:
        for state, old in before.items():
            (new,) = await store.queue.get([old.id])
            assert new is not None
            assert new.spec == old.spec
            assert (new.result, new.failure) == (old.result, old.failure)
            expected = state
            if state in PLACED:
                expected = GIVEN_BACK.get(state, JobState.PENDING)
            assert new.state is expected
            assert new.session is None
            if expected is not JobState.COMPLETED:  # one that failed may be tried again some day
                assert new.epoch == LATER // 1000
        (with_blob,) = await store.queue.get([JobId(50)])
        assert with_blob is not None
        assert isinstance(with_blob.spec.input, BlobRef)
        assert await blobs.get(with_blob.spec.input.digest) == b"large" * 2000
        found = await store.artifacts.artifact(JobId(1 + int(JobState.IN_PROGRESS)), "dir/large")
        assert found is not None
        assert b"".join([piece async for piece in blobs.read(found.artifact.digest)]) == LARGE
        worker = await store.registry.worker(WORKER.id)
        assert worker is not None
        assert (worker.session_open, worker.state) == (False, WorkerState.ACTIVE)
        counts = await store.queue.counts()
        assert restored.going_on == sum(count for state, count in counts.items() if state not in FINAL)
        claimed = await claim(store.queue, OTHER_SESSION, 10)
        assert {job.id for job in claimed} == {JobId(1), JobId(2), JobId(3), JobId(50), UPSTREAM}
        ended = [report(job.id, COMPLETED, epoch=job.epoch) for job in claimed]
        assert await store.queue.report(ended, LATER) == [True] * 5


async def test_a_placement_that_the_backup_never_saw_is_stale_in_every_restored_world(tmp_path: Path) -> None:
    source, file = tmp_path / "source", tmp_path / "backup"
    StateDirectory.open(source).endpoint_key()
    StateDirectory.open(source).admin_token()
    async with opened(source) as store:
        await store.queue.submit([new_job(1)])
        create_backup(source, file, NOW)
        epochs = set()
        for _ in range(3):
            (job,) = await claim(store.queue, SESSION, 1)
            epochs.add(job.epoch)
            await store.queue.rescue(SESSION, NOW, 100)
    for number, when in enumerate((LATER, LATER + 1000)):
        target = tmp_path / f"target-{number}"
        restore_backup(file, target, when)
        async with opened(target) as store:
            (job,) = await claim(store.queue, SESSION, 1)
            assert job.epoch not in epochs
            # Whatever the worlds before gave out comes back now, to a job that is placed.
            for old in epochs:
                assert await store.queue.start([placed(1, old)], when) == [False]
                segment = Segment(first=0, count=1, data=b"x")
                assert await store.queue.append([(placed(1, old), segment)]) == [Append.STALE]
                assert await store.queue.report([report(1, COMPLETED, epoch=old)], when) == [False]
            epochs.add(job.epoch)


async def test_under_load_the_backup_holds_all_that_was_answered_before_it(tmp_path: Path) -> None:
    source, file = tmp_path / "source", tmp_path / "backup"
    state = StateDirectory.open(source)
    state.endpoint_key()
    state.admin_token()
    blobs = FileBlobStore(state.blobs)
    answered: list[JobId] = []
    async with opened(source) as store:

        async def load() -> None:
            for number in range(1, 100_000):
                ref = await blobs.put(b"%d" % number * 1000)
                await store.queue.submit([new_job(number, payload=ref)])
                answered.append(JobId(number))

        loading = asyncio.create_task(load())
        while len(answered) < 20:
            await asyncio.sleep(0)
            assert not loading.done()
        before = tuple(answered)
        await asyncio.to_thread(create_backup, source, file, NOW)
        assert len(answered) > len(before)
        loading.cancel()
        with suppress(asyncio.CancelledError):
            await loading
    restore_backup(file, tmp_path / "target", LATER)
    restored = FileBlobStore(tmp_path / "target" / "blobs")
    async with opened(tmp_path / "target") as store:
        jobs = await store.queue.list_jobs(limit=100_000)
        assert {job.id for job in jobs} >= set(before)
        for job in jobs:
            assert isinstance(job.spec.input, BlobRef)
            assert len(await restored.get(job.spec.input.digest)) == job.spec.input.size


async def test_a_backup_is_for_its_owner_and_replaces_nothing(tmp_path: Path) -> None:
    await every_state(tmp_path / "source")
    file = tmp_path / "backup"
    create_backup(tmp_path / "source", file, NOW)
    assert file.stat().st_mode & 0o777 == 0o600
    content = file.read_bytes()
    with pytest.raises(BadInput, match="already a file"):
        create_backup(tmp_path / "source", file, NOW)
    assert file.read_bytes() == content
    restore_backup(file, tmp_path / "target", LATER)
    for path in (tmp_path / "target").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


async def test_what_cannot_be_backed_up_leaves_no_file(tmp_path: Path) -> None:
    await every_state(tmp_path / "source")
    (tmp_path / "out").mkdir()
    file = tmp_path / "out" / "backup"
    (tmp_path / "other").mkdir()
    with pytest.raises(Misconfigured, match="no state of a control plane"):
        create_backup(tmp_path / "other", file, NOW)
    with pytest.raises(BadInput, match="there is no"):
        create_backup(tmp_path / "source", tmp_path / "nowhere" / "backup", NOW)
    database = tmp_path / "source" / "store" / "state.db"
    content = bytearray(database.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    database.write_bytes(content)
    with pytest.raises((Misconfigured, Unavailable), match="malformed"):
        create_backup(tmp_path / "source", file, NOW)
    assert list((tmp_path / "out").iterdir()) == []


async def test_a_damaged_blob_is_named_and_left_out(tmp_path: Path) -> None:
    await every_state(tmp_path / "source")
    (blob,) = (tmp_path / "source" / "blobs").rglob(sha256(b"large" * 2000).hexdigest())
    blob.write_bytes(b"rotten")
    made = create_backup(tmp_path / "source", tmp_path / "backup", NOW)
    assert made.damaged == (blob.name,)
    assert restore_backup(tmp_path / "backup", tmp_path / "target", LATER).manifest == made


def changed(change: Callable[[bytearray], bytes | bytearray], file: Path) -> None:
    file.write_bytes(change(bytearray(file.read_bytes())))


def repacked(name: str, content: bytes, *, kind: bytes = tarfile.REGTYPE) -> Callable[[bytearray], bytes]:
    """The same archive with a member replaced, or put before the manifest."""

    def change(old: bytearray) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(old)) as source, tarfile.open(fileobj=out, mode="w") as target:
            names = source.getnames()
            for member in source:
                data = source.extractfile(member)
                assert data is not None
                if member.name == "manifest.json" and name not in names:
                    _add(target, name, content, kind)
                if member.name == name:
                    _add(target, name, content, kind)
                else:
                    target.addfile(member, data)
        return out.getvalue()

    return change


def _add(target: tarfile.TarFile, name: str, content: bytes, kind: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.type = len(content), kind
    if kind == tarfile.SYMTYPE:
        info.size, info.linkname = 0, "/etc/passwd"
    target.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda old: old[: len(old) // 2], id="half"),
        pytest.param(lambda old: old[:-11_000], id="the-end-missing"),
        pytest.param(lambda old: b"", id="empty"),
        pytest.param(lambda old: b"diary\n" * 4000, id="a-diary"),
        pytest.param(lambda old: old[:10_000] + b"\xff" + old[10_001:], id="a-byte"),
        pytest.param(repacked("endpoint-key", b"0" * 64), id="another-key"),
        pytest.param(repacked("../../escape", b"x"), id="a-path-outside"),
        pytest.param(repacked("/tmp/escape", b"x"), id="an-absolute-path"),
        pytest.param(repacked("udp-port", b"", kind=tarfile.SYMTYPE), id="a-link"),
        pytest.param(repacked("blobs/aa/aa/" + "a" * 64, b"x"), id="a-blob-too-many"),
        pytest.param(repacked("manifest.json", b"{}"), id="another-manifest"),
        pytest.param(repacked("mvm-ci-backup", b"%d\n" % (FORMAT + 1)), id="a-newer-format"),
    ],
)
async def test_a_backup_that_is_not_whole_is_refused_and_leaves_nothing(
    tmp_path: Path, change: Callable[[bytearray], bytes]
) -> None:
    await every_state(tmp_path / "source")
    file = tmp_path / "backup"
    create_backup(tmp_path / "source", file, NOW)
    changed(change, file)
    for use in (lambda: verify_backup(file), lambda: restore_backup(file, tmp_path / "target", LATER)):
        with pytest.raises(MvmCiError) as caught:
            use()
        assert isinstance(caught.value, BadInput | Misconfigured)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "target").exists()
    assert sorted(os.listdir(tmp_path)) == ["backup", "source"]  # noqa: PTH208 - a path would block, too


async def test_a_backup_of_a_newer_schema_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    await every_state(tmp_path / "source")
    with closing(
        sqlite3.connect(tmp_path / "source" / "store" / "state.db", isolation_level=None)
    ) as database:
        database.execute("UPDATE meta SET value = '999' WHERE key = 'schema_version'")
    assert create_backup(tmp_path / "source", tmp_path / "backup", NOW).schema == 999
    with pytest.raises(Misconfigured, match="newer version"):
        restore_backup(tmp_path / "backup", tmp_path / "target", LATER)
    assert not (tmp_path / "target").exists()


async def test_a_backup_is_restored_into_an_empty_directory_only(tmp_path: Path) -> None:
    await every_state(tmp_path / "source")
    create_backup(tmp_path / "source", tmp_path / "backup", NOW)
    with pytest.raises(Misconfigured, match="not empty"):
        restore_backup(tmp_path / "backup", tmp_path / "source", LATER)
    assert verify_backup(tmp_path / "backup").schema
    async with opened(tmp_path / "source") as store:
        assert len(await store.queue.list_jobs()) > len(JobState)
    (tmp_path / "empty").mkdir(mode=0o755)
    restore_backup(tmp_path / "backup", tmp_path / "empty", LATER)
    assert (tmp_path / "empty").stat().st_mode & 0o777 == 0o700


async def test_a_restore_that_was_cut_short_is_no_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await every_state(tmp_path / "source")
    create_backup(tmp_path / "source", tmp_path / "backup", NOW)
    # Killed before its last step: nothing cleans up.
    monkeypatch.setattr("mvm_ci.wiring.backup.mark_as_state", lambda path: 1 / 0)
    monkeypatch.setattr("mvm_ci.wiring.backup._empty", lambda path, remove: None)
    with pytest.raises(ZeroDivisionError):
        restore_backup(tmp_path / "backup", tmp_path / "target", LATER)
    assert (tmp_path / "target" / "store" / "state.db").exists()
    with pytest.raises(Misconfigured, match="not empty and no state"):
        StateDirectory.open(tmp_path / "target")


def test_blobs_are_removed_and_backed_up_by_turns(tmp_path: Path) -> None:
    with no_removal(tmp_path), no_removal(tmp_path), removal(tmp_path) as allowed:
        assert not allowed
    with removal(tmp_path) as allowed:
        assert allowed
        with pytest.raises(Unavailable, match="being removed"), no_removal(tmp_path, patience_s=0):
            pass


def test_the_blob_of_a_digest_is_where_the_store_keeps_it(tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path / "blobs")
    ref = asyncio.run(store.put(b"data"))
    (tmp_path / "blobs" / "incoming" / "draft").write_bytes(b"half")
    assert list(inventory(tmp_path / "blobs")) == [(Digest(ref.digest), asyncio.run(store.path(ref.digest)))]
