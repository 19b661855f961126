"""A worker's sessions: what it says, what it keeps, and how it comes back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mvm_ci.domain.errors import Misconfigured, Refused, Unavailable
from mvm_ci.domain.outcome import Completed, Stopped
from mvm_ci.domain.segment import Append
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from tests.integration.worker.scripted import (
    HEARTBEAT_MS,
    LEASE_MS,
    Bench,
    assignment,
    bench,
    done,
    placed,
    segment,
)

DONE = Completed(b"1")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as made:
        yield made


async def test_a_worker_has_its_session_before_its_engine_runs_and_asks_for_jobs_only_then(
    desk: Bench,
) -> None:
    desk.engine_can_start.clear()
    desk.start()
    peer = await desk.open()
    await desk.clock.advance(HEARTBEAT_MS)
    assert isinstance(await peer.receive(), m.Heartbeat)
    desk.engine_can_start.set()
    assert (await peer.expect(m.Credit)).more == 4


async def test_a_further_connection_waits_for_a_session_but_not_for_ever(desk: Bench) -> None:
    desk.start()
    await desk.ready.wait()
    with pytest.raises(Unavailable, match="there is no session with the control plane"):
        await desk.link.dial(m.ALPN, 0.02)
    dialling = asyncio.create_task(desk.link.dial(m.ALPN, 10))
    await desk.open()
    await desk.control.accept()
    made = await dialling
    assert made is not await desk.link.connection()
    assert made.path() is not None


async def test_a_worker_says_who_it_is_and_asks_for_its_slots_and_two_more(desk: Bench) -> None:
    desk.start(join_token="secret")
    peer = await desk.peer()
    hello = await peer.welcome()
    assert (hello.name, hello.slots, hello.join_token, hello.running) == ("w1", 2, "secret", ())
    assert hello.previous is None
    assert len(hello.incarnation) == 32
    assert (await peer.expect(m.Credit)).more == 4


async def test_a_job_runs_and_its_credit_comes_back_with_its_end(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    await peer.expect(m.Credit)
    await peer.send(m.Assign((assignment(1), assignment(2))))
    await settle()
    assert list(desk.engine.placements) == [placed(1), placed(2)]
    desk.engine.begin(placed(1), placed(2))
    assert (await peer.expect(m.Started)).placements == (placed(1), placed(2))
    desk.engine.end(DONE, placed(1))
    assert (await peer.expect(m.Ended)).items == (m.EndedItem(placed(1), DONE, None),)
    assert (await peer.expect(m.Credit)).more >= 1


async def test_more_jobs_are_asked_for_when_guests_begin_to_wait(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    await peer.expect(m.Credit)
    jobs = [assignment(job) for job in range(1, 5)]
    await peer.send(m.Assign(tuple(jobs)))
    await settle()
    desk.engine.begin(placed(1), placed(2))
    await peer.expect(m.Started)
    desk.engine.extra = 2
    desk.engine.events.slots_freed()
    assert await peer.expect(m.Credit) == m.Credit(2, 2)


async def test_a_start_is_not_told_when_its_end_goes_out_with_it(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    await peer.expect(m.Credit)
    await peer.send(m.Assign((assignment(1), assignment(2))))
    await settle()
    desk.engine.begin(placed(1), placed(2))
    desk.engine.end(DONE, placed(1))
    assert (await peer.receive()) == m.Started((placed(2),))
    assert isinstance(await peer.receive(), m.Ended)


async def test_appends_of_one_write_are_one_message_and_each_gets_its_answer(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    appends = [desk.journal.append(placed(job), segment(0)) for job in (1, 2, 3)]
    append = await peer.expect(m.Append)
    assert [item.placed.job for item in append.items] == [1, 2, 3]
    await peer.send(m.Appended((Append.DONE, Append.STALE, Append.GAP)))
    assert [await append for append in appends] == [Append.DONE, Append.STALE, Append.GAP]


async def test_what_was_not_answered_goes_out_again_after_a_cut(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    await peer.expect(m.Credit)
    await peer.send(m.Assign((assignment(1), assignment(2), assignment(3))))
    await settle()
    desk.engine.begin(placed(1), placed(2), placed(3))
    desk.engine.end(DONE, placed(1))
    appending = desk.journal.append(placed(2), segment(0))
    await peer.expect(m.Ended)
    await settle()
    peer.connection.cut()  # type: ignore[attr-defined]

    later = desk.journal.append(placed(3), segment(0))
    again = await desk.peer()
    hello = await again.welcome(placed(1), placed(2), placed(3))
    assert set(hello.running) == {placed(1), placed(2), placed(3)}
    assert (await again.expect(m.Started)).placements == (placed(2), placed(3))
    resent = await again.expect(m.Append)
    assert [item.placed for item in resent.items] == [placed(2), placed(3)]
    assert (await again.expect(m.Ended)).items[0].placed == placed(1)
    await again.send(done(2), m.Recorded((placed(1),)))
    assert (await appending, await later) == (Append.DONE, Append.DONE)

    again.connection.cut()  # type: ignore[attr-defined]
    third = await desk.peer()
    hello = await third.welcome(placed(2), placed(3))
    assert set(hello.running) == {placed(2), placed(3)}


async def test_what_a_new_session_does_not_keep_is_dropped_without_a_word(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    await peer.expect(m.Credit)
    await peer.send(m.Assign((assignment(1), assignment(2), assignment(3))))
    await settle()
    desk.engine.begin(placed(1), placed(2), placed(3))
    desk.engine.end(DONE, placed(3))
    appending = desk.journal.append(placed(1), segment(0))
    await peer.expect(m.Ended)
    peer.connection.cut()  # type: ignore[attr-defined]
    again = await desk.peer()
    await again.welcome(session=2)
    assert await appending is Append.STALE
    assert (await again.expect(m.Credit)).more >= 4
    assert set(desk.engine.dropped) == {placed(1), placed(2), placed(3)}
    assert desk.engine.placements == {}


@pytest.mark.parametrize("where", ["before-hello", "before-welcome", "after-welcome", "in-assign"])
async def test_a_cut_in_any_phase_is_followed_by_a_new_session(desk: Bench, where: str) -> None:
    desk.start()
    if where == "before-hello":
        desk.network.unreachable = True
        await desk.clock.advance(1_000)
        desk.network.unreachable = False
    else:
        peer = await desk.peer()
        if where != "before-welcome":
            await peer.welcome()
        if where == "in-assign":
            await peer.expect(m.Credit)
            await peer.stream.write(b"\x10\0\0\0half")
        peer.connection.cut()  # type: ignore[attr-defined]
    again = await desk.open()
    await again.expect(m.Credit)
    await again.send(m.Assign((assignment(1),)))
    await settle()
    assert list(desk.engine.placements) == [placed(1)]


@pytest.mark.parametrize(
    "data", [b"\xff" * 40, b"\0\0\0\0", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x02\0\0\0\x92\x09"]
)
async def test_bytes_that_are_no_protocol_end_that_connection_only(desk: Bench, data: bytes) -> None:
    desk.start()
    for greeted in (False, True):
        peer = await desk.peer()
        if greeted:
            await peer.welcome()
        await peer.stream.write(data)
        await peer.until_gone()
        closed = peer.connection.closed_by_peer()
        assert closed is not None
        assert closed[0] == m.CLOSE_PROTOCOL
    await (await desk.open()).expect(m.Credit)


async def test_a_job_without_credit_ends_the_connection(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    await peer.expect(m.Credit)
    peer.wire.credit = 100
    await peer.send(m.Assign(tuple(assignment(job) for job in range(50))))
    await peer.until_gone()
    assert desk.engine.placements == {}


async def test_a_final_refusal_ends_the_worker(desk: Bench) -> None:
    desk.start()
    peer = await desk.peer()
    await peer.expect(m.Hello)
    await peer.send(m.Refused(m.REFUSED_REVOKED, "the key was revoked", final=True))
    with pytest.raises(Refused, match=r"the key was revoked \(revoked\)"):
        await desk.running
    assert desk.engine.closed


async def test_a_worker_can_be_sent_away_later(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    await peer.send(m.Refused(m.REFUSED_REVOKED, "revoked", final=True))
    with pytest.raises(Refused):
        await desk.running


async def test_other_refusals_are_tried_again_with_growing_waits(desk: Bench) -> None:
    desk.start()
    began = desk.clock.lease_ms()
    for _ in range(6):
        peer = await desk.peer()
        await peer.expect(m.Hello)
        await peer.send(m.Refused(m.REFUSED_KEY_IN_USE, "another process", final=False))
    waited = desk.clock.lease_ms() - began
    assert 0.5 * (200 + 400 + 800 + 1600 + 3200) <= waited <= 6_000
    await (await desk.open()).expect(m.Credit)


async def test_the_lease_lives_by_answered_heartbeats_and_runs_out_while_guests_go_on(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    assert desk.lease.valid()
    for number in (1, 2, 3):
        await desk.clock.advance(HEARTBEAT_MS)
        assert (await peer.expect(m.Heartbeat)).number == number
        await peer.send(m.Beat(number))
        await settle()
    await peer.expect(m.Credit) if peer.wire.credit == 0 else None
    await peer.send(m.Assign((assignment(1),)))
    await settle()
    desk.network.unreachable = True
    peer.connection.cut()  # type: ignore[attr-defined]
    await desk.clock.advance(LEASE_MS - LEASE_MS // 10 - 1)
    assert desk.lease.valid()
    waiting = asyncio.create_task(desk.lease.until_valid())
    await desk.clock.advance(1)
    assert not desk.lease.valid()
    parked = asyncio.create_task(desk.lease.until_valid())
    await desk.clock.advance(60_000)
    assert waiting.done()
    assert not parked.done()
    assert list(desk.engine.placements) == [placed(1)]
    desk.network.unreachable = False
    await desk.open(placed(1))
    await parked


async def test_a_connection_that_answers_no_heartbeat_is_given_up(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    peer.connection.stall()  # type: ignore[attr-defined]
    await desk.clock.advance(2 * HEARTBEAT_MS)
    again = await desk.open(session=2)
    await again.expect(m.Credit)
    closed = peer.connection.closed_by_peer()
    assert closed is not None
    assert closed[0] == m.CLOSE_SILENT


async def test_a_control_plane_that_died_without_a_word_is_noticed(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    peer.connection.other.lose_peer()  # type: ignore[attr-defined]
    await desk.clock.advance(2 * HEARTBEAT_MS)
    await (await desk.open(session=2)).expect(m.Credit)


async def test_a_peer_that_never_welcomes_is_given_up(desk: Bench) -> None:
    desk.start()
    peer = await desk.peer()
    await peer.expect(m.Hello)
    await desk.clock.advance(10_000)
    await (await desk.open()).expect(m.Credit)


async def test_pings_are_answered(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    await peer.send(m.Ping(7))
    assert (await peer.expect(m.Pong)).number == 7


async def test_stops_and_drops_reach_the_engine(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    await peer.expect(m.Credit)
    await peer.send(m.Assign((assignment(1), assignment(2))), m.Stop((placed(1),)), m.Drop((placed(2),)))
    ended = await peer.expect(m.Ended)
    assert ended.items == (m.EndedItem(placed(1), Stopped(), None),)
    assert desk.engine.dropped == [placed(2)]
    assert desk.engine.placements == {}


async def test_a_ticket_file_is_read_again_when_dialling_fails(desk: Bench, tmp_path: Path) -> None:
    file = tmp_path / "ticket"
    desk.start(ticket_file=file)
    await desk.clock.until_sleeping(2)
    file.write_text("not a ticket\n")
    while desk.network.dials == 0:
        await desk.clock.advance(500)
    file.write_text(desk.control.ticket() + "\n")
    await (await desk.open()).expect(m.Credit)


async def test_a_bad_ticket_on_the_command_line_ends_the_worker(desk: Bench) -> None:
    desk.start(ticket="nonsense")
    with pytest.raises(Misconfigured, match="not an endpoint ticket"):
        await desk.running


@pytest.mark.parametrize("both", [True, False])
async def test_one_ticket_is_needed(desk: Bench, tmp_path: Path, both: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    given = {"ticket": "memory:x", "ticket_file": tmp_path / "t"} if both else {"ticket": None}
    desk.start(**given)
    with pytest.raises(Misconfigured, match="either"):
        await desk.running


async def test_the_endpoint_is_made_anew_after_many_failures(desk: Bench) -> None:
    desk.start()
    desk.network.unreachable = True
    before = desk.transport.binds
    while desk.network.dials < 12:
        await desk.clock.advance(1_000)
    assert desk.transport.binds == before + 2
    desk.network.unreachable = False
    await (await desk.open()).expect(m.Credit)


async def test_a_second_start_names_the_incarnation_before(desk: Bench) -> None:
    desk.start()
    peer = await desk.peer()
    first = await peer.welcome()
    await peer.expect(m.Credit)
    # Its end waits until the incarnation is written.
    desk.running.cancel()
    await asyncio.gather(desk.running, return_exceptions=True)
    desk.start()
    second = await (await desk.peer()).welcome()
    assert second.previous == first.incarnation
    assert second.incarnation != first.incarnation


async def test_jobs_stuck_behind_long_ones_are_given_back(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    await peer.expect(m.Credit)
    await peer.send(m.Assign(tuple(assignment(job) for job in (1, 2, 3, 4))))
    await settle()
    desk.engine.begin(placed(1), placed(2))
    await desk.clock.advance(900)
    assert desk.engine.released == 0
    await desk.clock.advance(600)
    assert desk.engine.released >= 1
