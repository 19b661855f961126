"""How long jobs took, right after known events."""

from __future__ import annotations

from mvm_ci.domain.histogram import Histogram
from mvm_ci.domain.ids import JobId, first_id_of
from mvm_ci.domain.job import Placed
from mvm_ci.lifecycle.job_times import JobTimes
from mvm_ci.testing.clock import FakeClock


def submitted(ms: int, serial: int = 0) -> JobId:
    return JobId(first_id_of(ms) + serial)


def up_to(histogram: Histogram, bound: float) -> int:
    return histogram.cumulative()[histogram.bounds.index(bound)]


def test_a_claim_counts_from_the_submission() -> None:
    times = JobTimes(FakeClock())
    placements = [Placed(submitted(1_000, serial), 1) for serial in (0, 1)] + [Placed(submitted(1_300), 1)]
    times.claimed(placements, 1_400)
    assert (times.claims, times.claim_s.count) == (3, 3)
    assert times.claim_s.total == 0.4 + 0.4 + 0.1
    assert (up_to(times.claim_s, 0.05), up_to(times.claim_s, 0.1), up_to(times.claim_s, 0.5)) == (0, 1, 3)


def test_only_the_first_claim_of_a_job_has_a_time() -> None:
    times = JobTimes(FakeClock())
    times.claimed([Placed(submitted(1_000), 2)], 9_000)
    assert (times.claims, times.claim_s.count) == (1, 0)


def test_a_clock_that_stepped_back_makes_no_negative_time() -> None:
    times = JobTimes(FakeClock())
    times.claimed([Placed(submitted(5_000), 1)], 4_000)
    assert (times.claim_s.count, times.claim_s.total) == (1, 0)


def test_starts_are_told_in_milliseconds() -> None:
    times = JobTimes(FakeClock())
    times.started([])
    times.started([0, 30, 250])
    assert (times.start_s.count, times.start_s.total) == (3, 0.28)
    assert (up_to(times.start_s, 0.025), up_to(times.start_s, 0.25)) == (1, 3)


def test_an_end_counts_from_the_submission_and_is_nobody_s_concern() -> None:
    clock = FakeClock(now_ms=10_000)
    times = JobTimes(clock)
    assert not times.concerns(submitted(4_000))
    times.ended([submitted(4_000), submitted(9_999)])
    assert times.end_s.count == 2
    assert times.end_s.total == 6.001
