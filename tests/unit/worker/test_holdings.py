"""Which placements a worker has, and how many more it asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed, Released
from mvm_ci.ports.engine import Ended, Hosted
from mvm_ci.testing.clock import FakeClock
from mvm_ci.worker.holdings import FIRST_PREFETCH, MAX_PREFETCH, PREFETCH_MS, STUCK_MS, Holdings, Prefetch

DONE = Completed(b"1")


def placed(job: int) -> Placed:
    return Placed(JobId(job), 1)


@dataclass
class Engine:
    """As much of one as is looked at."""

    slots: int
    extra: int = 0
    capacity: int = 256
    runners: int = 1


def holdings(
    slots: int = 4, engine: Engine | None = None, *, reachable: Callable[[], bool] = lambda: True
) -> tuple[Holdings, FakeClock]:
    clock = FakeClock()
    made = Holdings(clock)
    made.fitted(cast("Hosted", engine or Engine(slots)), reachable)
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


def test_guests_that_wait_make_room_for_others_until_the_engine_is_full() -> None:
    engine = Engine(slots=2)
    have, _ = holdings(engine=engine)
    have.placed([placed(job) for job in range(200)])
    have.started([placed(job) for job in range(200)])
    assert have.wanted(0) < 0
    engine.extra = 199
    assert have.wanted(0) == 2 + FIRST_PREFETCH - 1
    assert have.wanted(3) == 0
    have.placed([placed(job) for job in range(200, 255)])
    engine.extra = 254
    assert have.wanted(0) == 256 - 255


def fetched(computed_ns: int, *, waits: bool) -> int:
    """How many jobs a worker has at most when all of them compute for so long; ``waits``: in place, too."""
    engine = Engine(slots=2)
    have, _ = holdings(engine=engine)
    job = most = 0
    for _ in range(20):
        jobs = [placed(job + number) for number in range(have.wanted(0))]
        job += len(jobs)
        have.placed(jobs)
        have.started(jobs[:256])
        engine.extra = len(have.running) if waits else 0
        while waits and (more := have.wanted(0)) > 0:
            jobs += [placed(job + number) for number in range(more)]
            have.placed(jobs[-more:])
            job += more
        most = max(most, len(jobs))
        have.ended([Ended(placed=one, outcome=DONE, run_ns=computed_ns) for one in jobs])
    return most


def test_quick_jobs_are_fetched_ahead_as_many_as_run_in_a_moment() -> None:
    assert fetched(50_000, waits=False) == 2 + MAX_PREFETCH
    assert fetched(1_000_000, waits=False) == 2 + int(PREFETCH_MS)


def test_jobs_that_wait_in_place_are_not_hoarded_beyond_what_the_engine_holds() -> None:
    assert fetched(50_000, waits=True) <= 256


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
    assert middling.allowed == PREFETCH_MS / 2


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


def test_jobs_are_stuck_behind_guests_that_compute_not_behind_those_that_wait() -> None:
    have, clock = holdings(engine=Engine(slots=1, extra=2))
    released: list[bool] = []
    have.placed([placed(job) for job in range(1, 5)])
    have.started([placed(job) for job in range(1, 3)])
    clock.jump(STUCK_MS)
    have.release_stuck(lambda: released.append(True))
    assert released == []  # both wait: the slot is free
    have.started([placed(3)])
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


def test_of_a_shared_engine_no_more_is_held_than_the_share_of_it() -> None:
    engine = Engine(slots=2, capacity=5)
    clock = FakeClock()
    have = Holdings(clock)
    have.fitted(cast("Hosted", engine), lambda: True, shared=True)
    have.engine_started()
    have.prefetch.allowed = MAX_PREFETCH
    assert have.wanted(0) == 5
    engine.capacity = 2
    assert have.wanted(0) == 2


def test_of_an_engine_that_is_not_reached_nothing_is_wanted() -> None:
    reached = False
    have, _ = holdings(reachable=lambda: reached)
    assert have.wanted(0) == 0
    reached = True
    assert have.wanted(0) > 0
