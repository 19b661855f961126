"""What is kept to undo changes: each node as it was before its first change since a mark."""

from collections.abc import Mapping
from typing import Any, Final

from mvm_ci.files.handle import Handle
from mvm_ci.files.nodes import Node


class Mark:
    """A moment to go back to. ``inode``: the last number given by then, so newer nodes need no saving."""

    def __init__(self, name: str, inode: int, ticks: int, positions: Mapping[Handle, int]) -> None:
        self.name: Final = name
        self.inode: Final = inode
        self.ticks: Final = ticks
        self.positions: Final = positions
        self.saved: Final[dict[Node, tuple[Any, ...]]] = {}

    def restore(self) -> None:
        """Nodes are again as they were."""
        for node, saved in self.saved.items():
            node.restore(saved)


class Undo:
    """The marks that nobody went back to yet, each inside the one before."""

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks: list[Mark] = []

    def begin(self, mark: Mark) -> None:
        """From here on nodes are saved for ``mark``."""
        self._marks.append(mark)

    def end(self, name: str) -> Mark | None:
        """The mark of that name, which ends, and with it those inside it."""
        for index, mark in enumerate(self._marks):
            if mark.name == name:
                inner = self._marks[index + 1 :]
                del self._marks[index:]
                for later in inner:
                    # What was saved since the inner mark began stands for the outer one, too.
                    for node, saved in later.saved.items():
                        if node.inode <= mark.inode:
                            mark.saved.setdefault(node, saved)
                return mark
        return None

    def save(self, node: Node) -> None:
        """``node`` is about to be changed."""
        if self._marks:
            mark = self._marks[-1]
            if node.inode <= mark.inode and node not in mark.saved:
                mark.saved[node] = node.save()
