"""When a worker counts as getting on: cut off it does, without runners it does not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mvm_ci.peer.progress import LOOK_MS, STUCK_S, PeerProgress
from mvm_ci.testing.clock import FakeClock
from mvm_ci.worker.holdings import Holdings


class Parts:
    """What a worker's progress looks at."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.seconds = 1000.0
        engine: Any = SimpleNamespace(runners=2)
        self.engine = engine
        link: Any = SimpleNamespace(turns=0)
        self.link = link
        self.attached = True
        holdings: Any = SimpleNamespace(
            draining=False, running=(1, 2, 3), outbox=SimpleNamespace(attached=True)
        )
        self.holdings: Holdings = holdings
        self.outbox: Any = holdings.outbox
        self.progress = PeerProgress(self.engine, self.link, self.holdings, self.clock)
        self.progress._seconds = lambda: self.seconds
        self.progress._turned = self.seconds

    async def gets_on(self) -> bool:
        """Whether it is told now."""
        task = asyncio.ensure_future(self.progress())
        await asyncio.sleep(0)
        told = task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return told


@pytest.fixture
async def parts() -> Parts:
    return Parts()


async def test_it_says_what_it_does(parts: Parts) -> None:
    assert await parts.progress() == "connected, 3 jobs run or wait here"
    parts.outbox.attached = False
    assert await parts.progress() == "cut off from the control plane, 3 jobs run or wait here"
    parts.holdings.draining = True
    assert await parts.progress() == "draining, 3 jobs run or wait here"


async def test_cut_off_for_days(parts: Parts) -> None:
    parts.outbox.attached = False
    for _ in range(10_000):
        parts.seconds += 30
        parts.link.turns += 1
        assert await parts.gets_on()


async def test_in_one_session_for_days(parts: Parts) -> None:
    for _ in range(10_000):
        parts.seconds += 30
        assert await parts.gets_on()
    # Its end is not the end of patience.
    parts.outbox.attached = False
    parts.seconds += 30
    assert await parts.gets_on()


async def test_its_way_hangs(parts: Parts) -> None:
    assert await parts.gets_on()
    parts.outbox.attached = False
    parts.seconds += STUCK_S - 1
    assert await parts.gets_on()
    parts.seconds += 1
    assert not await parts.gets_on()
    parts.link.turns += 1
    assert await parts.gets_on()


async def test_nothing_can_run(parts: Parts) -> None:
    parts.engine.runners = 0
    asked = asyncio.ensure_future(parts.progress())
    await parts.clock.advance(100 * LOOK_MS)
    assert not asked.done()
    assert parts.progress.status == "no runner is ready, 3 jobs run or wait here"
    parts.engine.runners = 1
    await parts.clock.advance(LOOK_MS)
    assert await asked == "connected, 3 jobs run or wait here"
