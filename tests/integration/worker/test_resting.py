"""A worker that holds nothing: few heartbeats, but one at once when something happens."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mvm_ci.domain.outcome import Completed
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from tests.integration.worker.scripted import HEARTBEAT_MS, LEASE_MS, Bench, Peer, assignment, bench, placed

REST_MS = 120_000


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as made:
        yield made


async def resting(desk: Bench) -> Peer:
    """A worker that has asked for jobs and may rest."""
    desk.start()
    peer = await desk.open()
    await peer.expect(m.Credit)
    await desk.clock.advance(HEARTBEAT_MS)
    await answer(peer, 1, REST_MS)
    return peer


async def answer(peer: Peer, number: int, rest_ms: int = 0) -> None:
    async with asyncio.timeout(10):
        assert (await peer.expect(m.Heartbeat)).number == number
    await peer.send(m.Beat(number, rest_ms))
    await settle()


async def test_a_resting_worker_is_silent_and_its_lease_runs_out(desk: Bench) -> None:
    peer = await resting(desk)
    await desk.clock.advance(LEASE_MS)
    assert not desk.lease.valid()
    await desk.clock.advance(REST_MS - LEASE_MS - 1)
    assert peer.wire.heartbeat == 1
    nothing = asyncio.create_task(peer.receive())
    await settle()
    assert not nothing.done()
    await desk.clock.advance(1)
    assert isinstance(await nothing, m.Heartbeat)


async def test_its_first_job_makes_it_say_a_word_and_effects_wait_for_the_answer(desk: Bench) -> None:
    peer = await resting(desk)
    await desk.clock.advance(60_000)
    await peer.send(m.Assign((assignment(1),)))
    heartbeat = await peer.expect(m.Heartbeat)
    assert list(desk.engine.placements) == [placed(1)]
    effect = asyncio.create_task(desk.lease.until_valid())
    await settle()
    assert not effect.done()
    await peer.send(m.Beat(heartbeat.number))
    await effect


async def test_it_beats_at_the_usual_interval_until_it_holds_nothing(desk: Bench) -> None:
    peer = await resting(desk)
    await desk.clock.advance(60_000)
    await peer.send(m.Assign((assignment(1),)))
    # An answer that crossed the job cannot send it to rest.
    await answer(peer, 2, REST_MS)
    desk.engine.begin(placed(1))
    for number in (3, 4, 5):
        await desk.clock.advance(HEARTBEAT_MS)
        await answer(peer, number)
        assert desk.lease.valid()
    desk.engine.end(Completed(b"1"), placed(1))
    await peer.expect(m.Ended)
    # Not recorded yet: it would be told again after a reconnect, so it is something that it holds.
    await desk.clock.advance(HEARTBEAT_MS)
    await answer(peer, 6, REST_MS)
    await peer.send(m.Recorded((placed(1),)))
    await desk.clock.advance(HEARTBEAT_MS)
    await answer(peer, 7, REST_MS)
    await desk.clock.advance(REST_MS - 1)
    nothing = asyncio.create_task(peer.expect(m.Heartbeat))
    await settle()
    assert not nothing.done()
    nothing.cancel()


async def test_a_resting_worker_whose_runners_are_gone_says_so_soon(desk: Bench) -> None:
    peer = await resting(desk)
    desk.engine.runners_left = 0
    await desk.clock.advance(HEARTBEAT_MS)
    assert (await peer.expect(m.Heartbeat)).runners == 0


async def test_a_resting_worker_notices_a_control_plane_that_is_gone_before_a_lease_is_over(
    desk: Bench,
) -> None:
    peer = await resting(desk)
    await desk.clock.advance(60_000)
    peer.connection.other.lose_peer()  # type: ignore[attr-defined]
    await desk.clock.advance(LEASE_MS - HEARTBEAT_MS)
    await (await desk.open(session=2)).expect(m.Credit)


async def test_a_resting_worker_asks_a_control_plane_that_it_does_not_hear(desk: Bench) -> None:
    peer = await resting(desk)
    near = peer.connection.other  # type: ignore[attr-defined]
    near.mute = True
    await desk.clock.advance(2 * HEARTBEAT_MS - 1)
    await answer(peer, 2, REST_MS)
    near.mute = False
    await desk.clock.advance(REST_MS - 2 * HEARTBEAT_MS)
    nothing = asyncio.create_task(peer.expect(m.Heartbeat))
    await settle()
    assert not nothing.done()
    nothing.cancel()
