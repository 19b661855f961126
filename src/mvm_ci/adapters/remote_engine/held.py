"""What a worker has at its engine, or is about to bring there."""

import asyncio
from collections.abc import Collection, Iterable, Sequence

from mvm_ci.domain.grant import Grant
from mvm_ci.domain.job import Placed
from mvm_ci.wire import engine as w


class Held:
    """``waiting``: to be brought, in this order, or not known to have come; ``bringing``: those of them that
    are just being brought; ``there``: those that the engine has; ``started``: whose guests run.

    ``doubtful``: those that were brought, with no answer: the engine may have them. ``wishes``: about some of
    ``waiting``, for the engine once it has them. ``empty``: there is nothing.
    """

    def __init__(self) -> None:
        self.waiting: dict[Placed, Grant] = {}
        self.bringing: set[Placed] = set()
        self.doubtful: set[Placed] = set()
        self.there: set[Placed] = set()
        self.started: set[Placed] = set()
        self.wishes: dict[Placed, w.Stop | w.GiveBack] = {}
        self.empty = asyncio.Event()
        self.empty.set()

    def __bool__(self) -> bool:
        return bool(self.there or self.waiting)

    def __contains__(self, placed: Placed) -> bool:
        return placed in self.there or placed in self.waiting

    def add(self, grants: Iterable[Grant]) -> None:
        """These are to be brought."""
        self.waiting.update({grant.placed: grant for grant in grants if grant.placed not in self.there})
        self._changed()

    def unbrought(self, placed: Placed) -> bool:
        """Whether it has not come to the engine, as far as we know, and is not about to."""
        return placed in self.waiting and placed not in self.bringing

    @property
    def all_unbrought(self) -> list[Placed]:
        """All of these, oldest first."""
        return [placed for placed in self.waiting if placed not in self.bringing]

    def among(self, only: Collection[Placed] | None) -> list[Placed]:
        """All, or of ``only`` those that are here."""
        return [*self.there, *self.waiting] if only is None else [placed for placed in only if placed in self]

    def bring(self, most: int) -> list[Grant]:
        """The next ones to be brought, first what is to end; ``brought`` says what became of it."""
        grants = list(self.waiting.values())
        if self.wishes:
            grants.sort(key=lambda grant: grant.placed not in self.wishes)
        grants = grants[:most]
        self.bringing = {grant.placed for grant in grants}
        return grants

    def brought(self, taken: Sequence[Grant] | None) -> list[tuple[Placed, w.Stop | w.GiveBack]]:
        """The engine has these of them; None: nobody knows. What was wished of any of them meanwhile."""
        if taken is None:
            self.doubtful |= self.bringing & self.waiting.keys()
        for grant in taken or ():
            self._arrive(grant.placed)
        brought, self.bringing = self.bringing, set()
        return [(placed, self.wishes.pop(placed)) for placed in list(self.wishes) if placed in brought]

    def came(self, placements: Iterable[Placed]) -> list[w.Stop | w.GiveBack]:
        """The engine has these; what was wished of any of them. Nothing happens to one that has ended, or was
        dropped, meanwhile.
        """
        wishes: list[w.Stop | w.GiveBack] = []
        for placed in placements:
            self._arrive(placed)
            if placed in self.wishes:
                wishes.append(self.wishes.pop(placed))
        return wishes

    def _arrive(self, placed: Placed) -> None:
        if self.waiting.pop(placed, None) is not None:
            self.there.add(placed)
            self.doubtful.discard(placed)

    def forget(self, placements: Iterable[Placed]) -> None:
        """They are over."""
        for placed in placements:
            self.waiting.pop(placed, None)
            for some in (self.there, self.started, self.doubtful):
                some.discard(placed)
            self.wishes.pop(placed, None)
        self._changed()

    def _changed(self) -> None:
        if self:
            self.empty.clear()
        else:
            self.empty.set()

    def wish_stop(self, placed: Placed, *, cancel: bool) -> None:
        """One that the engine does not have yet is to be stopped there."""
        self.wishes[placed] = w.Stop((placed,), cancel)

    def wish_back(self, placed: Placed, *, running: bool) -> None:
        """One that is just being brought is to come back; being stopped counts more."""
        wish = self.wishes.get(placed)
        if wish is None or (isinstance(wish, w.GiveBack) and running):
            self.wishes[placed] = w.GiveBack((placed,), running)
