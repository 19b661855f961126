"""One suite for every blob store: what `ports.blob_store` promises; and what only files can do wrong."""

import asyncio
import stat
from hashlib import sha256
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mvm_ci.adapters.blobs.files import FileBlobStore
from mvm_ci.adapters.blobs.removal import no_removal
from mvm_ci.domain.errors import Misconfigured, NotFound, Unavailable
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef
from mvm_ci.ports.blob_store import BlobStore

MISSING = Digest("0" * 64)
DATA = Digest(sha256(b"data").hexdigest())


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 10_000])
async def test_what_was_put_comes_back(blobs: BlobStore, data: bytes) -> None:
    ref = await blobs.put(data)
    assert ref == BlobRef(Digest(sha256(data).hexdigest()), len(data))
    assert await blobs.get(ref.digest) == data
    assert await blobs.has(ref.digest) is True
    assert await asyncio.to_thread((await blobs.path(ref.digest)).read_bytes) == data


async def test_a_repetition_changes_nothing(blobs: BlobStore) -> None:
    refs = await asyncio.gather(*(blobs.put(b"same") for _ in range(20)))
    assert set(refs) == {await blobs.put(b"same")}
    assert await blobs.get(refs[0].digest) == b"same"


async def test_what_is_not_there_is_not_found(blobs: BlobStore) -> None:
    assert await blobs.has(MISSING) is False
    with pytest.raises(NotFound):
        await blobs.get(MISSING)
    with pytest.raises(NotFound):
        await blobs.path(MISSING)


# -------------------------------------------------------------------- files


def test_only_their_owner_can_read_them(tmp_path: Path) -> None:
    asyncio.run(FileBlobStore(tmp_path / "blobs").put(b"secret"))
    made = [tmp_path / "blobs", *(tmp_path / "blobs").rglob("*")]
    assert len(made) == 5
    assert {path.name: oct(stat.S_IMODE(path.stat().st_mode) & 0o077) for path in made} == {
        path.name: "0o0" for path in made
    }


def test_they_outlive_the_store(tmp_path: Path) -> None:
    ref = asyncio.run(FileBlobStore(tmp_path).put(b"kept"))
    assert asyncio.run(FileBlobStore(tmp_path).get(ref.digest)) == b"kept"


@pytest.mark.parametrize("damage", [b"", b"goof", b"good and more"])
def test_damage_is_found_logged_and_repaired(tmp_path: Path, damage: bytes) -> None:
    blobs = FileBlobStore(tmp_path)
    ref = asyncio.run(blobs.put(b"good"))
    asyncio.run(blobs.path(ref.digest)).write_bytes(damage)
    with capture_logs() as logs, pytest.raises(NotFound, match="damaged"):
        asyncio.run(blobs.get(ref.digest))
    assert [(entry["event"], entry["digest"]) for entry in logs] == [("blob_damaged", ref.digest)]
    asyncio.run(blobs.put(b"good"))
    assert asyncio.run(blobs.get(ref.digest)) == b"good"


@pytest.mark.parametrize("name", ["../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", ""])
def test_only_digests_become_paths(tmp_path: Path, name: str) -> None:
    blobs = FileBlobStore(tmp_path)
    for ask in (blobs.get, blobs.has, blobs.path):
        with pytest.raises(NotFound):
            asyncio.run(ask(Digest(name)))


def test_leftovers_of_a_killed_process_go(tmp_path: Path) -> None:
    FileBlobStore(tmp_path)
    leftover = tmp_path / "incoming" / "half"
    leftover.write_bytes(b"ha")
    FileBlobStore(tmp_path)
    assert not leftover.exists()


def test_a_write_that_fails_is_unavailable_and_leaves_nothing(tmp_path: Path) -> None:
    blobs = FileBlobStore(tmp_path)
    digest = sha256(b"data").hexdigest()
    (tmp_path / digest[:2]).write_bytes(b"a file where a directory has to be")
    with pytest.raises(Unavailable, match=digest):
        asyncio.run(blobs.put(b"data"))
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_directory_that_cannot_be_used_is_misconfigured(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Misconfigured, match="cannot be used"):
        FileBlobStore(tmp_path / "file" / "blobs")


# -------------------------------------------------------------------- removal


async def test_blobs_are_listed_by_digest_page_by_page(blobs: BlobStore) -> None:
    refs = sorted(
        [(await blobs.put(b"%d" % number * 100)) for number in range(7)], key=lambda ref: ref.digest
    )
    first = await blobs.stored(None, 3)
    assert [(blob.digest, blob.size) for blob in first] == [(ref.digest, ref.size) for ref in refs[:3]]
    rest = await blobs.stored(first[-1].digest, 100)
    assert [blob.digest for blob in rest] == [ref.digest for ref in refs[3:]]
    assert await blobs.stored(refs[-1].digest, 100) == []


async def test_only_what_was_kept_before_a_time_is_removed(blobs: BlobStore) -> None:
    old, again, asked = [await blobs.put(data) for data in (b"old", b"again", b"asked")]
    before = max(blob.kept_ms for blob in await blobs.stored(None, 10)) + 1
    assert await blobs.remove([old.digest], before - 60_000) == []
    while (await blobs.stored(None, 10))[0].kept_ms < before:
        # Until the clock has moved on: the newest of them is as old as this test.
        first, *_ = await blobs.stored(None, 1)
        await blobs.has(first.digest)
    (kept,) = [blob.digest for blob in await blobs.stored(None, 1)]
    gone = await blobs.remove([old.digest, again.digest, asked.digest, MISSING], before)
    assert set(gone) == {old.digest, again.digest, asked.digest} - {kept}
    assert [blob.digest for blob in await blobs.stored(None, 10)] == [kept]
    for digest in gone:
        assert not await blobs.has(digest)
        with pytest.raises(NotFound):
            await blobs.get(digest)
    await blobs.put(b"old")
    assert await blobs.get(old.digest) == b"old"


async def test_a_put_of_what_is_there_keeps_it(blobs: BlobStore) -> None:
    ref = await blobs.put(b"twice")
    (first,) = await blobs.stored(None, 1)
    before = first.kept_ms + 1
    while (await blobs.stored(None, 1))[0].kept_ms < before:
        assert await blobs.put(b"twice") == ref
    assert await blobs.remove([ref.digest], before) == []


async def test_no_file_is_removed_while_a_backup_copies_them(tmp_path: Path) -> None:
    store = FileBlobStore(tmp_path)
    ref = await store.put(b"data")
    with no_removal(tmp_path), pytest.raises(Unavailable, match="a backup copies the blobs"):
        await store.remove([ref.digest], 1 << 62)
    assert await store.remove([ref.digest], 1 << 62) == [ref.digest]


async def test_puts_and_removals_of_one_blob_at_once_never_lose_what_was_put_last(tmp_path: Path) -> None:
    clock = [0]
    store = FileBlobStore(tmp_path, lambda: clock[0])
    for round_ in range(1, 60):
        await store.put(b"data")
        clock[0] = round_
        # Old enough to go, or put in time: whichever comes first.
        ref, _ = await asyncio.gather(store.put(b"data"), store.remove([DATA], round_))
        assert ref.digest == DATA
        assert await store.get(DATA) == b"data"
