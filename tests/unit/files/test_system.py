"""A guest's file system: what follows from the calls alone, its limits, and what nobody gets past."""

import gc
import weakref
from collections.abc import Callable

import pytest

from mvm_ci.files.content import PIECE
from mvm_ci.files.errors import Errno, FileError
from mvm_ci.files.handle import Handle, Mode
from mvm_ci.files.nodes import Directory
from mvm_ci.files.paths import MAX_NAME, MAX_PATH
from mvm_ci.files.system import EPOCH_NS, NOW, STEP_NS, FileLimits, FileSystem

NEW = Mode.CREATE | Mode.READ | Mode.WRITE


def write(files: FileSystem, path: str, data: bytes = b"") -> Handle:
    handle = files.open(files.root, path, NEW)
    assert handle.write(data) == len(data)
    return handle


def refused(errno: Errno, operation: Callable[[], object]) -> None:
    with pytest.raises(FileError) as caught:
        operation()
    assert caught.value.errno is errno


def test_it_begins_with_a_place_for_temporary_files() -> None:
    files = FileSystem()
    assert files.root.names() == ("tmp",)
    assert files.stat(files.root, ".", follow=True).inode == 1
    assert files.stat(files.root, "tmp", follow=True).inode == 2


def test_numbers_and_times_are_counted() -> None:
    files = FileSystem()
    before = files.stat(files.root, "tmp", follow=True)
    write(files, "a")
    a = files.stat(files.root, "a", follow=True)
    write(files, "b")
    b = files.stat(files.root, "b", follow=True)
    assert (before.mtime_ns, a.inode, b.inode) == (EPOCH_NS, 3, 4)
    assert EPOCH_NS < a.mtime_ns < b.mtime_ns < EPOCH_NS + 100 * STEP_NS


def test_reading_changes_no_time() -> None:
    files = FileSystem()
    handle = write(files, "a", b"text")
    before = handle.stat(), files.root.stat()
    handle.read_at(0, 4)
    files.root.names()
    files.stat(files.root, "a", follow=True)
    assert (handle.stat(), files.root.stat()) == before


def test_times_can_be_set() -> None:
    files = FileSystem()
    handle = write(files, "a")
    before = handle.stat()
    files.set_times(handle.node, 5, None)
    assert (handle.stat().atime_ns, handle.stat().mtime_ns) == (5, before.mtime_ns)
    files.set_times_at(files.root, "a", None, NOW, follow=True)
    assert handle.stat().mtime_ns > before.mtime_ns
    assert handle.stat().ctime_ns == handle.stat().mtime_ns


def test_names_are_sorted_and_a_listing_stays_as_it_was_read() -> None:
    files = FileSystem()
    for name in ("b", "ä", "a", "B"):
        write(files, name)
    handle = files.open(files.root, ".", Mode.READ)
    assert handle.names(again=True) == ("B", "a", "b", "tmp", "ä")
    files.unlink(files.root, "a")
    assert "a" in handle.names(again=False)
    assert "a" not in handle.names(again=True)


@pytest.mark.parametrize(
    "path", ["..", "../tmp", "tmp/../..", "tmp/../../tmp", "/", "/tmp", "up", "up/x", "tmp/up/x", "tmp/far"]
)
def test_no_path_leads_out(path: str) -> None:
    files = FileSystem()
    files.make_directory(files.root, "in")
    start = files.open(files.root, "in", Mode.READ).directory
    files.make_directory(start, "tmp")
    files.symlink("..", start, "up")
    files.symlink("../..", start, "tmp/up")
    files.symlink("../../tmp", start, "tmp/far")
    for operation in (
        lambda: files.stat(start, path, follow=True),
        lambda: files.open(start, path, NEW | Mode.FOLLOW),
    ):
        refused(Errno.PERM, operation)


@pytest.mark.parametrize("path", ["../x", "/x", "tmp/../../x", "up/x"])
def test_nothing_is_changed_outside(path: str) -> None:
    files = FileSystem()
    files.make_directory(files.root, "in")
    start = files.open(files.root, "in", Mode.READ).directory
    files.make_directory(start, "tmp")
    files.symlink("..", start, "up")
    write(files, "in/a")
    for operation in (
        lambda: files.make_directory(start, path),
        lambda: files.remove_directory(start, path),
        lambda: files.unlink(start, path),
        lambda: files.rename(start, "a", start, path),
        lambda: files.rename(start, path, start, "b"),
        lambda: files.link(start, "a", start, path),
        lambda: files.link(start, path, start, "b"),
        lambda: files.symlink("a", start, path),
        lambda: files.read_link(start, path),
        lambda: files.set_times_at(start, path, 1, 1, follow=True),
    ):
        refused(Errno.PERM, operation)
    assert files.root.names() == ("in", "tmp")


def test_a_link_points_into_the_tree_only() -> None:
    files = FileSystem()
    refused(Errno.PERM, lambda: files.symlink("/tmp", files.root, "absolute"))
    files.symlink("tmp", files.root, "relative")
    assert files.stat(files.root, "relative", follow=True).inode == 2


def test_links_in_a_circle() -> None:
    files = FileSystem()
    files.symlink("b", files.root, "a")
    files.symlink("a", files.root, "b")
    refused(Errno.LOOP, lambda: files.stat(files.root, "a", follow=True))
    refused(Errno.LOOP, lambda: files.open(files.root, "a/x", NEW))
    assert files.stat(files.root, "a", follow=False).links == 1


@pytest.mark.parametrize(
    ("path", "errno"),
    [
        ("", Errno.NOENT),
        ("a\0b", Errno.INVAL),
        ("x" * (MAX_NAME + 1), Errno.NAMETOOLONG),
        ("ä" * (MAX_NAME // 2 + 1), Errno.NAMETOOLONG),
        ("x/" * (MAX_PATH // 2) + "x", Errno.NAMETOOLONG),
    ],
)
def test_texts_that_are_no_paths(path: str, errno: Errno) -> None:
    files = FileSystem()
    refused(errno, lambda: files.open(files.root, path, NEW))
    assert files.root.names() == ("tmp",)


def test_names_as_long_as_they_may_be() -> None:
    files = FileSystem()
    write(files, "x" * MAX_NAME)
    assert files.stat(files.root, "./" * ((MAX_PATH - 1) // 2) + ".", follow=True).inode == 1


def test_a_file_lives_until_it_is_closed() -> None:
    files = FileSystem()
    handle = write(files, "a", b"text")
    files.unlink(files.root, "a")
    assert (handle.read_at(0, 9), handle.stat().links, files.used) == (b"text", 0, 4)
    handle.close()
    assert files.used == 0


def test_nothing_comes_into_a_directory_that_was_removed() -> None:
    files = FileSystem()
    files.make_directory(files.root, "d")
    removed = files.open(files.root, "d", Mode.READ).directory
    files.remove_directory(files.root, "d")
    refused(Errno.NOENT, lambda: files.open(removed, "x", NEW))
    refused(Errno.NOENT, lambda: files.rename(files.root, "tmp", removed, "x"))


def test_a_directory_does_not_come_into_itself() -> None:
    files = FileSystem()
    files.make_directory(files.root, "d")
    files.make_directory(files.root, "d/e")
    refused(Errno.INVAL, lambda: files.rename(files.root, "d", files.root, "d/e/f"))
    refused(Errno.INVAL, lambda: files.rename(files.root, "d", files.root, "d/f"))


# ---------------------------------------------------------------- limits


def test_bytes_have_a_limit() -> None:
    files = FileSystem(FileLimits(bytes=100))
    handle = write(files, "a", b"x" * 60)
    assert handle.write(b"y" * 60) == 40, "what there is room for is written"
    refused(Errno.NOSPC, lambda: handle.write(b"y"))
    refused(Errno.NOSPC, lambda: write(files, "b", b"z"))
    refused(Errno.NOSPC, lambda: files.symlink("a", files.root, "l"))
    assert handle.write_at(10, b"there is room here") == 18
    handle.resize(50)
    files.symlink("a" * 50, files.root, "l")
    refused(Errno.NOSPC, lambda: handle.resize(51))
    files.unlink(files.root, "l")
    assert files.used == 50


@pytest.mark.parametrize("size", [101, 1 << 40, (1 << 63) - 1])
def test_a_hole_counts_as_if_it_were_filled(size: int) -> None:
    files = FileSystem(FileLimits(bytes=100))
    handle = write(files, "a")
    refused(Errno.NOSPC, lambda: handle.resize(size))
    refused(Errno.NOSPC, lambda: handle.reach(size))
    refused(Errno.NOSPC, lambda: handle.write_at(size, b"x"))
    assert (handle.stat().size, files.used) == (0, 0)


@pytest.mark.parametrize("size", [1 << 63, (1 << 64) - 1])
def test_sizes_beyond_all_measure(size: int) -> None:
    files = FileSystem()
    handle = write(files, "a")
    refused(Errno.FBIG, lambda: handle.resize(size))
    refused(Errno.FBIG, lambda: handle.write_at(size, b"x"))
    assert handle.read_at(size, 1) == b""


def test_a_hole_takes_no_memory() -> None:
    files = FileSystem()
    handle = write(files, "a")
    handle.resize(files.limits.bytes)
    handle.write_at(files.limits.bytes - 1, b"x")
    assert handle.read_at(files.limits.bytes - 3, 9) == b"\0\0x"
    assert len(handle.file.writable._pieces) == 1
    assert files.limits.bytes > 1_000 * PIECE


def test_entries_have_a_limit() -> None:
    files = FileSystem(FileLimits(entries=4))
    write(files, "a")
    files.make_directory(files.root, "d")
    files.symlink("a", files.root, "l")
    for operation in (
        lambda: write(files, "b"),
        lambda: files.make_directory(files.root, "e"),
        lambda: files.symlink("a", files.root, "m"),
        lambda: files.link(files.root, "a", files.root, "n"),
    ):
        refused(Errno.NOSPC, operation)
    files.rename(files.root, "a", files.root, "d/a")
    files.rename(files.root, "l", files.root, "d/a")
    assert files.entries == 3
    write(files, "b")


def test_open_files_have_a_limit() -> None:
    files = FileSystem(FileLimits(opens=2))
    first, _second = write(files, "a"), write(files, "b")
    refused(Errno.MFILE, lambda: files.open(files.root, "a", Mode.READ))
    refused(Errno.MFILE, lambda: write(files, "c"))
    assert files.root.names() == ("a", "b", "tmp")
    first.close()
    files.open(files.root, "a", Mode.READ)


def test_a_million_files_end_at_the_limit() -> None:
    files = FileSystem()

    def million() -> None:
        for number in range(1_000_000):
            files.make_directory(files.root, str(number))

    refused(Errno.NOSPC, million)
    assert len(files.root.names()) == files.entries == files.limits.entries


def test_the_deepest_tree_is_moved_undone_and_freed() -> None:
    files = FileSystem()
    bottom = files.root
    while files.entries < files.limits.entries:
        files.make_directory(bottom, "d")
        made = bottom.get("d")
        assert isinstance(made, Directory)
        bottom = made
    files.begin("all")
    files.remove_directory(files.root, "tmp")
    refused(Errno.INVAL, lambda: files.rename(files.root, "d", bottom, "x"))
    files.rename(files.root, "d", files.root, "moved")
    files.undo("all")
    assert files.entries == files.limits.entries


def test_all_is_freed_at_once() -> None:
    gc.disable()
    try:
        files = FileSystem()
        files.make_directory(files.root, "tmp/d")
        handles = [write(files, "tmp/a", b"text"), files.open(files.root, "tmp/d", Mode.READ)]
        gone = weakref.ref(files), weakref.ref(files.root), weakref.ref(handles[1].directory)
        del files, handles
        assert [one() for one in gone] == [None] * 3
    finally:
        gc.enable()
