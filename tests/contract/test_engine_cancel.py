"""Cancelling at an engine: the guest is told and has its grace; durability none leaves nothing behind."""

import asyncio
from collections.abc import Sequence

import msgspec

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Durability, Placed
from mvm_ci.domain.outcome import Completed, Released, Stopped
from mvm_ci.journal.entries import CancelSeen, Logged
from mvm_ci.ports.engine import Placement
from tests.integration.engine.fake_guests import script
from tests.integration.engine.fakes import World


def graceful(world: World, job: int, *steps: Sequence[object], grace_ms: int = 30_000) -> Placement:
    placement = world.placement(job, script(*steps))
    spec = msgspec.structs.replace(placement.spec, cancel_grace_ms=grace_ms)
    return msgspec.structs.replace(placement, spec=spec)


def logged(world: World, job: int) -> list[str]:
    return [entry.text for entry in world.entries(job) if isinstance(entry, Logged)]


async def cancelled(world: World, placement: Placement) -> Placed:
    world.pool.place([placement])
    await world.events.wait_started(placement.placed.job)
    world.pool.cancel(placement.placed)
    return placement.placed


async def test_a_sleeping_guest_goes_on_at_once_and_cleans_up(world: World) -> None:
    steps: list[Sequence[object]] = [["log", "x"], ["sleep", 50_000], ["check"], ["log", "clean"]]
    placed = await cancelled(world, graceful(world, 1, *steps))
    assert await world.events.wait_ended(placed.job) == [Stopped()]
    assert logged(world, 1) == ["x", "clean"]
    assert CancelSeen() in world.entries(1)


async def test_a_request_under_way_is_given_up(world: World) -> None:
    world.http.open.clear()
    steps = [["log", "x"], ["http", "GET", "http://a/"], ["check"], ["log", "clean"]]
    placed = await cancelled(world, graceful(world, 1, *steps))
    assert await world.events.wait_ended(placed.job) == [Stopped()]
    assert logged(world, 1) == ["x", "clean"]


async def test_a_wait_for_mail_is_given_up(world: World) -> None:
    steps = [["log", "x"], ["receive"], ["log", "clean"]]
    placed = await cancelled(world, graceful(world, 1, *steps))
    assert await world.events.wait_ended(placed.job) == [Stopped()]
    assert logged(world, 1) == ["x", "clean"]


async def test_who_does_not_listen_is_stopped_when_the_grace_is_over(world: World) -> None:
    placed = await cancelled(world, graceful(world, 1, ["log", "x"], ["spin"], grace_ms=200))
    assert await world.events.wait_ended(placed.job) == [Stopped()]
    world.place(2, script(["echo", 1]))
    await world.events.wait_ended(2)


async def test_without_a_grace_it_is_stopped_at_once(world: World) -> None:
    placed = await cancelled(world, graceful(world, 1, ["log", "x"], ["sleep", 50_000], grace_ms=0))
    assert await world.events.wait_ended(placed.job) == [Stopped()]
    assert world.tail(1) is None or CancelSeen() not in world.entries(1)


async def test_one_that_has_not_begun_is_stopped_at_once(world: World) -> None:
    running = world.place(1, script(["spin"]))
    await world.events.wait_started(1)
    waiting = graceful(world, 2, ["echo", 1])
    world.pool.place([waiting])
    world.pool.cancel(waiting.placed)
    assert await world.events.wait_ended(2) == [Stopped()]
    world.pool.stop(running)
    await world.events.wait_ended(1)


async def test_one_with_a_journal_is_run_to_clean_up(world: World) -> None:
    steps: list[Sequence[object]] = [["log", "x"], ["sleep", 50_000], ["check"], ["log", "clean"]]
    first = graceful(world, 1, *steps)
    world.pool.place([first])
    await world.events.wait_started(1)
    async with asyncio.timeout(30):
        await world.journal.asked.wait()
    world.pool.release_all()
    assert await world.events.wait_ended(1) == [Released()]
    journal = tuple(world.journal.segments[JobId(1)])
    again = msgspec.structs.replace(first, placed=Placed(JobId(1), 2), journal=journal)
    world.pool.place([again])
    world.pool.cancel(again.placed)
    assert await world.events.wait_ended(1, epoch=2) == [Stopped()]


async def test_durability_none_posts_nothing_before_its_end(world: World) -> None:
    steps = [["log", "x"], ["clock"], ["http", "POST", "http://a/"], ["log", "y"]]
    placement = world.placement(1, script(*steps))
    spec = msgspec.structs.replace(placement.spec, durability=Durability.NONE)
    world.pool.place([msgspec.structs.replace(placement, spec=spec)])
    (outcome,) = await world.events.wait_ended(1)
    assert isinstance(outcome, Completed)
    assert world.journal.segments[JobId(1)] == []
    assert logged(world, 1) == ["x", "y"]
