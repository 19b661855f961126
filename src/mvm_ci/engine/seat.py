"""A place for one runner process: the guests it has, and whether it can take another one."""

import asyncio
from typing import Final

from mvm_ci.engine.live import MAX_GUESTS, Live
from mvm_ci.engine.runner_process import RunnerProcess

SLOT_NS: Final = 20_000_000
"""A slot holds one guest of unknown length, or quick ones that compute for so long together."""


class Seat:
    """``slots``: guests that may compute here at once. ``load_ns``: what those that do take of them; guests
    that wait, or rest, take nothing. ``suspects``: guests here that were in a runner that died.

    ``durable``: what its process is to be told soon, see ``messages.Durable``.

    ``usable``: its process is ready. ``silent_s``: since that said something; ``asked``: whether it is there.
    ``culprit``: its process was killed on this one's account.
    """

    __slots__ = (
        "asked",
        "culprit",
        "durable",
        "filler",
        "index",
        "load_ns",
        "process",
        "silent_s",
        "slots",
        "suspects",
        "tasks",
        "usable",
        "waiting",
    )

    def __init__(self, index: int, slots: int) -> None:
        self.index = index
        self.slots = slots
        self.process: RunnerProcess | None = None
        self.filler: asyncio.Task[None] | None = None
        self.usable = False
        self.tasks: dict[int, Live] = {}
        self.durable: dict[int, int] = {}
        self.load_ns = 0
        self.waiting = 0
        self.suspects = 0
        self.silent_s = 0.0
        self.asked = False
        self.culprit: Live | None = None

    @property
    def most(self) -> int:
        """How many guests may be here, as the most suspected of them has it."""
        return min(live.most for live in self.tasks.values()) if self.suspects else MAX_GUESTS

    @property
    def open(self) -> bool:
        """Whether a slot is free, and its process there."""
        return self.usable and self.load_ns < self.slots * SLOT_NS and len(self.tasks) < self.most

    @property
    def low(self) -> bool:
        """Whether it is open and half a slot is free: quick guests go to it many at a time."""
        return self.open and self.load_ns <= self.slots * SLOT_NS - SLOT_NS // 2

    @property
    def extra(self) -> int:
        """Guests that it has or may take beyond its slots, because so many wait."""
        return max(0, min(self.waiting, self.most - self.slots))

    def fits(self, live: Live) -> bool:
        """Whether ``live`` may be with those who are here, if the seat is open."""
        return len(self.tasks) < live.most

    def take(self, live: Live, weight_ns: int) -> None:
        """It is handed over, and computes."""
        if not self.tasks:
            self.heard()
        live.seat = self.index
        live.weight_ns = weight_ns
        live.waits = live.rests = False
        self.tasks[live.number] = live
        self.load_ns += weight_ns
        if live.doubts:
            self.suspects += 1

    def remove(self, live: Live) -> None:
        """It is over, here."""
        del self.tasks[live.number]
        live.seat = None
        if live.waits:
            self.waiting -= 1
        elif not live.rests:
            self.load_ns -= live.weight_ns
        if live.doubts:
            self.suspects -= 1

    def wait(self, live: Live) -> None:
        """It waits: its slot is free."""
        if not live.waits:
            live.waits = True
            self.waiting += 1
            if not live.rests:
                self.load_ns -= live.weight_ns
            live.rests = False

    def go_on(self, live: Live) -> None:
        """It computes again, whether or not a slot is free."""
        if live.waits:
            live.waits = False
            self.waiting -= 1
            self.load_ns += live.weight_ns

    def rest(self, live: Live) -> None:
        """It is a quick one, and its entries are on their way: most likely it goes on when they are durable.
        Others may have its part of a slot for that moment.
        """
        if live.weight_ns < SLOT_NS and not live.waits and not live.rests:
            live.rests = True
            self.load_ns -= live.weight_ns

    def rested(self, live: Live) -> None:
        """They are durable."""
        if live.rests:
            live.rests = False
            self.load_ns += live.weight_ns

    def not_quick(self, live: Live) -> None:
        """It computes for longer than its module promised."""
        if not live.waits and not live.rests and live.weight_ns < SLOT_NS:
            self.load_ns += SLOT_NS - live.weight_ns
            live.weight_ns = SLOT_NS

    def heard(self) -> None:
        """Its process said something."""
        self.silent_s, self.asked = 0.0, False

    def vacate(self) -> list[Live]:
        """Its process is gone. Returns whom it had: first those that computed, each oldest first."""
        lives = sorted(self.tasks.values(), key=lambda live: live.waits)
        for live in lives:
            self.remove(live)
        self.process = self.culprit = None
        self.durable = {}
        self.usable = False
        return lives
