"""Soaks of a cluster that is played, and what goes wrong in them: each thing that does is found.

Time is virtual.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mvm_ci.capacity.results import Result, Soak
from mvm_ci.domain.errors import Unavailable
from mvm_ci.loadtest import soak as soaks
from mvm_ci.loadtest.run import INTERRUPTED
from mvm_ci.testing.virtual_time import in_virtual_time
from tests.integration.loadtest.played import Fleet, Test, played, soak_of

SECONDS = 15.0


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaks, "_SWEEP_S", 2.0)


def soak(result: Result) -> Soak:
    assert result.soak is not None
    assert result.soak.step == result.steps[-1]
    return result.soak


async def until(fact: Callable[[], bool]) -> None:
    while not fact():  # noqa: ASYNC110 - of a fake
        await asyncio.sleep(0.1)


def waits_for_the_last(test: Test) -> Callable[[], bool]:
    return lambda: "waiting for the last jobs" in test.progress.phases


@in_virtual_time
async def test_all_is_well() -> None:
    async with played() as plane:
        result = await Test(soak_of(SECONDS), Fleet(plane)).result()
        assert plane.jobs.keys() == {one.id for one in plane.jobs.values() if one.queue.endswith("-before")}
    found = soak(result)
    assert result.complete
    assert (found.lost, found.doubled, found.failed, found.problems) == (0, 0, 0, ())
    assert found.effects == 0
    assert found.completed == found.submitted > 50
    assert not found.broken


@pytest.mark.parametrize("lost", [1, 7])
@in_virtual_time
async def test_jobs_that_the_store_forgot_are_lost(lost: int) -> None:
    async with played() as plane:
        plane.loses = lost
        found = soak(await Test(soak_of(SECONDS), Fleet(plane)).result())
    assert found.lost == lost
    assert found.completed == found.submitted - lost
    assert found.broken


@in_virtual_time
async def test_jobs_that_do_not_end_within_two_minutes_are_lost() -> None:
    async with played() as plane:
        plane.holds = 2
        result = await Test(soak_of(SECONDS), Fleet(plane)).result()
    assert soak(result).lost == 2
    assert result.took_s < 60, "of real time"


@in_virtual_time
async def test_a_job_that_ends_late_is_not_lost() -> None:
    async with played() as plane:
        plane.holds = 1
        test = Test(soak_of(SECONDS), Fleet(plane))
        running = asyncio.create_task(test.result())
        await until(waits_for_the_last(test))
        await asyncio.sleep(60)
        plane.end_all()
        found = soak(await running)
    assert found.lost == 0
    assert found.completed == found.submitted


@in_virtual_time
async def test_jobs_that_nobody_sent_are_found() -> None:
    async with played() as plane:
        plane.doubles = 3
        found = soak(await Test(soak_of(SECONDS), Fleet(plane)).result())
    assert found.lost == 0
    assert found.problems == (f"{found.submitted + 3} jobs ended, and {found.submitted} were submitted",)
    assert found.broken


@in_virtual_time
async def test_a_lost_job_is_found_though_another_is_there_twice() -> None:
    async with played() as plane:
        plane.loses = plane.doubles = 2
        found = soak(await Test(soak_of(SECONDS), Fleet(plane)).result())
    assert found.lost == 2


@in_virtual_time
async def test_jobs_that_failed_are_told_with_their_reason() -> None:
    async with played() as plane:
        plane.fails = 1
        found = soak(await Test(soak_of(SECONDS), Fleet(plane)).result())
    assert found.failed == 1
    assert "failed: it trapped" in found.problems[0]
    assert found.broken


@in_virtual_time
async def test_wrong_results_are_told() -> None:
    async with played() as plane:
        plane.errs = 2
        found = soak(await Test(soak_of(SECONDS), Fleet(plane)).result())
    assert found.problems == ("2 jobs completed with another result than it must have",)
    assert found.broken


@in_virtual_time
async def test_interrupted_in_the_middle_it_tells_what_is_lost_by_then() -> None:
    async with played() as plane:
        plane.loses = 2
        plane.holds = 1
        test = Test(soak_of(600.0), Fleet(plane))
        running = asyncio.create_task(test.result())
        await until(lambda: len(test.kept.results) == 3)
        running.cancel()
        result = await running
    found = soak(result)
    assert (result.ended_by, found.step.ended_by) == (INTERRUPTED, INTERRUPTED)
    assert found.lost == 2, "and not the one that may end"
    assert found.doubled == 0
    assert found.step.repetitions[0].jobs > 20


@in_virtual_time
async def test_interrupted_while_it_waits_for_the_last_jobs_it_keeps_all_that_was_measured() -> None:
    async with played() as plane:
        plane.holds = 1
        test = Test(soak_of(SECONDS), Fleet(plane))
        running = asyncio.create_task(test.result())
        await until(waits_for_the_last(test))
        await asyncio.sleep(5)
        running.cancel()
        result = await running
    found = soak(result)
    assert result.ended_by == INTERRUPTED
    assert found.step.ended_by == "", "the load itself was whole"
    assert found.step.repetitions[0].measured_s == pytest.approx(SECONDS, rel=0.01)
    assert found.lost is None
    assert found.completed == found.submitted - 1


@in_virtual_time
async def test_if_nobody_can_tell_what_became_of_the_last_jobs_that_is_said() -> None:
    async with played() as plane:
        plane.holds = 1
        test = Test(soak_of(SECONDS), Fleet(plane))
        running = asyncio.create_task(test.result())
        await until(waits_for_the_last(test))
        plane.silent = 10**6
        result = await running
    found = soak(result)
    assert result.ended_by == "what became of the last jobs cannot be told: busy with something else"
    assert (found.lost, found.doubled) == (None, 0)
    assert found.step.repetitions
    assert not found.broken


@in_virtual_time
async def test_one_look_that_fails_while_it_waits_is_no_matter() -> None:
    async with played() as plane:
        plane.holds = 1
        test = Test(soak_of(SECONDS), Fleet(plane))
        running = asyncio.create_task(test.result())
        await until(waits_for_the_last(test))
        plane.silent = 3
        await asyncio.sleep(10)
        plane.end_all()
        result = await running
    assert result.complete
    assert soak(result).lost == 0


@pytest.mark.parametrize("failing", [2, 3])
@in_virtual_time
async def test_a_soak_ends_after_three_looks_in_a_row_that_failed(failing: int) -> None:
    async with played() as plane:
        test = Test(soak_of(60.0), Fleet(plane))
        running = asyncio.create_task(test.result())
        await until(lambda: len(test.kept.results) == 2)
        plane.silent = failing
        result = await running
    if failing == 2:
        assert result.complete
    else:
        assert result.ended_by == "what became of the jobs cannot be told any more: busy with something else"
        assert soak(result).step.repetitions[0].measured_s < 30
    assert soak(result).lost == 0


@in_virtual_time
async def test_a_cluster_that_dies_in_the_middle_leaves_a_soak_that_claims_nothing() -> None:
    async with played() as plane:
        test = Test(soak_of(600.0), Fleet(plane))
        running = asyncio.create_task(test.result())
        await until(lambda: len(test.kept.results) == 3)
        await plane.server.stop()
        result = await running
    found = soak(result)
    assert "cannot reach" in result.ended_by
    assert found.lost is None
    assert found.step.repetitions[0].jobs > 20


@in_virtual_time
async def test_what_is_found_is_kept_all_the_while() -> None:
    async with played() as plane:
        test = Test(soak_of(SECONDS), Fleet(plane))
        result = await test.result()
    meanwhile = test.kept.results[:-1]
    assert len(meanwhile) >= 6
    for one in meanwhile:
        assert (one.complete, len(one.steps)) == (False, 1)
        assert (soak(one).lost, soak(one).doubled) == (None, None)
    jobs = [sum(found.jobs for found in one.steps[0].repetitions) for one in meanwhile]
    assert jobs == sorted(jobs)
    assert 0 < jobs[-1] <= soak(result).completed


@in_virtual_time
async def test_workers_are_killed_and_a_kill_under_way_at_the_end_is_finished() -> None:
    async with played() as plane:
        fleet = Fleet(plane)
        fleet.killing_s = 5.0
        result = await Test(soak_of(SECONDS, kill_every_s=8.0), fleet).result()
    losses = soak(result).losses
    assert result.complete
    assert [loss.worker for loss in losses] == ["worker-1"]
    assert losses[0].at_s == pytest.approx(8, abs=1)
    assert losses[0].back_s == pytest.approx(13, abs=1)
    fleet.killing_s = 30.0
    async with played() as plane:
        fleet.plane = plane
        test = Test(soak_of(SECONDS, kill_every_s=8.0), fleet)
        found = soak(await test.result())
    assert [loss.worker for loss in found.losses] == ["worker-2"]
    assert "waiting for a worker in the place of the one killed last" in test.progress.phases


@in_virtual_time
async def test_a_kill_that_fails_is_told_as_that() -> None:
    async with played() as plane:
        fleet = Fleet(plane)
        test = Test(soak_of(60.0, kill_every_s=10.0), fleet)
        running = asyncio.create_task(test.result())
        await until(lambda: len(test.kept.results) == 2)
        fleet.kill_fails = Unavailable("the command that kills worker-1 ended with 3")
        result = await running
    assert result.ended_by == "a worker was to be killed: the command that kills worker-1 ended with 3"
    assert soak(result).lost == 0


@in_virtual_time
async def test_a_process_of_the_cluster_that_ends_ends_the_soak() -> None:
    async with played() as plane:
        fleet = Fleet(plane)
        test = Test(soak_of(60.0), fleet)
        running = asyncio.create_task(test.result())
        await until(lambda: len(test.kept.results) == 2)
        fleet.fails = Unavailable("the worker-1 of this load test has ended: Killed")
        result = await running
    assert result.ended_by == "the worker-1 of this load test has ended: Killed"
    assert soak(result).lost == 0
