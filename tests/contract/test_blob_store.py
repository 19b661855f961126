"""One suite for every blob store: what `ports.blob_store` promises; and what only files can do wrong."""

import asyncio
import stat
from hashlib import sha256
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mvm_ci.adapters.blobs.files import FileBlobStore
from mvm_ci.adapters.blobs.removal import no_removal
from mvm_ci.domain.errors import BadInput, Misconfigured, NotFound, Unavailable
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


# -------------------------------------------------------------------- piece by piece


async def whole(blobs: BlobStore, digest: Digest, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in blobs.read(digest, start, end)])


async def receive(blobs: BlobStore, *pieces: bytes) -> BlobRef:
    incoming = await blobs.receive()
    for piece in pieces:
        await incoming.write(piece)
    return await incoming.finish(Digest(sha256(b"".join(pieces)).hexdigest()))


@pytest.mark.parametrize("pieces", [(), (b"",), (b"one", b"two"), (bytes(1 << 20),) * 3])
async def test_what_came_piece_by_piece_is_a_blob(blobs: BlobStore, pieces: tuple[bytes, ...]) -> None:
    data = b"".join(pieces)
    ref = await receive(blobs, *pieces)
    assert ref == BlobRef(Digest(sha256(data).hexdigest()), len(data))
    assert await blobs.get(ref.digest) == data
    assert await blobs.size(ref.digest) == len(data)
    assert await whole(blobs, ref.digest) == data
    assert [(one.digest, one.size) for one in await blobs.stored(None, 10)] == [(ref.digest, ref.size)]


async def test_many_receive_the_same_at_once(blobs: BlobStore) -> None:
    refs = await asyncio.gather(*(receive(blobs, b"sa", b"me") for _ in range(20)))
    assert set(refs) == {await blobs.put(b"same")}
    assert len(await blobs.stored(None, 10)) == 1


async def test_a_part_is_read(blobs: BlobStore) -> None:
    data = bytes(range(256)) * 20_000
    ref = await blobs.put(data)
    for start, end in ((0, 5), (7, 7), (100, 3_000_000), (len(data) - 1, None), (5, 1 << 40)):
        assert await whole(blobs, ref.digest, start, end) == data[start:end]


async def test_what_has_another_digest_is_refused_and_not_kept(blobs: BlobStore) -> None:
    incoming = await blobs.receive()
    await incoming.write(b"other data")
    with pytest.raises(BadInput, match="digest"):
        await incoming.finish(DATA)
    given_up = await blobs.receive()
    await given_up.write(b"data")
    await given_up.discard()
    assert await blobs.stored(None, 10) == []
    with pytest.raises(NotFound):
        await whole(blobs, DATA)
    with pytest.raises(NotFound):
        await blobs.size(DATA)


async def test_what_came_again_is_kept(blobs: BlobStore) -> None:
    await receive(blobs, b"data")
    (first,) = await blobs.stored(None, 1)
    before = first.kept_ms + 1
    while (await blobs.stored(None, 1))[0].kept_ms < before:
        await receive(blobs, b"data")
    assert await blobs.remove([DATA], before) == []


# -------------------------------------------------------------------- files


@pytest.mark.parametrize("damage", [b"", b"D" * 3_000_000, b"d" * 2_999_999, b"d" * 2_999_999 + b"D"])
async def test_nobody_reads_all_of_what_is_damaged(tmp_path: Path, damage: bytes) -> None:
    blobs = FileBlobStore(tmp_path)
    data = b"d" * 3_000_000
    ref = await blobs.put(data)
    (await blobs.path(ref.digest)).write_bytes(damage)
    read = 0
    with capture_logs() as logs, pytest.raises(NotFound, match="damaged"):  # noqa: PT012 - what came before
        async for piece in blobs.read(ref.digest):
            read += len(piece)
    assert read < len(data)
    assert [entry["event"] for entry in logs] == ["blob_damaged"]
    # Nobody tries again and again.
    with pytest.raises(NotFound, match="damaged"):
        await blobs.size(ref.digest)
    assert await receive(blobs, data) == ref
    assert await whole(blobs, ref.digest) == data


async def test_leftovers_of_incoming_blobs_go(tmp_path: Path) -> None:
    blobs = FileBlobStore(tmp_path)
    half = await blobs.receive()
    await half.write(b"half")
    assert len(list((tmp_path / "incoming").iterdir())) == 1
    FileBlobStore(tmp_path)
    assert list((tmp_path / "incoming").iterdir()) == []
    await half.discard()


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


async def test_what_is_damaged_is_not_there_until_it_comes_again(tmp_path: Path) -> None:
    blobs = FileBlobStore(tmp_path)
    ref = await blobs.put(b"good")
    (await blobs.path(ref.digest)).write_bytes(b"evil")
    assert await blobs.has(ref.digest), "nobody has looked at it"
    with pytest.raises(NotFound, match="damaged"):
        await blobs.get(ref.digest)
    assert not await blobs.has(ref.digest)
    with pytest.raises(NotFound, match="damaged"):
        await blobs.get(ref.digest)
    incoming = await blobs.receive()
    await incoming.write(b"good")
    await incoming.finish(ref.digest)
    assert await blobs.has(ref.digest)
    assert await blobs.get(ref.digest) == b"good"


async def test_a_disk_that_does_not_read_says_so(tmp_path: Path) -> None:
    blobs = FileBlobStore(tmp_path)
    ref = await blobs.put(b"good")
    file = await blobs.path(ref.digest)
    file.unlink()
    file.mkdir()  # opens, as some files do, and cannot be read
    with pytest.raises(Unavailable, match="cannot be read"):
        async for _ in blobs.read(ref.digest):
            pass


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
    for ask in (blobs.get, blobs.has, blobs.path, blobs.size):
        with pytest.raises(NotFound):
            asyncio.run(ask(Digest(name)))
    with pytest.raises(NotFound):
        asyncio.run(whole(blobs, Digest(name)))


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
