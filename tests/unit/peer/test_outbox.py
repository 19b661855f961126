"""The outbox: bounded, in order, and repeated until answered."""

import asyncio

import pytest

from mvm_ci.domain.errors import TooLarge
from mvm_ci.domain.ids import Incarnation, JobId, SessionId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed, Failed, Failure, FailureKind
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.peer.outbox import MAX_SEGMENT, MAX_UNANSWERED, MAX_UNRECORDED, Outbox
from mvm_ci.wire import messages as m
from mvm_ci.wire.frames import from_worker
from mvm_ci.wire.session import WorkerSession

DONE = Completed(b"1")


def placed(job: int) -> Placed:
    return Placed(JobId(job), 1)


def connection() -> WorkerSession:
    wire = WorkerSession()
    wire.sent(m.Hello(1, 1, "", Incarnation("a" * 32), None, None, "", "", 1, 1))
    wire.received(m.Welcome(m.PROTOCOL, SessionId(1), 2, 1, "", ()))
    return wire


def taken(outbox: Outbox, credit: int = 0) -> list[m.FromWorker]:
    return from_worker().feed(b"".join(outbox.take(credit)))


def test_nothing_is_taken_without_a_connection() -> None:
    outbox = Outbox(lambda _: None)
    outbox.ended([m.EndedItem(placed(1), DONE, None)])
    outbox.post(m.Pong(1))
    assert outbox.take(5) == []
    outbox.attach(connection(), [])
    assert [type(message) for message in taken(outbox, 5)] == [m.Ended, m.Credit]


def test_ends_are_repeated_on_each_connection_until_recorded() -> None:
    outbox = Outbox(lambda _: None)
    outbox.ended([m.EndedItem(placed(job), DONE, None) for job in (1, 2)])
    for _ in range(2):
        outbox.attach(connection(), [])
        (message,) = taken(outbox)
        assert isinstance(message, m.Ended)
        assert [item.placed for item in message.items] == [placed(1), placed(2)]
        assert taken(outbox) == []
    outbox.recorded([placed(1)])
    outbox.attach(connection(), [])
    (message,) = taken(outbox)
    assert isinstance(message, m.Ended)
    assert [item.placed for item in message.items] == [placed(2)]


async def test_appends_keep_their_order_over_reconnects() -> None:
    outbox = Outbox(lambda _: None)
    answers = []
    for round_ in range(3):
        outbox.attach(connection(), [])
        answers.append(outbox.append(placed(1), Segment(round_, 1, b"x")))
        (message,) = taken(outbox)
        assert isinstance(message, m.Append)
        assert [item.segment.first for item in message.items] == list(range(round_ + 1))
    outbox.answered([Append.DONE] * 3)
    assert [await answer for answer in answers] == [Append.DONE] * 3


async def test_an_append_whose_caller_is_gone_is_not_repeated() -> None:
    outbox = Outbox(lambda _: None)
    outbox.attach(connection(), [])
    answer = outbox.append(placed(1), Segment(0, 1, b"x"))
    assert len(taken(outbox)) == 1
    answer.cancel()
    outbox.answered([Append.DONE])
    outbox.attach(connection(), [])
    assert taken(outbox) == []


async def test_what_is_appended_beyond_the_limit_waits_for_answers() -> None:
    outbox = Outbox(lambda _: None)
    data = b"x" * MAX_SEGMENT
    fitting = MAX_UNANSWERED // MAX_SEGMENT + 1
    answers = [outbox.append(placed(job), Segment(0, 1, data)) for job in range(fitting + 5)]
    outbox.attach(connection(), [])
    sent = [message for message in taken(outbox) if isinstance(message, m.Append)]
    assert sum(len(message.items) for message in sent) == fitting
    await outbox.until_ready()
    assert taken(outbox) == []
    for message in sent:
        outbox.answered([Append.DONE] * len(message.items))
    async with asyncio.timeout(5):
        await outbox.until_ready()
    sent = [message for message in taken(outbox) if isinstance(message, m.Append)]
    assert sum(len(message.items) for message in sent) == 5
    for message in sent:
        outbox.answered([Append.DONE] * len(message.items))
    assert [await answer for answer in answers] == [Append.DONE] * (fitting + 5)


async def test_a_new_connection_has_room_for_all_that_was_under_way() -> None:
    outbox = Outbox(lambda _: None)
    count = MAX_UNANSWERED // MAX_SEGMENT + 1
    for job in range(count):
        outbox.append(placed(job), Segment(0, 1, b"x" * MAX_SEGMENT))
    for _ in range(3):
        outbox.attach(connection(), [])
        sent = [message for message in taken(outbox) if isinstance(message, m.Append)]
        assert sum(len(message.items) for message in sent) == count


async def test_a_refused_append_tells_that_the_placement_is_lost() -> None:
    lost: list[Placed] = []
    outbox = Outbox(lost.append)
    outbox.attach(connection(), [])
    answer = outbox.append(placed(1), Segment(0, 1, b"x"))
    taken(outbox)
    outbox.answered([Append.STALE])
    assert await answer is Append.STALE
    assert lost == [placed(1)]


async def test_a_segment_over_the_limit_is_the_engine_s_mistake() -> None:
    with pytest.raises(TooLarge):
        await Outbox(lambda _: None).append(placed(1), Segment(0, 1, bytes(MAX_SEGMENT + 1)))


def test_an_end_that_fits_no_frame_becomes_a_failure_and_the_others_go_out() -> None:
    outbox = Outbox(lambda _: None)
    huge = Failed(Failure(kind=FailureKind.ERROR, message="m", detail="x" * (5 << 20)))
    outbox.ended([m.EndedItem(placed(1), huge, None), m.EndedItem(placed(2), DONE, None)])
    outbox.attach(connection(), [])
    items = [item for message in taken(outbox) if isinstance(message, m.Ended) for item in message.items]
    assert [item.placed for item in items] == [placed(1), placed(2)]
    first = items[0].outcome
    assert isinstance(first, Failed)
    assert first.failure.kind is FailureKind.OUTPUT
    assert items[1].outcome == DONE


def test_it_is_full_when_the_control_plane_does_not_answer() -> None:
    outbox = Outbox(lambda _: None)
    outbox.ended([m.EndedItem(placed(job), DONE, None) for job in range(MAX_UNRECORDED)])
    assert outbox.full
    outbox.recorded([placed(0)])
    assert not outbox.full


async def test_journal_lag_is_from_when_entries_were_made_until_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 100.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now_s)
    outbox = Outbox(lambda _: None)
    outbox.append(placed(1), Segment(0, 1, b"x"))
    now_s = 100.25
    outbox.append(placed(2), Segment(0, 1, b"x"))
    # Also the time without a connection.
    outbox.attach(connection(), [])
    assert len(taken(outbox)) == 1
    assert outbox.lag_s.count == 0
    now_s = 100.5
    outbox.answered([Append.DONE] * 2)
    assert (outbox.lag_s.count, outbox.lag_s.total) == (2, 0.75)
