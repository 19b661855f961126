"""Trees that a guest can only read: from files by name, or from a tar archive."""

import tarfile
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from typing import Final, NamedTuple

from mvm_ci.files.nodes import Directory, File, Node, Symlink
from mvm_ci.files.paths import MAX_NAME, MAX_PATH

MAX_TREE_ENTRIES: Final = 20_000
_NS: Final = 1_000_000_000


class BadTree(ValueError):
    """What was given is no tree of files."""


class Entry(NamedTuple):
    """One file (``data``), symbolic link (``target``) or, without either, directory. ``path``: relative."""

    path: str
    data: bytes | None = None
    target: str | None = None
    mtime_ns: int = 0


def of_files(files: Mapping[str, bytes]) -> tuple[Entry, ...]:
    """The tree that holds ``files``, by path."""
    return tuple(Entry(path, data) for path, data in files.items())


def of_tar(archive: bytes) -> tuple[Entry, ...]:
    """The tree in an uncompressed tar archive. Raises ``BadTree`` for what is none, and for devices."""
    try:
        with tarfile.open(fileobj=BytesIO(archive), mode="r:") as tar:
            return tuple(_entry(tar, member) for member in tar)
    except (tarfile.TarError, UnicodeError) as error:
        raise BadTree(f"not a tar archive: {error}") from error


def _entry(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    path, mtime_ns = member.name.removeprefix("./"), max(0, int(member.mtime * _NS))
    if member.isdir():
        return Entry(path, mtime_ns=mtime_ns)
    if member.issym():
        return Entry(path, target=member.linkname, mtime_ns=mtime_ns)
    opened = tar.extractfile(member) if member.isreg() or member.islnk() else None
    if opened is None:
        raise BadTree(f"{member.name}: neither a file nor a directory nor a link")
    return Entry(path, opened.read(), mtime_ns=mtime_ns)


def build(tree: Iterable[Entry], number: Callable[[], int], now_ns: int) -> Directory:
    """The read-only directory of ``tree``. ``number``: gives inode numbers; ``now_ns``: the time of
    directories that the tree does not name.

    Raises ``BadTree`` for a path that is none inside the tree, and for two things of one name.
    """
    root = Directory(number(), now_ns, read_only=True)
    for count, entry in enumerate(tree, start=1):
        if count > MAX_TREE_ENTRIES:
            raise BadTree(f"more than {MAX_TREE_ENTRIES} entries")
        names = [name for name in entry.path.split("/") if name not in ("", ".")]
        _check(entry, names)
        parent = root
        for name in names[:-1]:
            parent = _directory(parent, name, entry, number, now_ns)
        if entry.data is None and entry.target is None:
            made: Node = _directory(parent, names[-1], entry, number, now_ns) if names else root
        elif not names or parent.get(names[-1]) is not None:
            raise BadTree(f"{entry.path}: there already")
        else:
            made = (
                File(number(), now_ns, entry.data)
                if entry.target is None
                else Symlink(number(), now_ns, entry.target, read_only=True)
            )
            parent.put(names[-1], made)
        made.atime_ns = made.mtime_ns = made.ctime_ns = entry.mtime_ns or now_ns
    return root


def _check(entry: Entry, names: list[str]) -> None:
    path = entry.path
    if path.startswith("/") or ".." in names or "\0" in path:
        raise BadTree(f"{path!r}: not a path inside the tree")
    if len(path.encode()) > MAX_PATH or any(len(name.encode()) > MAX_NAME for name in names):
        raise BadTree(f"{path[:100]!r}…: longer than a path may be")
    if entry.target is not None and (not entry.target or entry.target[0] == "/" or "\0" in entry.target):
        raise BadTree(f"{path!r}: points out of the tree, to {entry.target!r}")


def _directory(
    parent: Directory, name: str, entry: Entry, number: Callable[[], int], now_ns: int
) -> Directory:
    found = parent.get(name)
    if found is None:
        found = Directory(number(), now_ns, read_only=True)
        parent.put(name, found)
    if not isinstance(found, Directory):
        raise BadTree(f"{entry.path}: {name} is no directory")
    return found
