"""A whole load test of a cluster that is played: what it measures, says and leaves, whatever happens to it.

Time is virtual.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from mvm_ci.capacity.results import Result
from mvm_ci.domain.errors import Unavailable
from mvm_ci.loadtest.asked import Load
from mvm_ci.loadtest.run import INTERRUPTED
from mvm_ci.testing.virtual_time import in_virtual_time
from tests.integration.loadtest.played import Fleet, Test, asked, played, run


async def until_it_measures(test: Test) -> None:
    while not any("measuring: " in line for line in test.progress.lines):  # noqa: ASYNC110 - of a fake
        await asyncio.sleep(0.1)


async def interrupted(test: Test) -> Result:
    """Once it measures."""
    running = asyncio.create_task(test.result())
    await until_it_measures(test)
    await asyncio.sleep(3)
    running.cancel()
    return await running


@in_virtual_time
async def test_a_ramp_is_measured_and_kept_after_each_step() -> None:
    async with played() as plane:
        fleet = Fleet(plane)
        test = Test(run(), fleet)
        result = await test.result()
    assert (result.complete, result.ended_by, result.notes) == (True, "", ())
    assert result.cluster.version == "9.9"
    assert [(step.option, step.workers, step.in_flight) for step in result.steps] == [(4, 1, 2), (4, 2, 4)]
    for step in result.steps:
        # So many at once of 50 ms each.
        assert step.jobs_per_s == pytest.approx((step.in_flight or 0) / 0.05, rel=0.1)
        assert step.failed == 0
    assert [(len(one.steps), one.complete) for one in test.kept.results] == [(1, False), (2, False)]


@in_virtual_time
async def test_each_load_finds_a_store_without_the_jobs_of_the_one_before() -> None:
    async with played() as plane:
        await Test(run(), Fleet(plane)).result()
    # Both queues: that of the load, and that of jobs which come before one.
    assert plane.asked == ["scale 1", "delete jobs", "delete jobs", "scale 2", "close"]


@in_virtual_time
async def test_at_a_running_cluster_workers_are_back_before_jobs_are_removed() -> None:
    async with played() as plane:
        test = Test(run(asked=asked(workers=(1,), profiles=("cpu",))), Fleet(plane, ours=False))
        await test.result()
    assert plane.asked == ["scale 1", "close", "delete jobs", "delete jobs", "module removed", "close"]
    assert plane.jobs == {}, "of no queue, those of the calibration neither"
    assert "removing its jobs" in test.progress.phases


@in_virtual_time
async def test_a_module_that_was_there_before_stays() -> None:
    async with played() as plane:
        plane.modules.add("somebody's")
        await Test(run(), Fleet(plane, ours=False)).result()
    assert "module removed" not in plane.asked


@pytest.mark.parametrize(("ahead_ms", "told"), [(5_000.0, "+5.0 s"), (-90_000.0, "-90.0 s"), (100.0, "")])
@in_virtual_time
async def test_clocks_that_differ_are_told(ahead_ms: float, told: str) -> None:
    async with played() as plane:
        plane.ahead_ms = ahead_ms
        result = await Test(run(), Fleet(plane)).result()
    assert result.cluster.clock_ahead_ms == pytest.approx(ahead_ms, abs=500)
    assert bool(result.notes) == bool(told)
    assert told in "".join(result.notes)


@in_virtual_time
async def test_a_cluster_that_dies_in_the_middle_leaves_what_was_measured() -> None:
    async with played() as plane:
        test = Test(run(asked=asked(workers=(1,), measure_s=20.0)), Fleet(plane))
        running = asyncio.create_task(test.result())
        await until_it_measures(test)
        await asyncio.sleep(3)
        await plane.server.stop()
        result = await running
    assert not result.complete
    assert "the cluster went away: cannot reach" in result.ended_by
    (step,) = result.steps
    assert step.ended_by == result.ended_by
    assert step.repetitions[0].jobs > 50
    assert test.kept.results[-1].steps == result.steps


@in_virtual_time
async def test_interrupted_what_was_found_is_kept_before_anything_is_cleaned() -> None:
    async with played() as plane:
        test = Test(run(asked=asked(measure_s=10.0)), Fleet(plane, ours=False))
        result = await interrupted(test)
    assert result.ended_by == INTERRUPTED
    assert result.steps[0].repetitions[0].jobs > 50
    assert [one.steps for one in test.kept.results] == [result.steps]
    assert test.kept.after == [["scale 1"]]
    assert plane.jobs == {}


@in_virtual_time
async def test_interrupted_before_anything_was_measured() -> None:
    async with played() as plane:
        test = Test(run(asked=asked(warm_up_s=60.0)), Fleet(plane))
        running = asyncio.create_task(test.result())
        while "warm-up" not in "".join(test.progress.lines):  # noqa: ASYNC110 - of a fake
            await asyncio.sleep(0.1)
        running.cancel()
        result = await running
    assert (result.complete, result.ended_by) == (False, INTERRUPTED)
    assert [step.repetitions for step in result.steps] == [()]


@contextlib.asynccontextmanager
async def nothing_starts() -> AsyncIterator[Fleet]:
    raise Unavailable("no room for a control plane")
    yield


@in_virtual_time
async def test_a_fleet_that_does_not_start_does_not_end_the_others() -> None:
    async with played() as plane:
        test = Test(run(), Fleet(plane))
        test.fleets.insert(0, nothing_starts)
        result = await test.result()
    assert result.complete
    assert len(result.steps) == 2
    assert result.notes == ("cluster 1 of 2 ended: no room for a control plane",)


@in_virtual_time
async def test_the_last_fleet_that_does_not_start_makes_the_result_partial() -> None:
    async with played() as plane:
        test = Test(run(), Fleet(plane))
        test.fleets.append(nothing_starts)
        result = await test.result()
    assert result.ended_by == "no room for a control plane"
    assert len(result.steps) == 2


@in_virtual_time
async def test_if_nothing_can_be_measured_there_is_no_result() -> None:
    async with played() as plane:
        test = Test(run(), Fleet(plane))
        test.fleets[:] = [nothing_starts]
        with pytest.raises(Unavailable, match="no room"):
            await test.result()
    assert test.kept.results == []


@pytest.mark.parametrize(("kind", "cores"), [("simulated", 0.95), ("simulated", 0.5), ("processes", 1.9)])
@in_virtual_time
async def test_simulated_workers_that_are_the_limit_are_told(kind: str, cores: float) -> None:
    async with played() as plane:
        fleet = Fleet(plane, simulated=kind == "simulated")
        fleet.cores = cores
        result = await Test(run(), fleet).result()
    told = "the process of the simulated workers used 0.95 cores, and one is about all it can use"
    assert [step.bottleneck for step in result.steps] == [told if cores == 0.95 else ""] * 2


@in_virtual_time
async def test_workers_that_came_or_went_during_a_load_are_told() -> None:
    async with played() as plane:
        fleet = Fleet(plane, ours=False)
        fleet.told = "3 workers took jobs at the end of a load for 4"
        result = await Test(run(), fleet).result()
    assert result.notes[0] == f"option 4, 1 worker, noop, 2 requests at once: {fleet.told}"


@in_virtual_time
async def test_the_option_is_what_was_said_it_is() -> None:
    async with played() as plane:
        fleet = Fleet(plane)
        fleet.option = None
        test = Test(run(option=2), fleet)
        result = await test.result()
    assert [step.option for step in result.steps] == [2, 2]
    assert "option 2: 1 workers" in test.progress.phases


@in_virtual_time
async def test_a_profile_that_breaks_twice_is_left_out_after_that() -> None:
    async with played() as plane:
        plane.fails = 10**6
        ramp = asked(workers=(1, 2, 3, 4), loads=(Load(per_worker=1),))
        result = await Test(run(asked=ramp), Fleet(plane)).result()
    assert [step.workers for step in result.steps] == [1, 2]
    assert all(step.failed for step in result.steps)


@in_virtual_time
async def test_what_cannot_be_removed_is_told() -> None:
    async with played() as plane:
        test = Test(run(asked=asked(workers=(1,))), Fleet(plane, ours=False))
        running = asyncio.create_task(test.result())
        await until_it_measures(test)
        plane.silent = 10**6
        result = await running
    assert result.complete
    assert "".join(result.notes).count(": busy with something else") == 3, "two queues and the module"
