"""How a worker leaves: drained, handed over, or at once."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mvm_ci.domain.errors import Misconfigured
from mvm_ci.domain.outcome import Completed, Released
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from tests.integration.worker.scripted import Bench, Peer, assignment, bench, placed


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as made:
        yield made


async def with_job(desk: Bench, **settings: float) -> Peer:
    desk.start(**settings)
    peer = await desk.open()
    await peer.expect(m.Credit)
    await peer.send(m.Assign((assignment(1),)))
    await settle()
    desk.engine.begin(placed(1))
    await peer.expect(m.Started)
    return peer


async def hang_up(desk: Bench, peer: Peer) -> None:
    await peer.expect(m.Goodbye)
    await peer.connection.close(m.CLOSE_DONE, "bye")
    await desk.running
    assert desk.engine.closed


async def test_a_drained_worker_hands_over_what_runs_and_says_goodbye(desk: Bench) -> None:
    peer = await with_job(desk)
    desk.worker.request_stop()
    await peer.expect(m.Draining)
    assert (await peer.expect(m.Ended)).items == (m.EndedItem(placed(1), Released(), None),)
    await peer.send(m.Recorded((placed(1),)))
    await hang_up(desk, peer)


async def test_what_ends_within_the_grace_is_reported_as_it_ended(desk: Bench) -> None:
    peer = await with_job(desk, grace_s=60.0)
    desk.worker.request_stop()
    await peer.expect(m.Draining)
    desk.engine.end(Completed(b"1"), placed(1))
    assert (await peer.expect(m.Ended)).items == (m.EndedItem(placed(1), Completed(b"1"), None),)
    await peer.send(m.Recorded((placed(1),)))
    await hang_up(desk, peer)


async def test_jobs_that_cross_the_draining_come_back(desk: Bench) -> None:
    peer = await with_job(desk, grace_s=60.0)
    desk.worker.request_stop()
    await peer.expect(m.Draining)
    await peer.send(m.Assign((assignment(2),)))  # as if it had been on its way
    assert (await peer.expect(m.Ended)).items == (m.EndedItem(placed(2), Released(), None),)
    desk.engine.end(Completed(b"1"), placed(1))
    await peer.expect(m.Ended)
    await peer.send(m.Recorded((placed(1), placed(2))))
    await hang_up(desk, peer)


async def test_an_operators_drain_gives_back_what_waits_and_keeps_the_worker(desk: Bench) -> None:
    peer = await with_job(desk)
    await peer.send(m.Drain())
    await peer.send(m.Ping(1))
    await peer.expect(m.Pong)
    assert desk.engine.released == 1
    assert not desk.engine.draining
    await peer.send(m.Drain(running=True))
    (ended,) = (await peer.expect(m.Ended)).items
    assert isinstance(ended.outcome, Released)
    assert not desk.engine.draining


async def test_ends_are_handed_over_on_the_next_connection(desk: Bench) -> None:
    peer = await with_job(desk)
    desk.worker.request_stop()
    await peer.expect(m.Ended)
    peer.connection.cut()  # type: ignore[attr-defined]
    again = await desk.open(placed(1))
    await again.expect(m.Draining)
    assert (await again.expect(m.Ended)).items == (m.EndedItem(placed(1), Released(), None),)
    await again.send(m.Recorded((placed(1),)))
    await hang_up(desk, again)


async def test_a_control_plane_that_is_away_does_not_keep_a_worker(desk: Bench) -> None:
    peer = await with_job(desk)
    desk.network.unreachable = True
    peer.connection.cut()  # type: ignore[attr-defined]
    desk.worker.request_stop()
    await desk.clock.advance(60_000)
    await desk.running


async def test_a_second_request_ends_it_at_once(desk: Bench) -> None:
    await with_job(desk, grace_s=3600.0)
    desk.worker.request_stop()
    await settle()
    assert not desk.running.done()
    desk.worker.request_stop()
    await desk.running
    assert desk.engine.closed


async def test_sigterm_asks_for_it(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    os.kill(os.getpid(), signal.SIGTERM)
    await hang_up(desk, peer)


async def test_no_effect_leaves_after_the_end(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    assert desk.lease.valid()
    desk.worker.request_stop()
    await hang_up(desk, peer)
    assert not desk.lease.valid()


async def test_a_second_process_on_the_same_state_is_refused(desk: Bench) -> None:
    desk.start()
    await desk.open()
    first = desk.running
    desk.start()
    with pytest.raises(Misconfigured, match="in use by process"):
        await desk.running
    desk.running = first
    assert not first.done()


async def test_a_port_in_use_ends_the_worker_and_frees_its_state(desk: Bench) -> None:
    desk.start(bind=desk.control.address)
    with pytest.raises(Misconfigured, match="in use"):
        await desk.running
    desk.start()
    await (await desk.open()).expect(m.Credit)


async def test_an_engine_that_cannot_start_ends_the_worker(
    desk: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        await asyncio.sleep(0)
        raise Misconfigured("no runner could be started")

    monkeypatch.setattr(desk, "_make_engine", broken)
    desk.start()
    with pytest.raises(Misconfigured, match="no runner"):
        await desk.running
    assert desk.network.endpoints.keys() == {desk.control.id}


def test_settings_do_not_show_the_token(desk: Bench) -> None:
    assert "hunter2" not in repr(desk.settings(join_token="hunter2"))
