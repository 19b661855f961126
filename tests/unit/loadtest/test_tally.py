"""What counts in a measured time; what the cluster used in it; and what is said of the generator."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.capacity.results import ALONE
from mvm_ci.loadtest.fleet import Sample
from mvm_ci.loadtest.tally import REASONS, Tally
from mvm_ci.loadtest.uses import Uses
from mvm_ci.loadtest.verdict import Flow, Own, bottleneck, overload

# ------------------------------------------------------------ tally


@pytest.fixture
def tally() -> Tally:
    """From 10 to 20 s."""
    made = Tally()
    made.begin(10)
    made.end(20)
    return made


def test_a_request_counts_if_it_was_due_in_the_time_and_a_job_if_it_completed_in_it(tally: Tally) -> None:
    for due, answered in ((9.0, 9.5), (9.5, 10.5), (15.0, 16.0), (19.5, 21.0), (20.5, 21.0)):
        tally.left(due, due, due)
        tally.answered(due, answered, 3)
    assert (tally.jobs, tally.done) == (6, 15)
    assert tally.latency.count == tally.late.count == 2
    assert tally.latency.mean == pytest.approx(1250)


def test_lateness_counts_from_when_nothing_held_it_back(tally: Tally) -> None:
    tally.left(12.0, 13.0, 13.005)
    assert tally.late.mean == pytest.approx(5)


def test_failures_of_other_times_do_not_count(tally: Tally) -> None:
    tally.fail(9, 5, "early")
    tally.fail(12, 2, "no")
    tally.fail(21, 5, "late")
    assert (tally.failed, tally.reasons) == (2, {"no": 2})


def test_an_answer_without_a_completed_job_is_no_latency(tally: Tally) -> None:
    tally.answered(12, 12.001, 0)
    assert tally.latency.count == 0


def test_reasons_are_few_however_many_there_are(tally: Tally) -> None:
    for number in range(10_000):
        tally.fail(12, 1, f"reason {number}")
    tally.fail(12, 7, "reason 3")
    assert len(tally.reasons) == REASONS
    assert tally.failed == 10_007
    assert tally.reasons["reason 3"] == 8


def test_who_never_got_an_answer_counts_for_as_long_as_it_waited(tally: Tally) -> None:
    tally.unheard(12, 30)
    assert tally.latency.largest == 18_000
    assert (tally.unanswered, tally.jobs) == (1, 0)


@given(st.integers(1, 100_000))
def test_those_that_never_left_are_spread_over_the_time_in_which_they_were_due(count: int) -> None:
    tally = Tally()
    tally.begin(10)
    tally.end(20)
    tally.unheard(12, 25, count)
    assert tally.latency.count == tally.unanswered == count
    assert tally.latency.largest == 13_000
    if count > 1000:
        assert tally.latency.quantile(0.5) == pytest.approx(9_000, rel=0.02)


def test_a_time_that_goes_on_is_as_long_as_it_is() -> None:
    tally = Tally()
    assert tally.span_s(5) == 0
    tally.begin(10)
    assert tally.span_s(12) == 2
    tally.end(15)
    tally.end(18)
    assert tally.span_s(30) == 5


# ------------------------------------------------------------ uses


def sample(cpu_s: float, memory_mb: float = 10, part: str = "workers") -> Sample:
    return Sample(part=part, processes=2, cpu_s=cpu_s, memory_mb=memory_mb)


def test_what_a_part_used_is_what_its_cpu_grew_by() -> None:
    uses = Uses()
    uses.look([sample(100, 30), sample(7, part="engine")], 50.0)
    uses.look([sample(102, 50), sample(7.5, part="engine")], 52.0)
    uses.look([sample(103, 40), sample(8, part="engine")], 54.0)
    workers, engine, own = uses.usage(0.25)
    assert (workers.part, workers.cpu_cores, workers.memory_mb, workers.processes) == ("workers", 0.75, 50, 2)
    assert engine.cpu_cores == 0.25
    assert (own.part, own.cpu_cores) == (ALONE, 0.25)
    assert own.memory_mb > 1


def test_a_process_that_was_killed_takes_nothing_back() -> None:
    uses = Uses()
    for at, cpu in ((10.0, 100.0), (11.0, 101.0), (12.0, 2.0), (13.0, 3.0)):
        uses.look([sample(cpu)], at)
    assert uses.usage(0)[0].cpu_cores == pytest.approx(2 / 3)


def test_one_look_tells_nothing_of_others() -> None:
    uses = Uses()
    uses.look([sample(1)], 1.0)
    assert [used.part for used in uses.usage(0)] == [ALONE]


# ------------------------------------------------------------ verdict


def own(**changes: float) -> str:
    known = {"p99_ms": 50.0, "late_p99_ms": 1.0, "lag_p99_ms": 1.0, "cpu_cores": 0.3}
    known |= {"wanted": 100, "connections": 1000}
    return bottleneck(Own(**{**known, **changes}))  # type: ignore[arg-type]


def flow(**changes: float) -> str:
    known = {
        "rate": 100.0,
        "span_s": 10.0,
        "grown": 0,
        "owed": 0,
        "unanswered": 0,
        "held_s": 0.0,
        "most": 500,
    }
    return overload(Flow(**{**known, **changes}))  # type: ignore[arg-type]


def test_a_generator_that_keeps_up_is_no_bottleneck() -> None:
    assert own() == ""
    assert own(late_p99_ms=9) == ""
    assert own(p99_ms=1, late_p99_ms=1.9) == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cpu_cores": 0.93}, "the generator used 0.93 cores"),
        ({"late_p99_ms": 11}, "1 of 100 requests left 11 ms late"),
        ({"lag_p99_ms": 12}, "answers waited up to 12 ms"),
        ({"wanted": 1000, "connections": 800}, "may open 800 connections, and not 1000: raise its limit"),
    ],
)
def test_what_makes_it_one_is_said(changes: dict[str, float], says: str) -> None:
    assert says in own(**changes)


def test_a_rate_that_is_kept_is_no_overload() -> None:
    assert flow() == ""
    assert flow(grown=100) == ""  # chance: 4 times the root of 1,000 requests
    assert flow(grown=-100) == ""
    assert flow(rate=1e6, grown=400_000) == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"grown": 300}, "300 more were under way at the end"),
        ({"owed": 300}, "300 never left"),
        ({"grown": 70, "owed": 70}, "rate not sustained: 100 requests a second were asked for in 10 s"),
        ({"held_s": 2.5}, "for 2.5 s none could leave because 500 were under way"),
        ({"grown": 300, "unanswered": 40}, "40 had no answer when they were given up"),
    ],
)
def test_a_rate_that_is_not_kept_is_told(changes: dict[str, float], says: str) -> None:
    assert says in flow(**changes)
