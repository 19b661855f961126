"""Who goes to which runner."""

from mvm_ci.domain.ids import Digest
from mvm_ci.engine.line import BATCH, Line
from mvm_ci.engine.live import Death, Live
from mvm_ci.engine.run_times import RunTimes
from mvm_ci.engine.seat import SLOT_NS
from tests.unit.engine.lives import MODULE, live, seat


def line(*numbers: int, known_ns: int | None = None) -> Line:
    times = RunTimes()
    if known_ns is not None:
        times.observe(MODULE, known_ns)
    made = Line(times)
    for number in numbers:
        made.add(live(number))
    return made


def numbers(taken: dict[int, list[Live]]) -> dict[int, list[int]]:
    return {index: [each.number for each in batch] for index, batch in taken.items()}


def test_unknown_guests_get_a_slot_each_evenly_over_the_runners() -> None:
    made, seats = line(*range(1, 8)), [seat(2), seat(2)]
    assert numbers(made.hand_out(seats)) == {0: [1, 3], 1: [2, 4]}
    assert made.hand_out(seats) == {}
    seats[1].remove(seats[1].tasks[2])
    assert numbers(made.hand_out(seats)) == {1: [5]}
    seats[0].wait(seats[0].tasks[1])
    assert numbers(made.hand_out(seats)) == {0: [6]}


def test_who_rests_counts_where_loads_are_equal() -> None:
    made, seats = line(known_ns=1_000), [seat(), seat()]
    seats[1].index = 1
    taken = []
    for number in range(1, 7):
        one = live(number)
        made.add(one)
        (index,) = made.hand_out(seats)
        seats[index].rest(one)
        taken.append(index)
    assert taken == [0, 1] * 3


def test_quick_guests_share_a_slot_up_to_a_number() -> None:
    made, seats = line(*range(1, 301), known_ns=1_000), [seat(), seat()]
    taken = made.hand_out(seats)
    assert [len(taken[0]), len(taken[1])] == [BATCH, BATCH]
    assert made.hand_out(seats) == {}


def test_quick_guests_share_a_slot_up_to_a_time() -> None:
    made, one = line(*range(1, 301), known_ns=1_900_000), seat()
    assert len(made.hand_out([one])[0]) == 11
    assert one.load_ns >= SLOT_NS


def test_a_large_guest_of_a_quick_module_has_a_slot_for_itself() -> None:
    made, one = line(known_ns=1_000), seat()
    for number in (1, 2):
        large = live(number)
        large.large = True
        made.add(large)
    assert numbers(made.hand_out([one])) == {0: [1]}


def test_runners_that_are_not_there_get_nothing_and_those_that_went_are_passed_over() -> None:
    made, away, there = line(1, 2), seat(), seat()
    away.usable = False
    made._ready[0].gone = True
    assert numbers(made.hand_out([away, there])) == {1: [2]}
    assert not made


def test_who_had_its_turn_goes_first() -> None:
    made = line(1, 2)
    made.add_first(live(3))
    assert numbers(made.hand_out([seat(9)])) == {0: [3, 1, 2]}


def test_suspects_and_others_do_not_keep_each_other_waiting_where_there_are_two_runners() -> None:
    made, seats = line(1, 2, 3), [seat(), seat()]
    for number in (10, 11):
        suspect = live(number)
        suspect.suspected(Death(), alone=False)
        made.add(suspect)
    assert numbers(made.hand_out(seats)) == {0: [10], 1: [1]}
    for each in seats:
        for guest in list(each.tasks.values()):
            each.remove(guest)
    assert numbers(made.hand_out(seats)) == {0: [11], 1: [2]}
    for each in seats:
        for guest in list(each.tasks.values()):
            each.remove(guest)
    assert numbers(made.hand_out(seats)) == {0: [3]}


def test_who_killed_a_runner_alone_stays_alone() -> None:
    made, one = line(), seat(9)
    for number in (1, 2):
        suspect = live(number)
        suspect.suspected(Death(), alone=True)
        made.add(suspect)
    assert numbers(made.hand_out([one])) == {0: [1]}
    one.wait(one.tasks[1])
    assert made.hand_out([one]) == {}


def test_an_unknown_module_is_known_by_its_digest_alone() -> None:
    made = line(known_ns=1_000)
    for number in (1, 2):
        made.add(live(number, Digest("cd" * 32)))
    assert numbers(made.hand_out([seat()])) == {0: [1]}
