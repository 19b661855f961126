"""When requests leave."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from itertools import islice
from typing import Any

import pytest

from mvm_ci.loadtest.arrivals import ClosedLoop, OpenLoop, gaps
from mvm_ci.testing.virtual_time import in_virtual_time


class Asked:
    """Requests that take ``service_s``: when each was due, could leave, and left."""

    def __init__(self, service_s: float, *, succeeds: bool = True) -> None:
        self.times: list[tuple[float, float, float]] = []
        self.service_s = service_s
        self.succeeds = succeeds

    async def __call__(self, due: float, ready: float) -> bool:
        self.times.append((due, ready, time.perf_counter()))
        await asyncio.sleep(self.service_s)
        return self.succeeds


async def run(arrivals: OpenLoop | ClosedLoop, seconds: float) -> None:
    running = asyncio.create_task(arrivals.run())
    await asyncio.sleep(seconds)
    running.cancel()
    await asyncio.wait({running})


def test_gaps_are_those_of_a_poisson_process() -> None:
    drawn = list(islice(gaps(50, 1), 50_000))
    # Mean and standard deviation are the same.
    assert statistics.fmean(drawn) == pytest.approx(0.02, rel=0.02)
    assert statistics.stdev(drawn) == pytest.approx(0.02, rel=0.02)
    assert drawn == list(islice(gaps(50, 1), 50_000))


@in_virtual_time
async def test_an_open_loop_goes_by_the_clock_whatever_becomes_of_requests() -> None:
    asked = Asked(1_000.0)
    arrivals = OpenLoop(asked, 100, 10_000, seed=5)
    began = time.perf_counter()
    await run(arrivals, 20)
    assert len(asked.times) == arrivals.under_way == pytest.approx(2000, rel=0.1)
    assert arrivals.held_s == 0
    # It leaves within a millisecond of when it was due, and was due as the seed says.
    assert all(abs(left - due) < 0.001 and ready == due for due, ready, left in asked.times)
    expected = began
    for (due, _, _), gap in zip(asked.times, gaps(100, 5), strict=False):
        expected += gap
        assert due == pytest.approx(expected)
    await arrivals.drain(0)
    assert arrivals.under_way == 0


@in_virtual_time
async def test_it_waits_for_what_timers_can_tell_apart_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    waits: list[float] = []

    timer = loop.call_later

    def call_later(delay: float, *args: Any, **more: Any) -> asyncio.TimerHandle:
        waits.append(delay)
        return timer(delay, *args, **more)

    monkeypatch.setattr(loop, "call_later", call_later)
    asked = Asked(0.0)
    arrivals = OpenLoop(asked, 2_000, 10_000, seed=5)
    await run(arrivals, 5)
    assert len(asked.times) == pytest.approx(10_000, rel=0.1)
    assert 1_000 < len(waits) < 5_010
    assert min(waits) >= 0.001
    late = [left - due for due, _, left in asked.times]
    assert max(late) < 0.001
    assert statistics.fmean(late) == pytest.approx(0, abs=0.0001)
    await arrivals.drain(0)


@in_virtual_time
async def test_a_full_open_loop_is_held_and_catches_up() -> None:
    asked = Asked(1.0)
    arrivals = OpenLoop(asked, 100, 10, seed=5)
    await run(arrivals, 20)
    assert arrivals.under_way <= 10
    assert arrivals.held_s > 15
    # Ten a second at most; the others are owed, since they were due.
    assert len(asked.times) <= 210
    owed, first = arrivals.owed(time.perf_counter())
    assert owed == pytest.approx(1800, rel=0.15)
    assert first == pytest.approx(time.perf_counter() - owed / 100, abs=0.01)
    # It is the places that they are late by: the loop itself is not.
    assert all(left - ready < 0.001 for _, ready, left in asked.times)
    assert max(left - due for due, _, left in asked.times) > 10
    arrivals.forget()
    assert arrivals.owed(time.perf_counter())[0] == 0
    await arrivals.drain(5)
    assert arrivals.under_way == 0


@in_virtual_time
async def test_a_closed_loop_has_so_many_under_way() -> None:
    chance = random.Random(1)
    most = 0

    async def ask(due: float, ready: float) -> bool:
        nonlocal most
        most = max(most, arrivals.under_way)
        assert due == ready == time.perf_counter()
        await asyncio.sleep(chance.expovariate(10))
        return True

    arrivals = ClosedLoop(ask, 7)
    await run(arrivals, 5)
    assert most == arrivals.under_way == 7
    assert arrivals.owed(time.perf_counter())[0] == 0
    # Nothing new leaves once it is over.
    await arrivals.drain(1_000)
    assert arrivals.under_way == 0


@in_virtual_time
async def test_a_closed_loop_does_not_ask_as_fast_as_it_fails() -> None:
    asked = Asked(0.0, succeeds=False)
    arrivals = ClosedLoop(asked, 2)
    await run(arrivals, 5)
    await arrivals.drain(1)
    assert 20 <= len(asked.times) <= 102


@in_virtual_time
async def test_what_does_not_end_in_time_is_cancelled() -> None:
    asked = Asked(1_000.0)
    arrivals = ClosedLoop(asked, 3)
    await run(arrivals, 1)
    began = time.perf_counter()
    await arrivals.drain(2)
    assert time.perf_counter() - began == pytest.approx(2, abs=0.1)
    assert arrivals.under_way == 0
