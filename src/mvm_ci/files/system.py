"""A guest's file system: a tree of nodes, and what can be done with it.

Nothing here asks a clock or a host: inode numbers are counted, and so are times, which move by a microsecond
with each change. So the same calls make the same files, on whatever machine, and replay needs no record of
them.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from mvm_ci.files.errors import Errno, FileError
from mvm_ci.files.given import GivenFile, build
from mvm_ci.files.handle import Handle, Mode
from mvm_ci.files.nodes import Directory, File, Node, Stat, Symlink, below
from mvm_ci.files.paths import MAX_PATH, Place, find, look
from mvm_ci.files.undo import Mark, Undo

EPOCH_NS: Final = 946_684_800 * 1_000_000_000
"""The time of the first file: the beginning of the year 2000."""
STEP_NS: Final = 1_000
NOW: Final = -1
_MAX_SIZE: Final = (1 << 63) - 1


class FileLimits(msgspec.Struct, frozen=True, kw_only=True):
    """``bytes``: of all files, holes included, and of the texts of symbolic links. ``entries``: names in all
    directories. ``opens``: files and directories that are open at once.
    """

    bytes: int = 256 << 20
    entries: int = 50_000
    opens: int = 4_096


class FileSystem:
    """Files of one execution. Paths are relative to a directory, and none leads out of it; text is UTF-8.

    What is given can only be read. Operations raise ``FileError`` and then have changed nothing.
    """

    __slots__ = ("__weakref__", "_handles", "_inode", "_ticks", "_undo", "entries", "limits", "root", "used")

    def __init__(self, limits: FileLimits | None = None) -> None:
        self.limits: Final = limits or FileLimits()
        self._inode = 0
        self._ticks = 0
        self._handles: dict[Handle, None] = {}
        self._undo = Undo()
        self.used = 0
        self.entries = 0
        self.root: Final = Directory(self._number(), EPOCH_NS)
        self.root.links = 1
        self._add(self.root, "tmp", Directory(self._number(), EPOCH_NS))

    def give(self, files: Iterable[GivenFile]) -> None:
        """Makes ``files`` the directory ``/inputs``, which can only be read and counts for no limit.

        Once, before the guest begins. Raises ``BadTree``.
        """
        self.root.put("inputs", build(files, self._number, EPOCH_NS))

    # ------------------------------------------------------------ looking

    def stat(self, start: Directory, path: str, *, follow: bool) -> Stat:
        """What is known of what ``path`` names."""
        return _there(look(start, path, follow=follow)).stat()

    def read_link(self, start: Directory, path: str) -> str:
        """Where the symbolic link ``path`` points."""
        node = _there(look(start, path, follow=False))
        if not isinstance(node, Symlink):
            raise FileError(Errno.INVAL)
        return node.target

    # ------------------------------------------------------------ opening

    def open(self, start: Directory, path: str, mode: Mode) -> Handle:
        """Opens a file or directory; with ``CREATE`` the file is made if it is not there."""
        self._must_have_room_to_open()
        alone = Mode.CREATE | Mode.EXCLUSIVE in mode
        place = look(start, path, follow=Mode.FOLLOW in mode and not alone)
        node = place.node
        if node is None:
            node = self._created(place, mode)
        elif alone:
            raise FileError(Errno.EXIST)
        elif isinstance(node, Symlink):
            raise FileError(Errno.LOOP)
        elif isinstance(node, Directory):
            if mode & (Mode.CREATE | Mode.TRUNCATE | Mode.WRITE):
                raise FileError(Errno.ISDIR)
        elif place.slash or Mode.DIRECTORY in mode:
            raise FileError(Errno.NOTDIR)
        elif node.read_only and mode & (Mode.WRITE | Mode.TRUNCATE):
            raise FileError(Errno.ROFS)
        if Mode.TRUNCATE in mode and isinstance(node, File):
            self.resize(node, 0)
        return self.open_node(node, mode)

    def open_node(self, node: Node, mode: Mode) -> Handle:
        """Opens what was found, or is open already."""
        self._must_have_room_to_open()
        handle = Handle(self, node, mode)
        self._handles[handle] = None
        node.opens += 1
        return handle

    def closed(self, handle: Handle) -> None:
        """``handle`` is not used any more; told by itself."""
        del self._handles[handle]
        handle.node.opens -= 1
        self._drop_if_gone(handle.node)

    def _created(self, place: Place, mode: Mode) -> File:
        if Mode.CREATE not in mode:
            raise FileError(Errno.NOENT)
        if Mode.DIRECTORY in mode:
            raise FileError(Errno.INVAL)
        if place.slash:
            raise FileError(Errno.ISDIR)
        parent = self._writable_parent(place, Errno.ISDIR)
        node = File(self._number(), self._now())
        self._add(parent, place.name, node)
        return node

    def _must_have_room_to_open(self) -> None:
        if len(self._handles) >= self.limits.opens:
            raise FileError(Errno.MFILE)

    # ------------------------------------------------------------ names

    def make_directory(self, start: Directory, path: str) -> None:
        """Makes an empty directory."""
        place = find(start, path, follow=False)
        if place.node is not None:
            raise FileError(Errno.EXIST)
        self._add(
            self._writable_parent(place, Errno.EXIST), place.name, Directory(self._number(), self._now())
        )

    def remove_directory(self, start: Directory, path: str) -> None:
        """Removes an empty directory."""
        place = find(start, path, follow=False)
        node = _there(place)
        if not isinstance(node, Directory):
            raise FileError(Errno.NOTDIR)
        parent = self._writable_parent(place, Errno.INVAL)
        if node.read_only:
            raise FileError(Errno.ROFS)
        if not node.empty:
            raise FileError(Errno.NOTEMPTY)
        self._remove(parent, place.name)

    def unlink(self, start: Directory, path: str) -> None:
        """Takes a file's or symbolic link's name away; what is open stays until it is closed."""
        place = find(start, path, follow=False)
        if isinstance(_there(place), Directory):
            raise FileError(Errno.ISDIR)
        self._remove(self._writable_parent(place, Errno.ISDIR), place.name)

    def link(self, old_start: Directory, old: str, start: Directory, path: str) -> None:
        """Gives a file one more name."""
        node, place = _there(find(old_start, old, follow=False)), find(start, path, follow=False)
        _must_be_free(place)
        if isinstance(node, Directory):
            raise FileError(Errno.PERM)
        parent = self._writable_parent(place, Errno.EXIST)
        if node.read_only:
            raise FileError(Errno.XDEV)
        self._touch(node)
        self._add(parent, place.name, node)
        node.ctime_ns = parent.ctime_ns

    def symlink(self, target: str, start: Directory, path: str) -> None:
        """Makes a symbolic link. ``target``: relative to where the link is."""
        size = len(target.encode())
        if not target:
            raise FileError(Errno.NOENT)
        if target[0] == "/":
            raise FileError(Errno.PERM)
        if "\0" in target:
            raise FileError(Errno.INVAL)
        if size > MAX_PATH:
            raise FileError(Errno.NAMETOOLONG)
        place = find(start, path, follow=False)
        _must_be_free(place)
        parent = self._writable_parent(place, Errno.EXIST)
        if size > self.limits.bytes - self.used:
            raise FileError(Errno.NOSPC)
        self._add(parent, place.name, Symlink(self._number(), self._now(), target))
        self.used += size

    def rename(self, old_start: Directory, old: str, start: Directory, path: str) -> None:
        """Moves a name; what had the new one is replaced, if it is of the same kind and no full directory."""
        source, place = find(old_start, old, follow=False), find(start, path, follow=False)
        node = _there(source)
        source_parent = self._writable_parent(source, Errno.BUSY)
        parent = self._writable_parent(place, Errno.BUSY)
        if node.read_only:
            raise FileError(Errno.ROFS)
        replaced = _there(place) if place.node is not None else None
        if replaced is node:
            return
        _must_be_replaceable(replaced, node, slash=place.slash)
        if parent.within(node):
            raise FileError(Errno.INVAL)
        if replaced is not None:
            self._remove(parent, place.name)
        for changed in (node, source_parent, parent):
            self._touch(changed)
        parent.put(place.name, source_parent.remove(source.name))
        now = self._now()
        source_parent.mtime_ns = source_parent.ctime_ns = now
        parent.mtime_ns = parent.ctime_ns = node.ctime_ns = now

    # ------------------------------------------------------------ contents

    def room(self, file: File, offset: int) -> int:
        """How many bytes can be put at ``offset``, at least one."""
        if offset > _MAX_SIZE:
            raise FileError(Errno.FBIG)
        fits = file.size + self.limits.bytes - self.used - offset
        if fits <= 0:
            raise FileError(Errno.NOSPC)
        return fits

    def write(self, file: File, offset: int, data: bytes) -> int:
        """Puts ``data`` at ``offset``; returns how many bytes there was room for."""
        if not data:
            return 0
        data = data[: self.room(file, offset)]
        before = file.size
        self._touch(file)
        file.writable.write(offset, data)
        self._changed(file, before)
        return len(data)

    def resize(self, file: File, size: int) -> None:
        """Cuts ``file`` off, or makes a hole at its end."""
        before = file.size
        if size > _MAX_SIZE:
            raise FileError(Errno.FBIG)
        if size - before > self.limits.bytes - self.used:
            raise FileError(Errno.NOSPC)
        self._touch(file)
        file.writable.resize(size)
        self._changed(file, before)

    def set_times(self, node: Node, atime_ns: int | None, mtime_ns: int | None) -> None:
        """Sets what is not None; ``NOW`` stands for the next time of a change."""
        if node.read_only:
            raise FileError(Errno.ROFS)
        self._touch(node)
        now = self._now()
        if atime_ns is not None:
            node.atime_ns = now if atime_ns == NOW else atime_ns
        if mtime_ns is not None:
            node.mtime_ns = now if mtime_ns == NOW else mtime_ns
        node.ctime_ns = now

    def set_times_at(
        self, start: Directory, path: str, atime_ns: int | None, mtime_ns: int | None, *, follow: bool
    ) -> None:
        """The same for what ``path`` names."""
        self.set_times(_there(look(start, path, follow=follow)), atime_ns, mtime_ns)

    # ------------------------------------------------------------ undoing

    def begin(self, name: str) -> None:
        """From here on changes can be undone. Each name is begun once at a time."""
        self._undo.begin(Mark(name, self._inode, self._ticks, {h: h.position for h in self._handles}))

    def undo(self, name: str) -> None:
        """Files are again as they were at ``begin(name)``; nothing if there was none."""
        mark = self._undo.end(name)
        if mark is None:
            return
        for handle in self._handles:
            if handle.node.inode > mark.inode:
                handle.node.forget()
            elif handle in mark.positions:
                handle.position = mark.positions[handle]
        mark.restore()
        self._inode, self._ticks = mark.inode, mark.ticks
        if mark.saved:
            self._count()

    def _count(self) -> None:
        """What is used, counted anew."""
        named = list(below(self.root))
        self.entries = len(named)
        found = dict.fromkeys([*named, *(handle.node for handle in self._handles)])
        self.used = sum(node.size for node in found if not node.read_only)

    # ------------------------------------------------------------ inside

    def _number(self) -> int:
        self._inode += 1
        return self._inode

    def _now(self) -> int:
        self._ticks += 1
        return EPOCH_NS + self._ticks * STEP_NS

    def _touch(self, node: Node) -> None:
        """``node`` is about to be changed."""
        self._undo.save(node)

    def _changed(self, file: File, size_before: int) -> None:
        self.used += file.size - size_before
        file.mtime_ns = file.ctime_ns = self._now()

    def _writable_parent(self, place: Place, otherwise: Errno) -> Directory:
        """The directory in which a name is to change; ``otherwise``: what to say if there is no name."""
        if place.parent is None:
            raise FileError(otherwise)
        if place.parent.read_only:
            raise FileError(Errno.ROFS)
        if place.parent.links == 0:
            raise FileError(Errno.NOENT)
        return place.parent

    def _add(self, parent: Directory, name: str, node: Node) -> None:
        if self.entries >= self.limits.entries:
            raise FileError(Errno.NOSPC)
        self._touch(parent)
        parent.put(name, node)
        self.entries += 1
        parent.mtime_ns = parent.ctime_ns = self._now()

    def _remove(self, parent: Directory, name: str) -> None:
        self._touch(parent)
        self._touch(_named(parent, name))
        node = parent.remove(name)
        self.entries -= 1
        parent.mtime_ns = parent.ctime_ns = self._now()
        self._drop_if_gone(node)

    def _drop_if_gone(self, node: Node) -> None:
        if node.links == 0 and node.opens == 0 and not node.read_only:
            self.used -= node.size


def _there(place: Place) -> Node:
    """What is there, and a directory if a slash says so."""
    if place.node is None:
        raise FileError(Errno.NOENT)
    if place.slash and not isinstance(place.node, Directory):
        raise FileError(Errno.NOTDIR)
    return place.node


def _named(directory: Directory, name: str) -> Node:
    node = directory.get(name)
    if node is None:
        raise KeyError(name)
    return node


def _must_be_free(place: Place) -> None:
    """A name for a file, which no slash can follow."""
    if place.node is not None:
        _there(place)
        raise FileError(Errno.EXIST)
    if place.slash:
        raise FileError(Errno.NOENT)


def _must_be_replaceable(replaced: Node | None, node: Node, *, slash: bool) -> None:
    """``node`` may come to where ``replaced`` is, whose name ends in a ``slash`` or not."""
    if isinstance(node, Directory):
        if replaced is not None and not isinstance(replaced, Directory):
            raise FileError(Errno.NOTDIR)
        if replaced is not None and not replaced.empty:
            raise FileError(Errno.NOTEMPTY)
    elif isinstance(replaced, Directory):
        raise FileError(Errno.ISDIR)
    elif slash:
        raise FileError(Errno.NOTDIR)
    if replaced is not None and replaced.read_only:
        raise FileError(Errno.ROFS)
