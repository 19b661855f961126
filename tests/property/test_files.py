"""A guest's files behave as the system's do: the same operations on both, and the same answers."""

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mvm_ci.files.content import PIECE, Content
from mvm_ci.files.errors import FileError
from mvm_ci.files.handle import Handle, Mode
from mvm_ci.files.nodes import Directory, Kind, Node, Symlink
from mvm_ci.files.system import NOW, FileSystem

name = st.sampled_from(["a", "b", "c"])
part = st.one_of(name, name, name, st.sampled_from([".", "..", ""]))
path = st.builds(
    lambda parts, end: ("/".join(parts) + end).lstrip("/") or ".",  # the system's absolute paths are not ours
    st.lists(part, min_size=1, max_size=4),
    st.sampled_from(["", "", "", "/"]),
)
offset = st.sampled_from([0, 1, 5, 100, PIECE - 1, PIECE, 3 * PIECE + 7])
data = st.sampled_from([b"", b"x", b"some text", bytes(range(256)) * 300])
MODES = {
    Mode.CREATE: os.O_CREAT,
    Mode.EXCLUSIVE: os.O_EXCL,
    Mode.TRUNCATE: os.O_TRUNC,
    Mode.DIRECTORY: os.O_DIRECTORY,
}
modes = st.sets(st.sampled_from(sorted(MODES, key=lambda mode: mode.value)), max_size=3)
KINDS = {Kind.DIRECTORY: stat.S_ISDIR, Kind.FILE: stat.S_ISREG, Kind.SYMLINK: stat.S_ISLNK}
ALIKE = {"ELOOP", "ENOTDIR"}  # why a link that is not followed is no directory


@dataclass(eq=False)
class Open:
    ours: Handle
    theirs: int
    access: int = field(default=os.O_RDONLY)


class AgainstTheSystem(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ours = FileSystem()
        self.ours.remove_directory(self.ours.root, "tmp")
        self.scratch = tempfile.mkdtemp(prefix="mvm-ci-files-")
        # Deep in there, so that no mistake reaches other files.
        self.directory = Path(self.scratch, *"deep" * 3)
        self.directory.mkdir(parents=True)
        self.root = os.open(self.directory, os.O_RDONLY)
        self.open: list[Open] = []

    def teardown(self) -> None:
        for opened in self.open:
            os.close(opened.theirs)
        os.close(self.root)
        shutil.rmtree(self.scratch)

    def both(self, ours: Callable[[], Any], theirs: Callable[[], Any], *paths: str) -> tuple[Any, Any] | None:
        """What both did; None if both refused."""
        try:
            done = ours()
        except FileError as error:
            refused = f"E{error.errno.name}"
        else:
            return done, theirs()
        if refused == "EPERM" and (any(".." in given for given in paths) or self.leads_upwards()):
            return None  # the system would go out of the directory
        try:
            theirs()
        except OSError as error:
            told = errno.errorcode[error.errno or 0]
            # With two paths, or such an end, there may be two reasons, and each tells another one.
            unclear = len(paths) > 1 or any(given.endswith(("/", ".")) for given in paths)
            assert told == refused or unclear or {told, refused} == ALIKE
            return None
        raise AssertionError(f"only ours refused: {refused}")

    def leads_upwards(self) -> bool:
        todo: list[Node] = [self.ours.root]
        while todo:
            node = todo.pop()
            if isinstance(node, Symlink) and ".." in node.target:
                return True
            if isinstance(node, Directory):
                todo += [found for below in node.names() if (found := node.get(below)) is not None]
        return False

    @rule(path=path)
    def make_directory(self, path: str) -> None:
        self.both(
            lambda: self.ours.make_directory(self.ours.root, path),
            lambda: os.mkdir(path, dir_fd=self.root),
            path,
        )

    @rule(path=path)
    def remove_directory(self, path: str) -> None:
        self.both(
            lambda: self.ours.remove_directory(self.ours.root, path),
            lambda: os.rmdir(path, dir_fd=self.root),
            path,
        )

    @rule(path=path)
    def unlink(self, path: str) -> None:
        self.both(
            lambda: self.ours.unlink(self.ours.root, path), lambda: os.unlink(path, dir_fd=self.root), path
        )

    @rule(old=path, new=path)
    def rename(self, old: str, new: str) -> None:
        self.both(
            lambda: self.ours.rename(self.ours.root, old, self.ours.root, new),
            lambda: os.rename(old, new, src_dir_fd=self.root, dst_dir_fd=self.root),
            old,
            new,
        )

    @rule(old=path, new=path)
    def link(self, old: str, new: str) -> None:
        self.both(
            lambda: self.ours.link(self.ours.root, old, self.ours.root, new),
            lambda: os.link(old, new, src_dir_fd=self.root, dst_dir_fd=self.root, follow_symlinks=False),
            old,
            new,
        )

    @rule(to=path, path=path)
    def symlink(self, to: str, path: str) -> None:
        self.both(
            lambda: self.ours.symlink(to, self.ours.root, path),
            lambda: os.symlink(to, path, dir_fd=self.root),
            path,
        )

    @rule(path=path, follow=st.booleans())
    def stat(self, path: str, *, follow: bool) -> None:
        both = self.both(
            lambda: self.ours.stat(self.ours.root, path, follow=follow),
            lambda: os.stat(path, dir_fd=self.root, follow_symlinks=follow),
            path,
        )
        if both is not None:
            ours, theirs = both
            assert KINDS[ours.kind](theirs.st_mode)
            if ours.kind is not Kind.DIRECTORY:
                assert (ours.size, ours.links) == (theirs.st_size, theirs.st_nlink)

    @rule(path=path)
    def read_link(self, path: str) -> None:
        both = self.both(
            lambda: self.ours.read_link(self.ours.root, path),
            lambda: os.readlink(path, dir_fd=self.root),
            path,
        )
        assert both is None or both[0] == both[1]

    @rule(
        path=path,
        how=modes,
        access=st.sampled_from([os.O_RDONLY, os.O_WRONLY, os.O_RDWR]),
        follow=st.booleans(),
    )
    def open_it(self, path: str, how: set[Mode], access: int, *, follow: bool) -> None:
        if {Mode.CREATE, Mode.DIRECTORY} <= how or (Mode.EXCLUSIVE in how and Mode.CREATE not in how):
            return  # systems differ
        mode, flags = Mode(0), access | (0 if follow else os.O_NOFOLLOW)
        for one in how:
            mode, flags = mode | one, flags | MODES[one]
        mode |= {os.O_RDONLY: Mode.READ, os.O_WRONLY: Mode.WRITE, os.O_RDWR: Mode.READ | Mode.WRITE}[access]
        mode |= Mode.FOLLOW if follow else Mode(0)
        both = self.both(
            lambda: self.ours.open(self.ours.root, path, mode),
            lambda: os.open(path, flags, 0o600, dir_fd=self.root),
            path,
        )
        if both is not None:
            self.open.append(Open(*both, access))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 99))
    def close(self, which: int) -> None:
        opened = self.open.pop(which % len(self.open))
        opened.ours.close()
        os.close(opened.theirs)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 99), offset=offset, size=offset)
    def read(self, which: int, offset: int, size: int) -> None:
        opened = self.open[which % len(self.open)]
        both = self.both(
            lambda: opened.ours.read_at(offset, size), lambda: os.pread(opened.theirs, size, offset)
        )
        assert both is None or both[0] == both[1]

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 99), offset=offset, data=data, move=st.booleans())
    def write(self, which: int, offset: int, data: bytes, *, move: bool) -> None:
        opened = self.open[which % len(self.open)]
        if opened.ours.node.kind is Kind.DIRECTORY:
            return  # of two reasons another one is told
        if not move:
            self.both(
                lambda: opened.ours.write_at(offset, data), lambda: os.pwrite(opened.theirs, data, offset)
            )
            return
        opened.ours.position = os.lseek(opened.theirs, offset, os.SEEK_SET)
        self.both(lambda: opened.ours.write(data), lambda: os.write(opened.theirs, data))
        assert opened.ours.position == os.lseek(opened.theirs, 0, os.SEEK_CUR)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 99), size=offset)
    def resize(self, which: int, size: int) -> None:
        opened = self.open[which % len(self.open)]
        if opened.ours.node.kind is not Kind.DIRECTORY:
            self.both(lambda: opened.ours.resize(size), lambda: os.ftruncate(opened.theirs, size))

    @invariant()
    def all_is_the_same(self) -> None:
        assert tree_of(self.ours) == system_tree(self.directory)
        for opened in self.open:
            if opened.ours.node.kind is Kind.FILE:
                assert opened.ours.node.size == os.fstat(opened.theirs).st_size

    @invariant()
    def the_count_is_right(self) -> None:
        before = self.ours.used, self.ours.entries
        self.ours._count()
        assert (self.ours.used, self.ours.entries) == before


def tree_of(files: FileSystem) -> dict[str, object]:
    """All that is there: a file's bytes, a link's target, None for a directory."""
    found: dict[str, object] = {}
    todo: list[tuple[str, Directory]] = [("", files.root)]
    while todo:
        above, directory = todo.pop()
        for below in directory.names():
            node = directory.get(below)
            if isinstance(node, Directory):
                found[above + below] = None
                todo.append((f"{above}{below}/", node))
            elif isinstance(node, Symlink):
                found[above + below] = node.target
            else:
                handle = files.open(directory, below, Mode.READ)
                found[above + below] = handle.read_at(0, handle.node.size)
                handle.close()
    return found


def system_tree(directory: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for above, directories, files in os.walk(directory):
        for below in (*directories, *files):
            path = Path(above, below)
            shown = str(path.relative_to(directory))
            if path.is_symlink():
                found[shown] = os.readlink(path)  # noqa: PTH115 - a path would be told without its slash
            else:
                found[shown] = None if path.is_dir() else path.read_bytes()
    return found


pieces = st.lists(
    st.one_of(
        st.tuples(st.just("write"), offset, data),
        st.tuples(st.just("resize"), offset, st.just(b"")),
        st.tuples(st.just("save"), st.just(0), st.just(b"")),
        st.tuples(st.just("restore"), st.just(0), st.just(b"")),
    ),
    max_size=12,
)


@given(pieces=pieces, offset=offset, size=offset)
def test_a_files_bytes_are_those_of_one_long_row(
    pieces: list[tuple[str, int, bytes]], offset: int, size: int
) -> None:
    content, row = Content(), bytearray()
    kept: list[tuple[Any, bytes]] = []
    for kind, at, data in pieces:
        if kind == "write":
            content.write(at, data)
            if data:
                row.extend(bytes(max(0, at - len(row))))
                row[at : at + len(data)] = data
        elif kind == "resize":
            content.resize(at)
            del row[at:]
            row.extend(bytes(at - len(row)))
        elif kind == "save":
            kept.append((content.save(), bytes(row)))
        elif kept:
            saved, before = kept.pop()
            content.restore(saved)
            row[:] = before
    assert content.size == len(row)
    assert content.read(offset, size) == row[offset : offset + size]
    assert content.read(0, len(row) + 1) == row


operation = st.one_of(
    st.tuples(st.just("mkdir"), path),
    st.tuples(st.just("rmdir"), path),
    st.tuples(st.just("unlink"), path),
    st.tuples(st.just("rename"), path, path),
    st.tuples(st.just("link"), path, path),
    st.tuples(st.just("symlink"), path, path),
    st.tuples(st.just("write"), path, offset, data),
    st.tuples(st.just("cut"), path, offset),
    st.tuples(st.just("keep"), path),
    st.tuples(st.just("touch"), path),
)
operations = st.lists(operation, max_size=10)


class Guest:
    """Does operations, and remembers what it was told."""

    def __init__(self) -> None:
        self.files = FileSystem()
        self.told: list[object] = []
        self.kept: list[Handle] = []

    def do(self, operations: list[tuple[Any, ...]]) -> None:
        for kind, *arguments in operations:
            try:
                self.told.append(getattr(self, kind)(*arguments))
            except FileError as error:
                self.told.append(error.errno)
            else:
                self.told.append(shown(self.files))

    def mkdir(self, path: str) -> None:
        self.files.make_directory(self.files.root, path)

    def rmdir(self, path: str) -> None:
        self.files.remove_directory(self.files.root, path)

    def unlink(self, path: str) -> None:
        self.files.unlink(self.files.root, path)

    def rename(self, old: str, new: str) -> None:
        self.files.rename(self.files.root, old, self.files.root, new)

    def link(self, old: str, new: str) -> None:
        self.files.link(self.files.root, old, self.files.root, new)

    def symlink(self, target: str, path: str) -> None:
        self.files.symlink(target, self.files.root, path)

    def write(self, path: str, offset: int, data: bytes) -> None:
        handle = self.files.open(self.files.root, path, Mode.CREATE | Mode.WRITE | Mode.FOLLOW)
        handle.write_at(offset, data)
        handle.close()

    def cut(self, path: str, size: int) -> None:
        handle = self.files.open(self.files.root, path, Mode.WRITE | Mode.FOLLOW)
        handle.resize(size)
        handle.close()

    def keep(self, path: str) -> None:
        self.kept.append(self.files.open(self.files.root, path, Mode.READ | Mode.FOLLOW))

    def touch(self, path: str) -> None:
        self.files.set_times_at(self.files.root, path, 5, NOW, follow=True)


def shown(files: FileSystem) -> object:
    """All that a guest can see of its files."""
    stats = {path: files.stat(files.root, path, follow=False) for path in tree_of(files)}
    return stats, tree_of(files), files.root.stat(), files.used, files.entries


@settings(max_examples=100)
@given(operations=operations)
def test_the_same_operations_are_told_the_same(operations: list[tuple[Any, ...]]) -> None:
    first, second = Guest(), Guest()
    first.do(operations)
    second.do(operations)
    assert first.told == second.told


@settings(max_examples=150)
@given(before=operations, outer=operations, inner=operations, after=operations)
def test_what_is_undone_never_was(
    before: list[tuple[Any, ...]],
    outer: list[tuple[Any, ...]],
    inner: list[tuple[Any, ...]],
    after: list[tuple[Any, ...]],
) -> None:
    plain, undone = Guest(), Guest()
    plain.do(before)
    undone.do(before)
    kept = len(undone.kept)
    undone.files.begin("outer")
    undone.do(outer)
    undone.files.begin("inner")
    undone.do(inner)
    undone.files.undo("inner")
    undone.do(inner)
    undone.files.undo("outer")
    for handle in undone.kept[kept:]:
        handle.close()
    assert shown(undone.files) == shown(plain.files)
    told = len(undone.told)
    undone.do(after)
    plain_told = len(plain.told)
    plain.do(after)
    assert undone.told[told:] == plain.told[plain_told:]


AgainstTheSystem.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAgainstTheSystem = AgainstTheSystem.TestCase
