"""What a file system is made of: files, directories and symbolic links."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, Final, NamedTuple
from weakref import ref

from mvm_ci.files.content import Content, Given


class Kind(Enum):
    """What a node is."""

    DIRECTORY = auto()
    FILE = auto()
    SYMLINK = auto()


class Stat(NamedTuple):
    """What is known of a node. Times: Unix time in nanoseconds. ``size``: bytes; 0 for a directory."""

    kind: Kind
    inode: int
    links: int
    size: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int


class Node:
    """Anything that can have a name. ``links``: its names, ``opens``: who holds it open; without both it is
    gone.
    """

    __slots__ = ("atime_ns", "ctime_ns", "inode", "links", "mtime_ns", "opens", "read_only")
    kind: Kind

    def __init__(self, inode: int, now_ns: int, *, read_only: bool) -> None:
        self.inode: Final = inode
        self.atime_ns = self.mtime_ns = self.ctime_ns = now_ns
        self.links = 0
        self.opens = 0
        self.read_only: Final = read_only

    @property
    def size(self) -> int:
        """Bytes, as ``Stat`` has them."""
        return 0

    def stat(self) -> Stat:
        """All that is known of it."""
        return Stat(self.kind, self.inode, self.links, self.size, self.atime_ns, self.mtime_ns, self.ctime_ns)

    def forget(self) -> None:
        """It never was; who holds it open finds nothing in it."""
        self.links = 0

    def save(self) -> tuple[Any, ...]:
        """What ``restore`` takes."""
        return self.atime_ns, self.mtime_ns, self.ctime_ns, self.links

    def restore(self, saved: tuple[Any, ...]) -> None:
        """Becomes what it was."""
        self.atime_ns, self.mtime_ns, self.ctime_ns, self.links = saved[:4]


class File(Node):
    """A regular file."""

    __slots__ = ("content",)
    kind = Kind.FILE

    def __init__(self, inode: int, now_ns: int, given: Given | None = None) -> None:
        """``given``: the content of a file that can only be read."""
        super().__init__(inode, now_ns, read_only=given is not None)
        self.content: Content | Given = Content() if given is None else given

    @property
    def size(self) -> int:
        return self.content.size

    @property
    def writable(self) -> Content:
        """The content of a file that is not ``read_only``."""
        assert isinstance(self.content, Content)  # noqa: S101 - who writes has opened it for writing
        return self.content

    def forget(self) -> None:
        super().forget()
        self.content = Content()

    def save(self) -> tuple[Any, ...]:
        return *super().save(), self.writable.save()

    def restore(self, saved: tuple[Any, ...]) -> None:
        super().restore(saved)
        self.writable.restore(saved[4])


class Symlink(Node):
    """A symbolic link."""

    __slots__ = ("target",)
    kind = Kind.SYMLINK

    def __init__(self, inode: int, now_ns: int, target: str) -> None:
        super().__init__(inode, now_ns, read_only=False)
        self.target: Final = target

    @property
    def size(self) -> int:
        return len(self.target.encode())


class Directory(Node):
    """A directory."""

    __slots__ = ("__weakref__", "_listed", "_names", "_nodes", "_parent")
    kind = Kind.DIRECTORY

    def __init__(self, inode: int, now_ns: int, *, read_only: bool = False) -> None:
        super().__init__(inode, now_ns, read_only=read_only)
        # Weak, so that a tree is freed at once when nobody has it any more.
        self._parent: ref[Directory] | None = None
        self._nodes: dict[str, Node] = {}
        self._names: list[str] = []  # sorted
        self._listed: tuple[str, ...] | None = ()

    @property
    def parent(self) -> "Directory | None":
        """The directory that it is in; None for the root, and for one that was removed."""
        return self._parent() if self._parent is not None else None

    def get(self, name: str) -> Node | None:
        """What has this name."""
        return self._nodes.get(name)

    def put(self, name: str, node: Node) -> None:
        """Gives ``node`` a name that is free."""
        self._nodes[name] = node
        insort(self._names, name)
        self._listed = None
        node.links += 1
        if isinstance(node, Directory):
            node.moved(self)

    def remove(self, name: str) -> Node:
        """Takes a name away."""
        node = self._nodes.pop(name)
        del self._names[bisect_left(self._names, name)]
        self._listed = None
        node.links -= 1
        if isinstance(node, Directory):
            node.moved(None)
        return node

    def moved(self, parent: "Directory | None") -> None:
        """It is in ``parent`` now."""
        self._parent = ref(parent) if parent is not None else None

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        if self._listed is None:
            self._listed = tuple(self._names)
        return self._listed

    def within(self, other: Node) -> bool:
        """Whether it is ``other`` or somewhere below it."""
        at: Directory | None = self
        while at is not None and at is not other:
            at = at.parent
        return at is not None

    @property
    def empty(self) -> bool:
        """Whether nothing is in it."""
        return not self._nodes

    def forget(self) -> None:
        super().forget()
        self._parent, self._nodes, self._names, self._listed = None, {}, [], ()

    def save(self) -> tuple[Any, ...]:
        return *super().save(), self._parent, dict(self._nodes)

    def restore(self, saved: tuple[Any, ...]) -> None:
        super().restore(saved)
        self._parent, self._nodes = saved[4:]
        self._names, self._listed = sorted(self._nodes), None


def below(root: Directory) -> Iterator[Node]:
    """All that can be changed below ``root``, once for each of its names."""
    todo = [root]
    while todo:
        directory = todo.pop()
        for name in directory.names():
            node = directory.get(name)
            if node is not None and not node.read_only:
                yield node
                if isinstance(node, Directory):
                    todo.append(node)
