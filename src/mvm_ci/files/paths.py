"""From a path to what it names, from a directory downwards: no path leads out of where it starts."""

from typing import Final, NamedTuple

from mvm_ci.files.errors import Errno, FileError
from mvm_ci.files.nodes import Directory, Node, Symlink

MAX_PATH: Final = 4_096
MAX_NAME: Final = 255
"""Bytes of a path, and of one name in it."""
_MAX_LINKS: Final = 40
_UTF8_MOST: Final = 4


class Place(NamedTuple):
    """Where a path leads. ``parent``: None if the path ends in ``.`` or ``..``. ``node``: None if nothing is
    there. ``slash``: it ends in a slash, so it is meant to name a directory.
    """

    parent: Directory | None
    name: str
    node: Node | None
    slash: bool


def look(start: Directory, path: str, *, follow: bool) -> Place:
    """``find`` for those who only look: a link is followed if a slash stands behind it, too."""
    return find(start, path, follow=follow or path.endswith("/"))


def find(start: Directory, path: str, *, follow: bool) -> Place:
    """Where ``path`` leads from ``start``. ``follow``: through a symbolic link at its end, too.

    Raises ``FileError``: also if something on the way is missing, but not if only the last name is.
    """
    todo, slash = _names(path)
    way = [start]
    links = 0
    name = "."
    while todo:
        name = todo.pop()
        if name == ".":
            continue
        if name == "..":
            if len(way) == 1:
                raise FileError(Errno.PERM)
            way.pop()
            continue
        here = way[-1]
        node = here.get(name)
        if isinstance(node, Symlink) and (todo or follow):
            links += 1
            if links > _MAX_LINKS:
                raise FileError(Errno.LOOP)
            more, ends_in_slash = _names(node.target)
            slash = slash or (not todo and ends_in_slash)
            todo += more
            continue
        if not todo:
            return Place(here, name, node, slash)
        if node is None:
            raise FileError(Errno.NOENT)
        if not isinstance(node, Directory):
            raise FileError(Errno.NOTDIR)
        way.append(node)
    return Place(None, name, way[-1], slash)


def _names(path: str) -> tuple[list[str], bool]:
    """The names of a path, last one first, and whether a slash is at its end."""
    if not path:
        raise FileError(Errno.NOENT)
    if path[0] == "/":
        raise FileError(Errno.PERM)
    if "\0" in path:
        raise FileError(Errno.INVAL)
    if _longer(path, MAX_PATH):
        raise FileError(Errno.NAMETOOLONG)
    names = path.split("/")
    if any(_longer(name, MAX_NAME) for name in names):
        raise FileError(Errno.NAMETOOLONG)
    names = [name for name in names if name]
    # A dot in between says nothing; one at the end says that what it is in is a directory.
    return [*names[-1:], *(name for name in reversed(names[:-1]) if name != ".")], path[-1] == "/"


def _longer(text: str, most: int) -> bool:
    return len(text) * _UTF8_MOST > most and len(text.encode()) > most
