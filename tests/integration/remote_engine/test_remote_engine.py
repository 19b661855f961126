"""A worker's engine elsewhere: what it has there, and what becomes of it when either side is lost."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mvm_ci.adapters.remote_engine.engine import AGAIN_MS, CUT_OFF_MS
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.outcome import Completed, Released, Stopped
from mvm_ci.testing.clock import settle
from mvm_ci.wire import engine as w
from tests.integration.remote_engine.scripted_engine import (
    LEASE_MS,
    PATIENCE_S,
    USABLE_MS,
    ScriptedEngine,
    Way,
    end,
    grant,
    placed,
    way,
)


@pytest.fixture
async def one() -> AsyncIterator[Way]:
    """A way to an engine that is reached."""
    async with way() as made:
        await made.open()
        yield made


async def test_what_is_entrusted_is_brought_and_its_end_is_seen(one: Way) -> None:
    one.remote.entrust([grant(1), grant(2)])
    assert await one.soon(one.engine.brought.get()) == [placed(1), placed(2)]
    await one.begun(1, 2)
    one.stream.say(end(1, number=7))
    assert await one.ended(1) == {placed(1): Completed(b"1")}
    assert (await one.order(w.Seen)).number == 7
    one.stream.say(end(1, number=7))  # said twice: heard once
    assert (await one.order(w.Seen)).number == 7


async def test_it_is_reachable_while_the_engine_takes_jobs(one: Way) -> None:
    assert one.remote.reachable
    for room in (
        one.engine.room(connected=False),
        one.engine.room(draining=True),
        w.Room(one.engine.name, 2, 64, 0, connected=True),
    ):
        looks = one.told.looks
        one.stream.say(room)
        await one.told.until(lambda looks=looks: one.told.looks > looks)
        assert not one.remote.reachable
    one.stream.say(one.engine.room(extra=5))
    await one.told.until(lambda: one.remote.reachable)
    assert (one.remote.slots, one.remote.capacity, one.remote.extra, one.remote.runners) == (2, 64, 5, 1)


async def test_more_than_it_has_room_for_is_brought_again(one: Way) -> None:
    one.engine.most = 1
    one.remote.entrust([grant(1), grant(2)])
    assert await one.soon(one.engine.brought.get()) == [placed(1), placed(2)]
    assert await one.soon(one.engine.brought.get()) == [placed(2)]
    one.engine.full = "no room"
    one.remote.entrust([grant(3)])
    assert await one.soon(one.engine.brought.get()) == [placed(3)]
    one.engine.full = ""
    assert await one.soon(one.engine.brought.get()) == [placed(3)]
    assert one.told.over == {}


# -------------------------------------------------------------------- the engine is lost


async def test_another_process_in_its_place_means_that_all_is_lost_there(one: Way) -> None:
    await one.there(1, 2)
    await one.permit()
    one.engine.name = "f" * 32
    await one.lost()
    assert one.told.over == {}
    await one.again()
    await one.next_stream()
    # At once: the lease that it was told of is not waited for.
    assert await one.ended(1, 2) == {placed(1): Released(), placed(2): Released()}


async def test_a_process_that_took_its_place_between_two_calls_is_noticed(one: Way) -> None:
    await one.there(1)
    await one.lost()
    await one.again()
    one.stream = await one.soon(one.engine.streams.get())
    one.engine.name = "f" * 32
    one.stream.say(one.engine.room(), w.Has(()))
    await one.ended(1)
    # And what is brought from then on stays there.
    await one.there(2)
    await one.is_there()
    await settle()
    assert placed(2) not in one.told.over


async def test_what_an_engine_has_that_is_not_reached_is_its_own_until_the_lease_is_over(one: Way) -> None:
    await one.there(1)
    assert await one.permit() == USABLE_MS
    one.engine.breaks = {"engine"}
    await one.lost()
    await one.clock.advance(USABLE_MS - 1)
    await settle()
    assert one.told.over == {}
    # Looked at each time that it is tried again.
    for _ in range(20):
        await one.soon(one.clock.until_sleeping(1))
        await one.clock.advance(AGAIN_MS)
        if one.told.over:
            break
    assert await one.ended(1) == {placed(1): Released()}


async def test_an_engine_that_was_never_told_of_a_lease_has_nothing_for_long(one: Way) -> None:
    await one.there(1)
    one.engine.breaks = {"engine"}
    await one.lost()
    assert await one.ended(1) == {placed(1): Released()}


async def test_a_lease_that_is_not_valid_is_not_told_and_the_newest_question_is_answered(one: Way) -> None:
    one.stream.say(w.LeaseWanted(1), w.LeaseWanted(2))
    await one.is_there()
    assert one.engine.orders.empty()
    one.lease.renew(one.clock.lease_ms(), LEASE_MS)
    answer = await one.order(w.Lease)
    assert (answer.number, answer.left_ms) == (2, USABLE_MS)
    await one.is_there(998)
    assert one.engine.orders.empty()


async def test_a_stream_that_broke_costs_nothing(one: Way) -> None:
    await one.there(1)
    await one.permit()
    await one.lost()
    await one.again()
    await one.next_stream(placed(1))
    one.stream.say(end(1))
    assert await one.ended(1) == {placed(1): Completed(b"1")}


async def test_both_sides_compare_what_they_have(one: Way) -> None:
    await one.there(1, 2)
    await one.permit()
    await one.lost()
    await one.again()
    await one.next_stream(placed(2), placed(3))
    # The engine lost one; the worker had given up another.
    assert await one.ended(1) == {placed(1): Released()}
    assert (await one.order(w.Drop)).placements == (placed(3),)
    one.stream.say(end(2))
    assert (await one.ended(2))[placed(2)] == Completed(b"1")


async def answered(one: Way) -> None:
    """The answer to what is being brought comes, or breaks."""
    one.engine.may_answer.set()
    async with asyncio.timeout(PATIENCE_S):
        while one.remote._held.bringing:
            await settle()


async def test_what_comes_while_it_is_asked_what_it_has_is_not_missed(one: Way) -> None:
    one.engine.may_answer.clear()
    one.remote.entrust([grant(1)])
    await one.soon(one.engine.brought.get())
    await one.lost()
    await one.clock.advance(AGAIN_MS)
    stream = await one.soon(one.engine.streams.get())
    # Its list was made before the grant came, and arrives after that.
    await answered(one)
    stream.say(one.engine.room(), w.Has(()))
    one.stream = stream
    await one.begun(1)
    assert one.told.over == {}


async def test_an_engine_that_is_cut_off_from_the_control_plane_loses_what_it_has(one: Way) -> None:
    await one.there(1)
    one.lease.renew(one.clock.lease_ms(), 10 * CUT_OFF_MS)
    one.stream.say(one.engine.room(connected=False))
    await one.told.until(lambda: not one.remote.reachable)
    one.clock.jump(CUT_OFF_MS - 1)
    one.stream.say(w.LeaseWanted(1))
    await one.order(w.Lease)
    # What has not been brought waits: the engine may be about to connect.
    one.remote.entrust([grant(2)])
    await settle()
    assert one.told.over == {}
    one.clock.jump(1)
    one.stream.say(w.LeaseWanted(2))
    orders = [await one.soon(one.engine.orders.get()) for _ in range(2)]
    assert w.Drop((placed(1),)) in orders
    assert await one.ended(1, 2) == {placed(1): Released(), placed(2): Released()}


async def test_an_engine_that_is_cut_off_as_we_are_keeps_what_it_has(one: Way) -> None:
    await one.there(1)
    one.stream.say(one.engine.room(connected=False))
    await one.told.until(lambda: not one.remote.reachable)
    one.clock.jump(2 * CUT_OFF_MS)
    one.stream.say(w.LeaseWanted(1), w.Started((placed(1),)))
    await one.told.until(lambda: len(one.told.begun) == 2)
    assert one.told.over == {}


# -------------------------------------------------------------------- while something is being brought


async def bringing(one: Way, job: int = 1) -> None:
    """A grant is on its way, and its answer is held back."""
    one.engine.may_answer.clear()
    one.remote.entrust([grant(job)])
    await one.soon(one.engine.brought.get())


async def test_what_is_dropped_meanwhile_is_dropped_there(one: Way) -> None:
    await bringing(one)
    one.remote.drop([placed(1)])
    one.engine.may_answer.set()
    assert (await one.order(w.Drop)).placements == (placed(1),)
    assert one.told.over == {}


async def test_what_is_stopped_meanwhile_is_stopped_there_once_it_has_come(one: Way) -> None:
    await bringing(one)
    one.remote.cancel(placed(1))
    one.engine.may_answer.set()
    assert await one.order(w.Stop) == w.Stop((placed(1),), cancel=True)
    assert one.told.over == {}


async def test_what_is_stopped_meanwhile_and_finds_no_room_is_stopped(one: Way) -> None:
    await bringing(one)
    one.remote.stop(placed(1))
    one.engine.full = "no room"
    one.engine.may_answer.set()
    assert await one.ended(1) == {placed(1): Stopped()}
    one.engine.full = ""
    one.remote.entrust([grant(2)])
    assert await one.soon(one.engine.brought.get()) == [placed(2)]


async def test_what_is_stopped_meanwhile_and_may_have_come_is_stopped_and_dropped(one: Way) -> None:
    await bringing(one)
    one.remote.cancel(placed(1))
    one.engine.breaks = {"answer"}
    one.engine.may_answer.set()
    assert await one.ended(1) == {placed(1): Stopped()}
    assert (await one.order(w.Drop)).placements == (placed(1),)


async def test_what_is_cancelled_before_it_is_brought_is_cancelled_there(one: Way) -> None:
    # Its guest may have begun in an earlier placement: the order comes with the grant.
    one.remote.entrust([grant(job) for job in range(1, w.MAX_GRANTS + 2)])
    one.remote.cancel(placed(w.MAX_GRANTS + 1))
    brought = await one.soon(one.engine.brought.get())
    assert (len(brought), brought[0]) == (w.MAX_GRANTS, placed(w.MAX_GRANTS + 1))
    assert await one.order(w.Stop) == w.Stop((placed(w.MAX_GRANTS + 1),), cancel=True)
    assert one.told.over == {}


async def test_what_may_have_come_and_is_cancelled_is_told_when_its_start_is_heard(one: Way) -> None:
    await bringing(one)
    one.engine.breaks = {"answer"}
    await answered(one)
    one.remote.cancel(placed(1))
    await one.begun(1)
    assert await one.order(w.Stop) == w.Stop((placed(1),), cancel=True)
    assert one.told.over == {}


async def test_what_is_cancelled_and_finds_no_room_is_stopped(one: Way) -> None:
    one.engine.full = "no room"
    one.remote.entrust([grant(1)])
    one.remote.cancel(placed(1))
    assert await one.ended(1) == {placed(1): Stopped()}


async def test_what_is_cancelled_while_the_engine_takes_nothing_is_stopped_at_once(one: Way) -> None:
    one.stream.say(one.engine.room(connected=False))
    await one.told.until(lambda: not one.remote.reachable)
    one.remote.entrust([grant(1)])
    one.remote.cancel(placed(1))
    assert await one.ended(1) == {placed(1): Stopped()}


async def test_what_is_wanted_back_meanwhile_comes_back(one: Way) -> None:
    await bringing(one)
    one.remote.release_waiting()
    one.engine.full = "no room"
    one.engine.may_answer.set()
    assert await one.ended(1) == {placed(1): Released()}


async def test_being_stopped_counts_more_than_being_wanted_back(one: Way) -> None:
    await bringing(one)
    one.remote.stop(placed(1))
    one.remote.release_all()
    one.engine.may_answer.set()
    assert await one.order(w.Stop) == w.Stop((placed(1),), cancel=False)


async def test_what_may_have_come_is_brought_again_and_dropped_there_when_it_is_over(one: Way) -> None:
    await bringing(one)
    one.engine.breaks = {"answer"}
    one.engine.may_answer.set()
    assert await one.soon(one.engine.brought.get()) == [placed(1)]
    one.engine.draining = True
    one.stream.say(one.engine.room())
    assert await one.ended(1) == {placed(1): Released()}
    assert (await one.order(w.Drop)).placements == (placed(1),)


async def test_a_start_that_is_heard_before_the_answer_counts(one: Way) -> None:
    await bringing(one)
    await one.begun(1)
    one.remote.release_waiting()
    one.remote.stop(placed(1))
    one.engine.breaks = {"answer"}
    one.engine.may_answer.set()
    assert await one.order(w.Stop) == w.Stop((placed(1),), cancel=False)
    assert one.told.over == {}


async def test_an_end_that_is_heard_before_the_answer_counts(one: Way) -> None:
    await bringing(one)
    one.stream.say(end(1))
    assert await one.ended(1) == {placed(1): Completed(b"1")}
    one.engine.may_answer.set()
    await one.order(w.Seen)
    await one.is_there()
    one.remote.release_all()
    assert (await one.order(w.GiveBack)).placements == (placed(999),)


# -------------------------------------------------------------------- orders


async def test_orders_go_to_what_the_engine_has_and_no_further(one: Way) -> None:
    await one.there(1, 2)
    one.remote.stop(placed(9))
    one.remote.drop([placed(9)])
    one.remote.stop(placed(1))
    one.remote.release_all([placed(2), placed(9)])
    assert await one.order(w.Stop) == w.Stop((placed(1),))
    assert await one.order(w.GiveBack) == w.GiveBack((placed(2),), running=True)


async def test_what_has_started_is_not_given_back_as_waiting(one: Way) -> None:
    await one.there(1)
    await one.is_there()
    one.remote.release_waiting()
    assert await one.order(w.GiveBack) == w.GiveBack((placed(999),), running=False)


async def test_orders_that_did_not_arrive_are_given_again_but_for_the_lease(one: Way) -> None:
    await one.there(1)
    one.engine.breaks = {"orders"}
    one.lease.renew(one.clock.lease_ms(), LEASE_MS)
    one.stream.say(w.LeaseWanted(1))
    one.remote.stop(placed(1))
    await settle()
    one.engine.breaks = set()
    assert await one.order(w.Stop) == w.Stop((placed(1),))


async def test_orders_for_an_engine_that_is_gone_are_not_given_to_the_next(one: Way) -> None:
    await one.there(1)
    one.engine.breaks = {"orders"}
    one.stream.say(end(1, number=7))
    await one.ended(1)
    await settle()
    one.engine.name = "f" * 32
    one.engine.breaks = {"orders"}
    await one.lost()
    await one.again()
    await one.next_stream()
    one.engine.breaks = set()
    one.remote.entrust([grant(2)])
    assert await one.soon(one.engine.brought.get()) == [placed(2)]
    assert one.engine.orders.empty()


async def test_what_waits_goes_back_when_the_engine_drains(one: Way) -> None:
    one.engine.full = "the engine drains: it takes nothing more"
    one.remote.entrust([grant(1)])
    await one.soon(one.engine.brought.get())
    one.engine.draining = True
    one.stream.say(one.engine.room())
    assert await one.ended(1) == {placed(1): Released()}


# -------------------------------------------------------------------- who answers


async def test_an_engine_that_says_where_it_is_is_asked_there_from_then_on() -> None:
    async with way() as made:
        behind = ScriptedEngine()
        await behind.start()
        behind.url = made.engine.url = behind.server.url
        starting = asyncio.create_task(made.remote.start())
        door, made.engine = made.engine, behind
        await made.next_stream()
        await made.soon(starting)
        await made.there(1)
        assert made.made == ["", behind.server.url]
        assert door.streams.empty()
        # Once it has been gone for longer than its lease, whoever is at the door is asked again.
        behind.breaks = {"engine"}
        await made.lost()
        await made.ended(1)
        door.url = ""
        made.engine = door
        await made.again()
        await made.next_stream()
        assert made.made == ["", behind.server.url, ""]
        await behind.server.stop()


async def test_a_wrong_token_is_said_and_tried_again() -> None:
    async with way() as made:
        made.token = "wrong"
        made.engine.refuses = True
        starting = asyncio.create_task(made.remote.start())
        await made.soon(made.clock.until_sleeping(1))
        made.token, made.engine.refuses = "right", False
        await made.again()
        await made.next_stream()
        await made.soon(starting)
        assert made.engine.tokens[0] == b"Bearer wrong"
        assert made.engine.tokens[-1] == b"Bearer right"


@pytest.mark.parametrize("error", [Unavailable("the file is not there"), ValueError("of no kind we know")])
async def test_whatever_goes_wrong_on_the_way_is_tried_again(error: Exception) -> None:
    async with way() as made:
        made.token_error = error
        starting = asyncio.create_task(made.remote.start())
        await made.soon(made.clock.until_sleeping(1))
        made.token_error = None
        await made.again()
        await made.next_stream()
        await made.soon(starting)


@pytest.mark.parametrize(
    "said",
    [
        b"<html>no engine</html>\n",
        b'{"type":"room"}\n',
        b'{"type":"ended","number":1,"items":[],"run_ns":[1]}\n',
        b"\xff\n",
    ],
)
async def test_what_no_engine_of_ours_says_costs_a_new_stream_and_no_more(one: Way, said: bytes) -> None:
    await one.there(1)
    await one.permit()
    sleeping = one.clock.sleeping
    one.stream.raw(said)
    await one.soon(one.clock.until_sleeping(sleeping + 1))
    await one.again()
    await one.next_stream(placed(1))
    one.stream.say(end(1))
    assert await one.ended(1) == {placed(1): Completed(b"1")}


# -------------------------------------------------------------------- the end


async def test_a_drain_waits_for_what_is_there_and_brings_nothing(one: Way) -> None:
    await one.there(1)
    draining = asyncio.create_task(one.remote.drain(30.0))
    await settle()
    one.remote.entrust([grant(2)])
    assert await one.ended(2) == {placed(2): Released()}
    assert not draining.done()
    one.stream.say(end(1))
    await one.soon(draining)


async def test_a_drain_whose_grace_is_over_wants_everything_back(one: Way) -> None:
    await one.there(1)
    await bringing(one, 2)
    draining = asyncio.create_task(one.remote.drain(0.0))
    assert await one.ended() == {}
    one.engine.full = "no room"
    one.engine.may_answer.set()
    assert (await one.ended(2))[placed(2)] == Released()
    assert await one.order(w.GiveBack) == w.GiveBack((placed(1),), running=True)
    one.stream.say(end(1, outcome=Released()))
    await one.soon(draining)


async def test_closing_says_the_last_word_and_leaves_nothing_behind(one: Way) -> None:
    await one.there(1)
    one.stream.say(w.LeaseWanted(1))  # which waits for the lease
    one.remote.drop([placed(1)])
    await one.remote.close()
    assert (await one.order(w.Drop)).placements == (placed(1),)
    await one.soon(one.stream.over.wait())
    left = {task.get_name() for task in asyncio.all_tasks()}
    assert not left & {"engine-follow", "engine-send", "engine-lease"}


async def test_one_that_was_never_reached_closes_at_once() -> None:
    async with way() as made:
        await made.engine.server.stop()
        starting = asyncio.create_task(made.remote.start())
        await made.soon(made.clock.until_sleeping(1))
        await made.soon(made.remote.close())
        starting.cancel()
