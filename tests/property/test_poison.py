"""Guests that kill their runner, among others that do not: the right ones are blamed."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.engine.line import Line
from mvm_ci.engine.live import Death, Live
from mvm_ci.engine.run_times import RunTimes
from mvm_ci.engine.seat import Seat
from tests.unit.engine.lives import MODULE, live, seat

RERUNS = 3
STEPS = 20_000


class Fleet:
    """Runners in which guests take steps in some order; some guests kill their runner at some step."""

    def __init__(self, seats: int, slots: int, guests: int, poison: set[int], known_ns: int) -> None:
        times = RunTimes()
        times.observe(MODULE, known_ns)
        self.line = Line(times)
        self.seats = [seat(slots) for _ in range(seats)]
        self.poison = poison
        self.ended: set[int] = set()
        self.blamed: set[int] = set()
        self.crashes = 0
        for number in range(guests):
            self.line.add(live(number))

    def end(self, one: Seat, each: Live) -> None:
        if each.number in self.poison:
            self.die(one)
        else:
            one.remove(each)
            self.ended.add(each.number)

    def die(self, one: Seat) -> None:
        self.crashes += 1
        lives, death = one.vacate(), Death()
        one.usable = True
        for each in reversed(lives):
            each.suspected(death, alone=len(lives) == 1)
            if each.deaths > RERUNS:
                self.blamed.add(each.number)
            else:
                self.line.add_first(each)


@given(
    seats=st.integers(1, 3),
    slots=st.integers(1, 4),
    guests=st.integers(1, 60),
    poison=st.sets(st.integers(0, 59), max_size=3),
    known_ns=st.sampled_from([1_000, 1_000_000, 1_000_000_000]),
    seed=st.integers(0, 1 << 32),
)
def test_only_guests_that_kill_their_runner_are_given_up_and_all_others_end(
    seats: int, slots: int, guests: int, poison: set[int], known_ns: int, seed: int
) -> None:
    poison = {number for number in poison if number < guests}
    fleet = Fleet(seats, slots, guests, poison, known_ns)
    random = Random(seed)
    for _ in range(STEPS):
        fleet.line.hand_out(fleet.seats)
        busy = [one for one in fleet.seats if one.tasks]
        if not busy:
            break
        one = random.choice(busy)
        each = random.choice(list(one.tasks.values()))
        if each.waits:
            one.go_on(each)
        elif random.random() < 0.5:
            one.wait(each)
        else:
            fleet.end(one, each)
    assert fleet.blamed == poison
    assert fleet.ended == set(range(guests)) - poison
    # With others three times, and again when another one seems to explain that; alone until it is given up.
    assert fleet.crashes <= len(poison) * (3 * len(poison) + RERUNS + 1)
