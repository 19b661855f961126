"""The load generator against an API whose service times are known: what it says is so.

Time is virtual: how busy the machine is, is nothing that these are about.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import pytest

from mvm_ci.capacity.results import ALONE, Latency, Repetition
from mvm_ci.domain.errors import NotFound, Unavailable
from mvm_ci.domain.statistics import quantile
from mvm_ci.loadtest import channel as channels
from mvm_ci.loadtest import measure
from mvm_ci.loadtest.measure import Shape
from mvm_ci.testing.slow_api import SlowApi, address, measurement, slow_api
from mvm_ci.testing.virtual_time import compute, in_virtual_time

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
CHANCE = random.Random(11)
SERVICES: dict[str, Callable[[], float]] = {
    "fixed": lambda: 0.2,
    "exponential": lambda: CHANCE.expovariate(1 / 0.2),
    "bimodal": lambda: 0.05 if CHANCE.random() < 0.8 else 0.5,
}


def as_served(latency: Latency, plane: SlowApi) -> dict[str, tuple[float, float]]:
    """Percentiles that are further from those that the API had than 1 %, or 1 ms: both."""
    served = sorted(plane.took_ms)
    both = {name: (getattr(latency, name), quantile(served, share)) for name, share in SHARES.items()}
    return {name: pair for name, pair in both.items() if abs(pair[0] - pair[1]) > max(pair[1] * 0.01, 1)}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("shape", [Shape(rate=300.0), Shape(in_flight=50)], ids=["open", "closed"])
@in_virtual_time
async def test_percentiles_are_those_of_the_service_times(service: str, shape: Shape) -> None:
    async with slow_api(SERVICES[service]) as plane, measurement(address(plane), shape, 3.0) as one:
        found = await one.run()
    assert sum(found.latency.buckets.values()) == len(plane.took_ms) > 500
    assert as_served(found.latency, plane) == {}
    assert found.failed == 0
    assert found.measured_s == pytest.approx(3, rel=0.01)
    assert found.bottleneck == ""
    assert found.jobs_per_s == pytest.approx(found.jobs / found.measured_s)


async def stalled(shape: Shape) -> Latency:
    """Latencies of an API that takes 5 ms, and once does nothing for a second."""
    async with slow_api(lambda: 0.005) as plane, measurement(address(plane), shape, 4.0) as one:

        async def stall() -> None:
            await asyncio.sleep(1.5)
            plane.stalls_until = time.perf_counter() + 1.0

        stalls = asyncio.create_task(stall())
        found = await one.run()
        await stalls
    return found.latency


@in_virtual_time
async def test_a_stall_is_seen_by_those_who_would_have_come_in_it() -> None:
    latency = await stalled(Shape(rate=100.0))
    assert latency.p99 > 800
    # A quarter of all requests was due in that second, and waited for half of it.
    assert latency.p90 > 300


@in_virtual_time
async def test_a_closed_loop_does_not_see_it() -> None:
    latency = await stalled(Shape(in_flight=1))
    assert latency.p99 < 500
    assert latency.largest > 900


@in_virtual_time
async def test_a_generator_that_is_held_up_says_so() -> None:
    async with slow_api(lambda: 0.001) as plane, measurement(address(plane), Shape(rate=100.0), 2.0) as one:
        over = asyncio.Event()

        async def busy() -> None:
            while not over.is_set():
                compute(0.1)
                await asyncio.sleep(0.05)

        task = asyncio.create_task(busy())
        found = await one.run()
        over.set()
        await task
    assert "requests left" in found.bottleneck
    assert "before the generator read them" in found.bottleneck
    assert found.late_p99_ms > 20


@in_virtual_time
async def test_a_rate_that_is_too_high_is_told_and_stays_bounded() -> None:
    async with (
        slow_api(lambda: 0.01, places=1) as plane,
        measurement(address(plane), Shape(rate=1000.0), 2.0, connections=40) as one,
    ):
        found = await one.run()
    assert plane.most <= 40
    assert "rate not sustained: 1000 requests a second" in found.overload
    assert "because 40 were under way" in found.overload
    assert found.bottleneck == ""  # it is not the generator that is too slow
    assert not found.steady
    assert found.jobs < 300
    # Those that never left count, too: nearly 2,000 were due, half of them more than a second ago.
    assert sum(found.latency.buckets.values()) == pytest.approx(2000, rel=0.1)
    assert found.latency.p50 > 800


@in_virtual_time
async def test_a_rate_that_fewer_connections_than_wanted_hold_back_is_not_the_cluster_s_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channels, "affordable", lambda wanted: min(wanted, 40))
    async with slow_api(lambda: 1.0) as plane, measurement(address(plane), Shape(rate=100.0), 2.0) as one:
        found = await one.run()
    assert plane.most <= 40
    assert "may open 40 connections, and not 1000: raise its limit of open files" in found.bottleneck
    async with slow_api(lambda: 0.01) as plane, measurement(address(plane), Shape(rate=100.0), 2.0) as one:
        found = await one.run()
    assert found.bottleneck == ""  # it needed no more


@in_virtual_time
async def test_the_warm_up_is_left_out_and_ends_when_throughput_is_steady() -> None:
    began = time.perf_counter()

    def service() -> float:
        return 0.5 if time.perf_counter() - began < 0.5 else 0.01

    async with (
        slow_api(service) as plane,
        measurement(address(plane), Shape(in_flight=5), 1.0, warm_up_s=20.0) as one,
    ):
        found = await one.run()
    assert 0.5 < found.warm_up_s < 20
    assert found.steady
    assert found.latency.largest < 400
    assert found.jobs < len(plane.took_ms)


@in_virtual_time
async def test_an_empty_time_is_not_steady() -> None:
    async with slow_api(lambda: 2.0) as plane, measurement(address(plane), Shape(in_flight=1), 1.0) as one:
        found = await one.run()
    assert (found.jobs, found.steady) == (0, False)
    assert found.latency.largest == pytest.approx(
        2000
    )  # it left in the measured time; its answer was waited for


@in_virtual_time
async def test_answers_that_do_not_come_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "DRAIN_S", 0.2)
    async with slow_api(lambda: 60.0) as plane, measurement(address(plane), Shape(rate=50.0), 1.0) as one:
        found = await one.run()
    assert found.jobs == 0
    assert "had no answer when they were given up" in found.overload
    assert found.latency.largest > 1000
    assert found.latency.p50 > 500


@in_virtual_time
async def test_refused_requests_are_failures_with_their_reason() -> None:
    async with slow_api(lambda: 0.01) as plane, measurement(address(plane), Shape(rate=100.0), 1.5) as one:
        plane.refuses = 20
        found = await one.run()
    assert found.failed == 20
    assert found.reasons == {"queue-full: 10 jobs are all it takes": 20}
    assert found.jobs > 20


@in_virtual_time
async def test_wrong_results_are_failures() -> None:
    async with slow_api(lambda: 0.01) as plane, measurement(address(plane), Shape(in_flight=2), 1.0) as one:
        plane.result = "f" * 16
        found = await one.run()
    assert found.jobs == 0
    assert found.reasons == {"completed with another result than it must have": found.failed}


# ------------------------------------------------------------ what ends it early


@in_virtual_time
async def test_a_cluster_that_dies_is_told_and_what_was_measured_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure, "GONE_S", 0.5)
    async with slow_api(lambda: 0.01) as plane, measurement(address(plane), Shape(rate=50.0), 60.0) as one:
        running = asyncio.create_task(one.run())
        await until(lambda: len(plane.took_ms) > 100)
        await plane.server.stop()
        with pytest.raises(Unavailable, match="the cluster went away: cannot reach"):
            await running
        kept(one.so_far(), least=90)


@in_virtual_time
async def test_a_break_that_is_short_is_survived() -> None:
    async with slow_api(lambda: 0.01) as plane, measurement(address(plane), Shape(in_flight=3), 2.5) as one:
        running = asyncio.create_task(one.run())
        await until(lambda: len(plane.took_ms) > 20)
        for connection in list(plane.server._connections):
            connection.cut()
        found = await running
    assert 0 < found.failed <= 3
    assert found.jobs > 50


@in_virtual_time
async def test_an_interrupted_one_keeps_what_it_measured() -> None:
    async with slow_api(lambda: 0.01) as plane, measurement(address(plane), Shape(in_flight=5), 60.0) as one:
        running = asyncio.create_task(one.run())
        await asyncio.sleep(1.5)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        kept(one.so_far(), least=20)
        assert plane.under_way <= 5


@in_virtual_time
async def test_what_was_too_short_is_nothing() -> None:
    async with slow_api(lambda: 0.01) as plane, measurement(address(plane), Shape(in_flight=5), 60.0) as one:
        assert one.so_far() is None
        running = asyncio.create_task(one.run())
        await until(lambda: len(plane.took_ms) > 5)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert one.so_far() is None


@in_virtual_time
async def test_a_request_that_can_never_succeed_ends_it_at_once() -> None:
    async with slow_api(lambda: 0.01) as plane, measurement(address(plane), Shape(in_flight=2), 60.0) as one:
        plane.refuses, plane.refusal = 1, (404, "not-found", "there is no module m")
        with pytest.raises(NotFound, match="there is no module m"):
            await one.run()


def kept(found: Repetition | None, least: int) -> None:
    assert found is not None
    assert found.jobs >= least
    assert 1 <= found.measured_s < 60
    assert found.usage[-1].part == ALONE
    # Nobody waited for those that were under way.
    assert found.latency.largest < 1_000


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not fact():  # noqa: ASYNC110 - of a fake
            await asyncio.sleep(0.01)
