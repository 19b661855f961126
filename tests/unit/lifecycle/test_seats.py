from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import JobSpec, Placed
from mvm_ci.lifecycle.seats import PACK, Seat, Seats
from mvm_ci.wire.messages import Assign, Assignment, Stop
from tests.unit.lifecycle.recording_link import RecordingLink


def two(credits_each: int) -> tuple[Seats, Seat, Seat]:
    seats = Seats()
    for number in (1, 2):
        seat = Seat(SessionId(number), RecordingLink())
        seat.credits = credits_each
        seats.add(seat)
    one, other = seats
    return seats, one, other


def taken(seats: Seats, count: int) -> list[SessionId | None]:
    return [seat.session if (seat := seats.take()) else None for _ in range(count)]


def test_unknown_jobs_are_spread() -> None:
    seats, one, other = two(50)
    assert sorted(filter(None, taken(seats, 10))) == [1] * 5 + [2] * 5
    assert (one.credits, other.credits) == (45, 45)


def test_short_jobs_are_packed() -> None:
    seats, *_ = two(100)
    seats.measure([0], 1)
    assert taken(seats, 2 * PACK) == [1] * PACK + [2] * PACK


def test_the_longer_jobs_are_the_less_are_packed() -> None:
    seats, *_ = two(100)
    seats.measure([0], 160)
    assert taken(seats, 8) == [1] * 4 + [2] * 4
    for _ in range(50):
        seats.measure([0], 100_000)
    seats.next_round()
    assert taken(seats, 4) == [1, 2, 1, 2]


def test_nobody_gets_more_than_its_credit() -> None:
    seats, one, _ = two(2)
    seats.measure([0], 1)
    assert taken(seats, 6) == [1, 1, 2, 2, None, None]
    one.credits += 1
    assert taken(seats, 1) == [1]
    seats.remove(SessionId(1))
    seats.remove(SessionId(1))
    assert not one.open
    assert taken(seats, 1) == [None]


def test_a_stop_never_overtakes_its_assignment() -> None:
    link = RecordingLink()
    seat = Seat(SessionId(1), link)
    placed = Placed(JobId(1), 1)
    item = Assignment(placed, 1, JobSpec(module=Digest("a" * 64), input=b""))
    seat.claiming += 1
    seat.stop(placed, cancel=True)
    seat.assign([item], 0)
    seat.claimed()
    seat.stop(placed, cancel=False)
    assert link.sent == [Assign((item,)), Stop((placed,), cancel=True), Stop((placed,))]
    assert seat.sent == 1
    assert seat.forget([placed, placed]) == [0]


def test_guests_that_wait_at_a_worker_take_no_slot_of_it() -> None:
    seat = Seat(SessionId(1), RecordingLink(), slots=4)
    seat.placements.given(Placed(JobId(number), 1) for number in range(1, 11))
    seat.asked = 1
    assert seat.free == 4 - 10 - 1
    seat.extra = 8
    assert seat.free == 1
    assert Seat(SessionId(1), RecordingLink()).free is None
