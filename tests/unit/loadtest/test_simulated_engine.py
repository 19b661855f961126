"""What of the contract of ``ports.engine.Engine`` can be asked of an engine that runs no guests."""

import asyncio

import pytest
from msgspec.structs import replace

from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import Durability, JobSpec, Placed
from mvm_ci.domain.outcome import OVERDUE, Completed, Failed, Released, Stopped
from mvm_ci.journal.codec import decode_data, split
from mvm_ci.journal.entries import Began, Finished
from mvm_ci.loadtest.simulated_engine import RESULT, SimulatedEngine
from mvm_ci.ports.engine import Engine, Placement
from mvm_ci.testing.clock import FakeClock
from tests.integration.engine.fakes import Events

FOR_EVER = 3600.0


def placement(number: int, epoch: int = 1) -> Placement:
    spec = JobSpec(module=Digest("5" * 64), input=b"in")
    return Placement(placed=Placed(JobId(number), epoch), attempt=1, spec=spec)


class World:
    def __init__(self, service_s: float, slots: int = 1) -> None:
        self.events = Events()
        self.engine: Engine = SimulatedEngine(
            slots=slots, service_s=service_s, events=self.events, clock=FakeClock()
        )

    def place(self, *numbers: int) -> list[Placed]:
        placements = [placement(number) for number in numbers]
        self.engine.place(placements)
        return [one.placed for one in placements]


async def test_each_placement_starts_and_completes_once() -> None:
    world = World(0.0, slots=3)
    placed = world.place(*range(1, 101))
    assert await world.events.wait_ended(*range(1, 101)) == [Completed(RESULT)] * 100
    assert world.events.starts == placed


async def test_starts_are_told_before_the_end_and_not_while_it_is_placed() -> None:
    world = World(0.0)
    (placed,) = world.place(1)
    assert world.events.starts == []
    await world.events.wait_started(1)
    assert placed not in world.events.ends
    await world.events.wait_ended(1)


async def test_no_more_run_at_once_than_there_are_slots() -> None:
    world = World(FOR_EVER, slots=2)
    placed = world.place(1, 2, 3)
    await world.events.wait_started(2)
    assert world.events.starts == placed[:2]
    world.engine.stop(placed[0])
    await world.events.wait_started(3)
    assert await world.events.wait_ended(1) == [Stopped()]


async def test_an_end_has_the_journal_of_a_guest_that_did_nothing() -> None:
    world = World(0.0)
    world.place(1)
    await world.events.wait_ended(1)
    tail = world.events.ends[Placed(JobId(1), 1)].tail
    assert tail is not None
    assert (tail.first, tail.count) == (0, 2)
    began, finished = decode_data(tail.data)
    assert isinstance(began, Began)
    assert finished == Finished(RESULT, None)


async def test_a_job_that_moved_here_goes_on_with_its_journal() -> None:
    world = World(0.0)
    began = Began(3, Digest("5" * 64), Digest("6" * 64), b"s" * 32, 0)
    world.engine.place([replace(placement(1, epoch=2), journal=tuple(split([began], 0)))])
    await world.events.wait_ended(1, epoch=2)
    tail = world.events.ends[Placed(JobId(1), 2)].tail
    assert tail is not None
    assert (tail.first, decode_data(tail.data)) == (1, [Finished(RESULT, None)])


async def test_a_job_without_a_journal_leaves_none() -> None:
    world = World(0.0)
    one = placement(1)
    world.engine.place([replace(one, spec=replace(one.spec, durability=Durability.NONE))])
    await world.events.wait_ended(1)
    assert world.events.ends[one.placed].tail is None


async def test_a_job_fails_at_its_deadline() -> None:
    world = World(FOR_EVER)
    world.engine.place([replace(placement(1), left_ms=1)])
    assert await world.events.wait_ended(1) == [Failed(OVERDUE)]


@pytest.mark.parametrize("order", ["stop", "cancel"])
async def test_running_and_waiting_ones_are_stopped(order: str) -> None:
    world = World(FOR_EVER)
    placed = world.place(1, 2)
    await world.events.wait_started(1)
    for one in placed:
        getattr(world.engine, order)(one)
    assert await world.events.wait_ended(1, 2) == [Stopped()] * 2


async def test_stopping_and_dropping_what_is_unknown_does_nothing() -> None:
    world = World(0.0)
    world.engine.stop(Placed(JobId(99), 1))
    world.engine.drop([Placed(JobId(99), 1)])
    world.place(1)
    await world.events.wait_ended(1)
    assert len(world.events.ends) == 1


async def test_dropped_placements_are_not_reported_and_leave_their_slot() -> None:
    world = World(FOR_EVER)
    one, two = world.place(1, 2)
    await world.events.wait_started(1)
    world.engine.drop([one, two])
    world.engine.place([placement(1, epoch=2)])
    await world.events.wait_started(1, epoch=2)
    assert world.events.ends == {}


async def test_what_has_not_started_is_released() -> None:
    world = World(FOR_EVER)
    one, two, _ = world.place(1, 2, 3)
    await world.events.wait_started(1)
    world.engine.release_waiting([one, two])
    assert await world.events.wait_ended(2) == [Released()]
    world.engine.release_all()
    assert await world.events.wait_ended(1, 3) == [Released()] * 2


async def test_draining_hands_over_and_takes_nothing_more() -> None:
    world = World(FOR_EVER)
    world.place(1, 2)
    await world.events.wait_started(1)
    await world.engine.drain(0.0)
    assert await world.events.wait_ended(1, 2) == [Released()] * 2
    world.place(3)
    assert await world.events.wait_ended(3) == [Released()]


async def test_draining_lets_a_job_end_in_its_grace() -> None:
    world = World(0.01)
    world.place(1)
    await world.events.wait_started(1)
    await world.engine.drain(30.0)
    assert await world.events.wait_ended(1) == [Completed(RESULT)]


async def test_once_closed_nothing_is_told() -> None:
    world = World(0.0)
    world.place(1, 2)
    await world.engine.close()
    for _ in range(10):
        await asyncio.sleep(0)
    assert world.events.ends == {}
