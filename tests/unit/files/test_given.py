"""Files that a guest is given: read like any file, changed by nobody, and refused if they are none."""

from collections.abc import Callable

import pytest

from mvm_ci.files.errors import Errno, FileError
from mvm_ci.files.given import BadTree
from mvm_ci.files.handle import Mode
from mvm_ci.files.nodes import Kind
from mvm_ci.files.system import EPOCH_NS, FileLimits, FileSystem
from mvm_ci.testing.files import given

FILES = {"a.txt": b"one", "d/b.txt": b"two", "d/e/c.txt": b""}


def having(files: dict[str, bytes], limits: FileLimits | None = None) -> FileSystem:
    system = FileSystem(limits)
    system.give(given(files))
    return system


def read(files: FileSystem, path: str) -> bytes:
    handle = files.open(files.root, path, Mode.READ | Mode.FOLLOW)
    return handle.read_at(0, 1 << 20)


def test_what_is_given_is_read() -> None:
    files = having(FILES)
    assert files.root.names() == ("inputs", "tmp")
    assert read(files, "inputs/d/b.txt") == b"two"
    found = [files.stat(files.root, path, follow=True) for path in ("inputs/d", "inputs/a.txt", "tmp", ".")]
    assert [stat.kind for stat in found] == [Kind.DIRECTORY, Kind.FILE, Kind.DIRECTORY, Kind.DIRECTORY]
    assert len({stat.inode for stat in found}) == 4
    assert (found[1].size, found[1].mtime_ns) == (3, EPOCH_NS)


def test_it_counts_for_no_limit() -> None:
    files = having(FILES, FileLimits(bytes=1, entries=1))
    assert (files.used, files.entries) == (0, 1)
    files.begin("all")
    files.remove_directory(files.root, "tmp")
    files.undo("all")
    assert (files.used, files.entries) == (0, 1)


def test_nobody_changes_it() -> None:
    files = having(FILES)
    root = files.root
    changes: list[tuple[Errno, Callable[[], object]]] = [
        (Errno.ROFS, lambda: files.open(root, "inputs/a.txt", Mode.WRITE)),
        (Errno.ROFS, lambda: files.open(root, "inputs/a.txt", Mode.READ | Mode.TRUNCATE)),
        (Errno.ROFS, lambda: files.open(root, "inputs/new", Mode.CREATE)),
        (Errno.ROFS, lambda: files.open(root, "inputs/d/new", Mode.CREATE)),
        (Errno.ROFS, lambda: files.make_directory(root, "inputs/d/new")),
        (Errno.ROFS, lambda: files.remove_directory(root, "inputs/d/e")),
        (Errno.ROFS, lambda: files.remove_directory(root, "inputs/d")),
        (Errno.ROFS, lambda: files.remove_directory(root, "inputs")),
        (Errno.ROFS, lambda: files.unlink(root, "inputs/a.txt")),
        (Errno.ROFS, lambda: files.rename(root, "inputs", root, "moved")),
        (Errno.ROFS, lambda: files.rename(root, "inputs/a.txt", root, "moved")),
        (Errno.ROFS, lambda: files.rename(root, "tmp", root, "inputs/d/e")),
        (Errno.XDEV, lambda: files.link(root, "inputs/a.txt", root, "linked")),
        (Errno.ROFS, lambda: files.link(root, "inputs/a.txt", root, "inputs/linked")),
        (Errno.ROFS, lambda: files.symlink("a.txt", root, "inputs/linked")),
        (Errno.ROFS, lambda: files.set_times_at(root, "inputs/a.txt", 1, 1, follow=True)),
    ]
    for errno, change in changes:
        with pytest.raises(FileError) as caught:
            change()
        assert caught.value.errno is errno
    assert read(files, "inputs/a.txt") == b"one"


@pytest.mark.parametrize(
    "path",
    [
        "/absolute",
        "../up",
        "d/../../up",
        "nul\0",
        "",
        ".",
        "d/",
        "x" * 256,
        "x/" * 3_000 + "x",
        "d",
        "a.txt/below",
    ],
)
def test_what_is_no_tree(path: str) -> None:
    with pytest.raises(BadTree):
        having({**FILES, path: b""})


def test_two_of_one_name() -> None:
    with pytest.raises(BadTree, match="there already"):
        FileSystem().give((*given(FILES), *given({"a.txt": b""})))
