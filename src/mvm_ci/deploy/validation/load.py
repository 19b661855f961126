"""A steady, bounded load of jobs of every kind, and the list of jobs compared with the books."""

import asyncio
import secrets
from itertools import cycle
from typing import Final

from mvm_ci.deploy.validation.bench import Bench, is_over
from mvm_ci.deploy.validation.guest import Program
from mvm_ci.domain.errors import Unavailable
from mvm_ci.wire import api

_EVERY_S: Final = 0.25
_OPEN: Final = 20
"""So many seconds of the load may be open; then it is held back."""
_SWEEP_S: Final = 30.0
_OLD_S: Final = 30.0
"""A job is compared and removed so long after it was submitted."""
_BULK: Final = 1000
KINDS: Final = (
    "compute",
    "steps",
    "compute",
    "family",
    "compute",
    "message",
    "steps",
    "compute",
    "sleep",
    "compute",
)
"""What follows what."""


def program(kind: str) -> Program:
    """A job of a kind."""
    if kind == "family":
        return Program(kind=kind, steps="f2", children=("c20000", "c30000"))
    if kind == "message":
        return Program(kind=kind, steps="trm", word=secrets.token_hex(8))
    if kind == "steps":
        return Program(kind=kind, steps="tr" + "z100tr" * 4)
    if kind == "sleep":
        return Program(kind=kind, steps="tz6000t")
    return Program(kind=kind, steps="c2000000")


class Load:
    """``rate``: jobs a second; ``held_s``: for how long the load was held back."""

    def __init__(self, bench: Bench, rate: float) -> None:
        self.held_s = 0.0
        self.refused = 0
        """Submissions that were refused because something is full."""
        self._bench = bench
        self._rate = rate
        self._kinds = cycle(KINDS)
        self._telling: set[asyncio.Task[None]] = set()

    async def run(self, duration_s: float) -> None:
        """Submits jobs for so long. Raises ``Gone``."""
        bench = self._bench
        end = bench.now_s() + duration_s
        owed = 1.0
        last = bench.now_s()
        async with asyncio.TaskGroup() as group:
            while (now := bench.now_s()) < end:
                owed, last = owed + (now - last) * self._rate, now
                if len(bench.ledger.open) >= max(50, self._rate * _OPEN):
                    self.held_s += _EVERY_S
                    owed = 0.0
                while owed >= 1:
                    owed -= count if (count := min(int(owed), _BULK)) else 1
                    await self._submit(group, count)
                await asyncio.sleep(max(_EVERY_S, min(1.0, 1 / self._rate) / 2))

    async def _submit(self, group: asyncio.TaskGroup, count: int) -> None:
        programs = [program(next(self._kinds)) for _ in range(count)]
        try:
            jobs = await self._bench.submit(programs)
        except Unavailable:
            self.refused += count
            return
        for job, one in zip(jobs, programs, strict=True):
            if one.waits:
                group.create_task(self._bench.tell_later(job))


async def sweep_always(bench: Bench) -> None:
    """Compares, and removes what is settled, until it is cancelled. Raises ``Gone``."""
    while True:
        await asyncio.sleep(_SWEEP_S)
        await sweep(bench, older_s=_OLD_S)


async def sweep(bench: Bench, *, older_s: float = 0.0) -> None:
    """Compares the list of jobs that are older with the books; removes those that are settled."""
    before = (
        round(bench.clock_ms(bench.now_s()) + bench.delays.ahead_ms - older_s * 1000) if older_s else None
    )
    which = bench.selection(before)

    async def ask() -> list[api.JobView]:
        return [view async for view in bench.client.all_jobs(which)]

    done: list[str] = []
    # What is submitted meanwhile is not in the books yet, but later than the bound.
    for view in await bench.patiently(ask):
        bench.ledger.listed(view, bench.now_s())
        entry = bench.ledger.entries.get(view.id)
        of = entry or bench.ledger.entries.get(view.parent or "")
        if of is not None and of.settled_s is not None:
            done.append(view.id)
        elif entry is not None and is_over(view):
            bench.looks.put_nowait(view.id)  # its event may be lost
    for at in range(0, len(done), _BULK):
        part = done[at : at + _BULK]
        await bench.patiently(bench.client.delete_jobs, part)
