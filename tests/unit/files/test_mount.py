"""Trees that are mounted: read like any file, changed by nobody, and refused if they are none."""

import tarfile
from collections.abc import Callable
from io import BytesIO

import pytest

from mvm_ci.files import mount
from mvm_ci.files.errors import Errno, FileError
from mvm_ci.files.handle import Mode
from mvm_ci.files.mount import BadTree, Entry, of_files, of_tar
from mvm_ci.files.nodes import Kind
from mvm_ci.files.system import EPOCH_NS, FileLimits, FileSystem

TREE = of_files({"a.txt": b"one", "d/b.txt": b"two", "d/e/c.txt": b""})


def mounted(*trees: tuple[Entry, ...], limits: FileLimits | None = None) -> FileSystem:
    files = FileSystem(limits)
    for number, tree in enumerate(trees):
        files.mount(f"in{number}", tree)
    return files


def read(files: FileSystem, path: str) -> bytes:
    handle = files.open(files.root, path, Mode.READ | Mode.FOLLOW)
    return handle.read_at(0, 1 << 20)


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, BytesIO(data))
    return out.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mtime = kind, target, 1_600_000_000
    return info


def test_what_is_mounted_is_read() -> None:
    files = mounted(TREE, of_files({"x": b"other"}))
    assert files.root.names() == ("inputs", "tmp")
    assert read(files, "inputs/in0/d/b.txt") == b"two"
    assert read(files, "inputs/in1/x") == b"other"
    assert files.stat(files.root, "inputs/in0/d", follow=True).kind is Kind.DIRECTORY
    inodes = {
        files.stat(files.root, path, follow=True).inode
        for path in ("inputs/in0/d", "inputs/in1/x", "tmp", ".")
    }
    assert len(inodes) == 4


def test_it_counts_for_no_limit() -> None:
    files = mounted(TREE, limits=FileLimits(bytes=1, entries=1))
    assert (files.used, files.entries) == (0, 1)
    files.begin("all")
    files.remove_directory(files.root, "tmp")
    files.undo("all")
    assert (files.used, files.entries) == (0, 1)


def test_nobody_changes_it() -> None:
    files = mounted(TREE)
    root = files.root
    changes: list[tuple[Errno, Callable[[], object]]] = [
        (Errno.ROFS, lambda: files.open(root, "inputs/in0/a.txt", Mode.WRITE)),
        (Errno.ROFS, lambda: files.open(root, "inputs/in0/a.txt", Mode.READ | Mode.TRUNCATE)),
        (Errno.ROFS, lambda: files.open(root, "inputs/in0/new", Mode.CREATE)),
        (Errno.ROFS, lambda: files.open(root, "inputs/new", Mode.CREATE)),
        (Errno.ROFS, lambda: files.make_directory(root, "inputs/in0/d/new")),
        (Errno.ROFS, lambda: files.remove_directory(root, "inputs/in0/d/e")),
        (Errno.ROFS, lambda: files.remove_directory(root, "inputs/in0")),
        (Errno.ROFS, lambda: files.remove_directory(root, "inputs")),
        (Errno.ROFS, lambda: files.unlink(root, "inputs/in0/a.txt")),
        (Errno.ROFS, lambda: files.rename(root, "inputs", root, "moved")),
        (Errno.ROFS, lambda: files.rename(root, "inputs/in0/a.txt", root, "moved")),
        (Errno.ROFS, lambda: files.rename(root, "tmp", root, "inputs/in0/d/e")),
        (Errno.XDEV, lambda: files.link(root, "inputs/in0/a.txt", root, "linked")),
        (Errno.ROFS, lambda: files.link(root, "inputs/in0/a.txt", root, "inputs/in0/linked")),
        (Errno.ROFS, lambda: files.symlink("a.txt", root, "inputs/in0/linked")),
        (Errno.ROFS, lambda: files.set_times_at(root, "inputs/in0/a.txt", 1, 1, follow=True)),
    ]
    for errno, change in changes:
        with pytest.raises(FileError) as caught:
            change()
        assert caught.value.errno is errno
    assert read(files, "inputs/in0/a.txt") == b"one"


def test_an_archive() -> None:
    tree = of_tar(
        archive(
            (member("./d", tarfile.DIRTYPE), b""),
            (member("./d/file"), b"text"),
            (member("d/link", tarfile.SYMTYPE, "../d/file"), b""),
            (member("d/same", tarfile.LNKTYPE, "./d/file"), b""),
        )
    )
    files = mounted(tree)
    assert [read(files, f"inputs/in0/d/{name}") for name in ("file", "link", "same")] == [b"text"] * 3
    assert files.stat(files.root, "inputs/in0/d/file", follow=True).mtime_ns == 1_600_000_000_000_000_000
    assert files.stat(files.root, "inputs/in0", follow=True).mtime_ns == EPOCH_NS


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_an_archive_with_a_device(kind: bytes) -> None:
    with pytest.raises(BadTree, match="neither a file nor a directory nor a link"):
        of_tar(archive((member("x", kind), b"")))


@pytest.mark.parametrize("data", [b"", b"nonsense", b"x" * 10_000])
def test_what_is_no_archive(data: bytes) -> None:
    with pytest.raises(BadTree, match="not a tar archive"):
        of_tar(data)


@pytest.mark.parametrize(
    "entry",
    [
        Entry("/absolute", b""),
        Entry("../up", b""),
        Entry("d/../../up", b""),
        Entry("nul\0", b""),
        Entry("", b""),
        Entry(".", b""),
        Entry("x" * 256, b""),
        Entry("x/" * 3_000 + "x", b""),
        Entry("a.txt", b"again"),
        Entry("d", b"a directory is there"),
        Entry("a.txt/below", b"a file is there"),
        Entry("link", target="/absolute"),
        Entry("link", target=""),
    ],
)
def test_what_is_no_tree(entry: Entry) -> None:
    with pytest.raises(BadTree):
        mounted((*TREE, entry))


def test_a_tree_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mount, "MAX_TREE_ENTRIES", 2)
    with pytest.raises(BadTree, match="more than 2 entries"):
        mounted(TREE)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "in0"])
def test_names_of_mounts(name: str) -> None:
    with pytest.raises(BadTree):
        mounted(TREE).mount(name, TREE)
