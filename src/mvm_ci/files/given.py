"""Files that a guest is given and can only read."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from mvm_ci.files.content import Given
from mvm_ci.files.nodes import Directory, File
from mvm_ci.files.paths import MAX_NAME, MAX_PATH


class BadTree(ValueError):
    """What was given is no tree of files."""


class GivenFile(NamedTuple):
    """One file. ``path``: where, relative to what it is given in."""

    path: str
    content: Given


def build(files: Iterable[GivenFile], number: Callable[[], int], now_ns: int) -> Directory:
    """The read-only directory with ``files``. ``number``: gives inode numbers; ``now_ns``: the time of all.

    Raises ``BadTree`` for a path that is none inside the directory, and for two things of one name.
    """
    root = Directory(number(), now_ns, read_only=True)
    for entry in files:
        *above, last = _names(entry.path)
        parent = root
        for name in above:
            found = parent.get(name)
            if found is None:
                found = Directory(number(), now_ns, read_only=True)
                parent.put(name, found)
            if not isinstance(found, Directory):
                raise BadTree(f"{entry.path}: {name} is no directory")
            parent = found
        if parent.get(last) is not None:
            raise BadTree(f"{entry.path}: there already")
        parent.put(last, File(number(), now_ns, entry.content))
    return root


def _names(path: str) -> list[str]:
    names = path.split("/")
    if "\0" in path or not {"", ".", ".."}.isdisjoint(names):
        raise BadTree(f"{path!r}: not a path inside the tree")
    if len(path.encode()) > MAX_PATH or any(len(name.encode()) > MAX_NAME for name in names):
        raise BadTree(f"{path[:100]!r}…: longer than a path may be")
    return names
