"""The blob cache: bounded, verified, pinned."""

import hashlib
from pathlib import Path

import pytest

from mvm_ci.domain.errors import Unavailable
from mvm_ci.peer.cache import BlobCache


def blob(number: int, size: int = 100) -> tuple[str, bytes]:
    data = bytes([number]) * size
    return hashlib.sha256(data).hexdigest(), data


def test_bytes_come_back_also_after_a_restart(tmp_path: Path) -> None:
    digest, data = blob(1)
    BlobCache(tmp_path, 1000).put(digest, data)
    again = BlobCache(tmp_path, 1000)
    assert again.get(digest) == data
    assert again.path(digest) == tmp_path / digest
    assert again.get(blob(2)[0]) is None


def test_the_one_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, 300)
    for number in (1, 2, 3):
        cache.put(*blob(number))
    cache.get(blob(1)[0])
    cache.put(*blob(4))
    assert cache.get(blob(2)[0]) is None
    assert all(cache.get(blob(number)[0]) for number in (1, 3, 4))
    assert len(list(tmp_path.iterdir())) == 3


def test_pinned_files_and_the_newest_stay_over_the_limit(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, 100)
    cache.pin(blob(1)[0])
    cache.put(*blob(1))
    cache.put(*blob(2, 500))
    assert cache.get(blob(1)[0])
    assert cache.get(blob(2, 500)[0])
    cache.unpin(blob(1)[0])
    cache.put(*blob(3))
    assert cache.get(blob(1)[0]) is None


def test_damaged_bytes_are_removed(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, 1000)
    digest, data = blob(1)
    cache.put(digest, data)
    (tmp_path / digest).write_bytes(b"other")
    assert cache.get(digest) is None
    assert not (tmp_path / digest).exists()
    cache.put(digest, data)
    assert cache.get(digest) == data


def test_half_a_write_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "abc.new").write_bytes(b"half")
    BlobCache(tmp_path, 1000)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_unavailable(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, 1000)
    tmp_path.rmdir()
    tmp_path.write_bytes(b"in its way")
    with pytest.raises(Unavailable):
        cache.put(*blob(1))
    with pytest.raises(Unavailable):
        BlobCache(tmp_path, 1000)


def test_what_somebody_removed_is_written_again(tmp_path: Path) -> None:
    directory = tmp_path / "blobs"
    directory.mkdir()
    cache = BlobCache(directory, 1000)
    digest, data = blob(1)
    cache.put(digest, data)
    (directory / digest).unlink()
    cache.put(digest, data)
    assert cache.get(digest) == data
    (directory / digest).unlink()
    directory.rmdir()
    assert cache.get(digest) is None
    cache.put(digest, data)
    assert cache.get(digest) == data
