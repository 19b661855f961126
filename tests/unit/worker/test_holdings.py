"""Which placements a worker has, and how many more it asks for."""

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed, Released
from mvm_ci.ports.engine import Ended
from mvm_ci.testing.clock import FakeClock
from mvm_ci.worker.holdings import FIRST_PREFETCH, MAX_PREFETCH, STUCK_MS, Holdings, Prefetch

DONE = Completed(b"1")


def placed(job: int) -> Placed:
    return Placed(JobId(job), 1)


def holdings(slots: int = 4) -> tuple[Holdings, FakeClock]:
    clock = FakeClock()
    made = Holdings(clock)
    made.slots, made.capacity = slots, 256
    made.engine_started()
    return made, clock


def ended(*jobs: int) -> list[Ended]:
    return [Ended(placed=placed(job), outcome=DONE) for job in jobs]


def test_it_asks_for_its_slots_and_two_more_less_what_it_has() -> None:
    have, _ = holdings()
    assert have.wanted(0) == 4 + FIRST_PREFETCH
    have.placed([placed(1), placed(2)])
    assert have.wanted(1) == 3
    have.draining = True
    assert have.wanted(0) == 0


def test_short_jobs_may_wait_in_numbers_and_long_ones_not_at_all() -> None:
    short, long = Prefetch(), Prefetch()
    for _ in range(10):
        short.ran(1, 100)
    assert short.allowed == MAX_PREFETCH
    long.ran(5_000, 1)
    assert long.allowed == 0
    middling = Prefetch()
    for _ in range(10):
        middling.ran(20, 10)
    assert middling.allowed == 10


def test_run_times_that_change_change_it() -> None:
    prefetch = Prefetch()
    for _ in range(10):
        prefetch.ran(1, 100)
    for _ in range(5):
        prefetch.ran(1_000, 10)
    assert prefetch.allowed == 0


def test_waiting_jobs_are_released_only_behind_long_ones() -> None:
    have, clock = holdings(slots=1)
    released: list[bool] = []
    have.placed([placed(1), placed(2)])
    clock.jump(STUCK_MS)
    have.release_stuck(lambda: released.append(True))
    assert released == []  # the slot is free: they wait for something else, a compilation
    have.started([placed(1)])
    have.release_stuck(lambda: released.append(True))
    assert released == [True]
    assert have.prefetch.allowed == 0
    have.ended([Ended(placed=placed(2), outcome=Released())])
    assert have.wanted(0) == 0  # not the same again
    have.release_stuck(lambda: released.append(True))
    assert released == [True]


def test_what_was_dropped_is_not_reported() -> None:
    have, _ = holdings()
    have.placed([placed(1), placed(2), placed(3)])
    have.started([placed(1), placed(2)])
    have.forget([placed(1)])
    have.ended(ended(1, 2))
    assert list(have.outbox.unrecorded) == [placed(2)]
    assert set(have.all()) == {placed(2), placed(3)}
    have.started([placed(1)])
    assert have.running == ()
