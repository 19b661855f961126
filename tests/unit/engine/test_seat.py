"""What a seat has, and what it can take."""

from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.engine.live import MAX_GUESTS, Death, Live
from mvm_ci.engine.seat import SLOT_NS, Seat
from mvm_ci.ports import guest
from tests.unit.engine.lives import live, seat


def test_a_guest_that_waits_holds_no_slot_and_one_that_goes_on_holds_one_again() -> None:
    one, first, second = seat(), live(1), live(2)
    one.take(first, SLOT_NS)
    assert not one.open
    one.wait(first)
    one.wait(first)
    assert one.open
    assert one.extra == 1
    one.take(second, SLOT_NS)
    one.go_on(first)
    one.go_on(first)
    assert (one.load_ns, one.extra, one.open) == (2 * SLOT_NS, 0, False)
    one.remove(second)
    assert not one.open
    one.remove(first)
    assert one.open


def test_a_seat_without_a_process_is_not_open() -> None:
    assert not Seat(0, 1).open


def test_no_more_guests_than_fit_however_many_wait() -> None:
    assert MAX_GUESTS <= guest.RUNTIME_GUESTS
    one = seat(slots=2)
    for number in range(MAX_GUESTS):
        assert one.open
        one.take(live(number), SLOT_NS)
        one.wait(one.tasks[number])
    assert not one.open
    assert one.extra == MAX_GUESTS - 2


def test_a_quick_guest_that_is_still_there_takes_a_whole_slot() -> None:
    one, quick, waiting = seat(), live(1), live(2)
    one.take(quick, SLOT_NS // 64)
    one.take(waiting, SLOT_NS // 64)
    one.wait(waiting)
    assert one.open
    one.not_quick(quick)
    one.not_quick(quick)
    one.not_quick(waiting)
    assert not one.open
    one.remove(quick)
    one.go_on(waiting)
    assert one.load_ns == SLOT_NS // 64


def test_a_quick_guest_rests_while_its_entries_are_on_their_way() -> None:
    one, quick, slow = seat(), live(1), live(2)
    one.take(quick, SLOT_NS // 64)
    one.take(slow, SLOT_NS)
    one.rest(slow)
    assert one.load_ns == SLOT_NS + SLOT_NS // 64, "who may compute for long keeps its slot"
    one.remove(slow)
    one.rest(quick)
    one.rest(quick)
    one.not_quick(quick)
    assert one.load_ns == 0
    one.rested(quick)
    one.rested(quick)
    assert one.load_ns == SLOT_NS // 64


def test_a_guest_that_waits_for_an_answer_does_not_go_on_when_its_entries_are_durable() -> None:
    one, quick = seat(), live(1)
    one.take(quick, SLOT_NS // 64)
    one.rest(quick)
    one.wait(quick)
    one.rested(quick)
    assert (one.load_ns, one.waiting) == (0, 1)
    one.rest(quick)
    one.go_on(quick)
    assert (one.load_ns, one.waiting) == (SLOT_NS // 64, 0)


def test_a_suspect_keeps_others_away_until_it_is_gone() -> None:
    one, suspect = seat(slots=9), live(1)
    suspect.suspected(Death(), alone=True)
    one.take(suspect, SLOT_NS)
    one.wait(suspect)
    assert (one.open, one.extra) == (False, 0)
    one.remove(suspect)
    assert one.open


def test_those_who_computed_when_their_runner_died_come_first() -> None:
    one, lives = seat(slots=9), [live(number) for number in range(4)]
    for each in lives:
        one.take(each, SLOT_NS)
    one.wait(lives[0])
    one.wait(lives[2])
    assert one.vacate() == [lives[1], lives[3], lives[0], lives[2]]
    assert (one.load_ns, one.waiting, one.tasks, one.usable) == (0, 0, {}, False)
    assert all(each.seat is None for each in lives)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["take", "wait", "go_on", "rest", "rested", "not_quick", "remove"]),
            st.integers(0, 5),
        )
    )
)
def test_its_load_is_that_of_those_who_compute(steps: list[tuple[str, int]]) -> None:
    one, lives = seat(slots=3), [live(number) for number in range(6)]
    for step, number in steps:
        each = lives[number]
        if step == "take" and each.seat is None:
            one.take(each, SLOT_NS // (number + 1))
        elif step != "take" and each.seat is not None:
            getattr(one, step)(each)
        here = list(one.tasks.values())
        assert one.load_ns == sum(each.weight_ns for each in here if not (each.waits or each.rests))
        assert one.waiting == sum(each.waits for each in here)


def most(each: Live) -> int:
    return each.most


def test_the_more_runners_died_under_it_the_fewer_may_be_with_it() -> None:
    one, neighbour = live(1), live(2)
    shrinking = [most(one)]
    for _ in range(3):
        death = Death()
        one.suspected(death, alone=False)
        neighbour.suspected(death, alone=False)
        shrinking.append(most(one))
    assert shrinking == [256, 32, 4, 1]
    # It is alone now, and its runner dies: that explains the others, too.
    one.suspected(Death(), alone=True)
    assert (most(one), one.deaths) == (1, 1)
    assert (most(neighbour), neighbour.deaths) == (256, 0)
