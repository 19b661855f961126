"""A client: one process of a worker that has this engine run what it is given."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from mvm_ci.domain.job import Placed
from mvm_ci.lifecycle.wake import first_of
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import Ended
from mvm_ci.wire import engine as w
from mvm_ci.wire.messages import EndedItem

MAX_UNSEEN: Final = 4_096
"""Ends that may wait until their client has seen them; it can place nothing more then."""
ASK_MS: Final = 250
"""Between two questions for a lease, at least."""
_SHOWN: Final = 8
_ENDS: Final = 64
"""In one event: each with its journal's tail, it is far below what a client reads as one line."""
_QUESTIONS: Final = 16
"""Of those without an answer, the newest so many count."""


class Client:
    """What is told to it, what it has here, and its lease: not valid before the first answer. ``owner``: the
    peer whose client it is; empty: of whoever shows the token. ``all_seen`` is called when it has seen every
    end.
    """

    def __init__(self, name: str, owner: str, clock: Clock, all_seen: Callable[[], object]) -> None:
        self.name = name
        self.owner = owner
        self._all_seen = all_seen
        self.placements: set[Placed] = set()
        self._running: set[Placed] = set()
        self.followed = False
        """Whether a stream is there that tells it what happens."""
        self._follower = 0
        self.silent_since = clock.lease_ms()
        """Since when nobody follows."""
        self._clock = clock
        self._out: list[w.Event] = []
        self._unseen: deque[w.Ended] = deque()
        self._unseen_count = 0
        self._ends = 0
        self._room: w.Room | None = None
        self._ready = asyncio.Event()
        self._questions: dict[int, int] = {}
        self._number = 0
        self._ask_at = 0
        self._asked_ms = 0
        self._until: int | None = None
        self._renewed = asyncio.Event()

    @property
    def shown(self) -> str:
        """Its name for people: who knows all of it may act for it."""
        return self.name[:_SHOWN]

    # ------------------------------------------------------------------ the lease

    def valid(self) -> bool:
        """Whether the worker's own lease has not run out."""
        return self._until is not None and self._clock.lease_ms() < self._until

    async def wait_valid(self) -> None:
        """Returns when it is valid (again)."""
        while not self.valid():
            self.ask_soon()
            self._renewed.clear()
            await self._renewed.wait()

    def answered(self, number: int, left_ms: int) -> None:
        """Its lease was valid for ``left_ms`` after the question was asked, or longer."""
        asked_at = self._questions.pop(number, None)
        if asked_at is None:
            return
        self._questions = {later: at for later, at in self._questions.items() if later > number}
        self._until = asked_at + left_ms
        self._ask_at = self._clock.lease_ms() + max(ASK_MS, min(left_ms // 2, self._say_ms))
        if self.valid():
            self._renewed.set()

    def ask_soon(self) -> None:
        """Somebody waits for the lease."""
        self._ask_at = min(self._ask_at, self._asked_ms + ASK_MS)
        self._ready.set()

    def hang_up(self) -> None:
        """The engine ends: no effect may leave, and nobody follows any more."""
        self._until = None
        self.followed = False
        self._ready.set()

    @property
    def _say_ms(self) -> int:
        return w.SAY_BUSY_MS if self.placements else w.SAY_MS

    # ------------------------------------------------------------------ what it is told

    @property
    def full(self) -> bool:
        """Whether too many of its ends wait."""
        return self._unseen_count >= MAX_UNSEEN

    def started(self, placements: Sequence[Placed]) -> None:
        """Guests of it run."""
        self._running.update(placements)
        self._out.append(w.Started(tuple(placements)))
        self._ready.set()

    def ended(self, ends: Sequence[Ended]) -> None:
        """Placements of it are over."""
        for at in range(0, len(ends), _ENDS):
            part = ends[at : at + _ENDS]
            self._ends += 1
            event = w.Ended(
                self._ends,
                tuple(EndedItem(end.placed, end.outcome, end.tail) for end in part),
                tuple(end.run_ns for end in part),
            )
            self._unseen.append(event)
            self._out.append(event)
        self._unseen_count += len(ends)
        self.gone(end.placed for end in ends)
        self._ready.set()

    def gone(self, placements: Iterable[Placed]) -> None:
        """It has them here no longer."""
        for placed in placements:
            self.placements.discard(placed)
            self._running.discard(placed)

    def seen(self, number: int) -> None:
        """It reports these ends from here on."""
        while self._unseen and self._unseen[0].number <= number:
            self._unseen_count -= len(self._unseen.popleft().items)
        if not self._unseen:
            self._all_seen()

    @property
    def unseen(self) -> int:
        """Ends that it has not seen."""
        return self._unseen_count

    def look(self) -> None:
        """The engine may have other room than before."""
        self._ready.set()

    # ------------------------------------------------------------------ its stream

    def follow(self) -> int:
        """A stream begins, and the one before is over. Returns its number."""
        self._follower += 1
        self.followed = True
        ends = [placed for event in self._unseen for placed in (item.placed for item in event.items)]
        # What was told on a stream before may be lost with it.
        self._out = [w.Has((*self.placements, *ends)), *self._unseen]
        if self._running:
            self._out.insert(1, w.Started(tuple(self._running)))
        self._room = None
        self._questions.clear()
        self._ask_at = 0
        self._ready.set()
        return self._follower

    def left(self, follower: int) -> None:
        """A stream is over."""
        if self.follows(follower):
            self.followed = False
            self.silent_since = self._clock.lease_ms()

    def follows(self, follower: int) -> bool:
        """Whether this is still its newest stream."""
        return self.followed and follower == self._follower

    async def ready(self) -> None:
        """Returns when there may be something to tell."""
        wait_ms = self._ask_at - self._clock.lease_ms()
        if wait_ms > 0:
            await first_of(self._clock, wait_ms, self._ready)

    def take(self, room: w.Room) -> list[w.Event]:
        """All there is to tell now; only for the newest stream."""
        self._ready.clear()
        told: list[w.Event] = []
        if room != self._room:
            self._room = room
            told.append(room)
        told += self._out
        self._out = []
        now = self._clock.lease_ms()
        if now >= self._ask_at:
            self._number += 1
            self._questions[self._number] = now
            if len(self._questions) > _QUESTIONS:
                del self._questions[min(self._questions)]
            self._asked_ms, self._ask_at = now, now + self._say_ms
            told.append(w.LeaseWanted(self._number))
        return told
