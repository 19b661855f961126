"""What a load test is to do, and when a ramp has shown enough."""

from __future__ import annotations

import pytest

from mvm_ci.capacity.objective import Objective
from mvm_ci.capacity.results import Latency, Loop, Repetition, Step
from mvm_ci.domain.errors import BadInput
from mvm_ci.loadtest.asked import MOST_IN_FLIGHT, MOST_WORKERS, Asked, Broken, Load

ONE_EACH = Load(per_worker=1)
SLO = Objective("p99", 250.0)


def asked(workers: tuple[int, ...] = (1, 2), loads: tuple[Load, ...] = (ONE_EACH,)) -> Asked:
    return Asked(profiles=("noop", "wait"), workers=workers, loads=loads)


def step(p99: float = 10.0, jobs: int = 1000, failed: int = 0, workers: int = 1) -> Step:
    one = Repetition(
        warm_up_s=1,
        measured_s=10,
        steady=True,
        jobs=jobs,
        failed=failed,
        jobs_per_s=jobs / 10,
        latency=Latency(p99=p99),
        late_p99_ms=0,
        usage=(),
    )
    return Step(
        option=4,
        profile="wait",
        workers=workers,
        slots=1,
        simulated=False,
        loop=Loop.CLOSED,
        repetitions=(one,),
    )


def test_every_profile_is_put_under_every_load_at_each_number_of_workers() -> None:
    rate = Load(rate=50)
    assert list(asked(loads=(ONE_EACH, rate)).steps()) == [
        (1, "noop", ONE_EACH),
        (1, "noop", rate),
        (1, "wait", ONE_EACH),
        (1, "wait", rate),
        (2, "noop", ONE_EACH),
        (2, "noop", rate),
        (2, "wait", ONE_EACH),
        (2, "wait", rate),
    ]


def test_a_load_says_how_many_are_under_way() -> None:
    assert Load(per_worker=3).in_flight(5) == 15
    assert Load(at_once=500).in_flight(5) == 500
    assert Load(rate=20).in_flight(5) is None
    assert Load(rate=20).told(5) == "20 requests a second"
    assert Load(per_worker=3).told(5) == "15 requests at once"


def test_what_can_only_be_a_mistake_is_refused() -> None:
    with pytest.raises(BadInput, match="--workers: 5001"):
        asked(workers=(MOST_WORKERS + 1,)).checked()
    with pytest.raises(BadInput, match="requests at once"):
        asked(workers=(1, 1000), loads=(Load(per_worker=MOST_IN_FLIGHT // 1000 + 1),)).checked()
    assert asked(workers=(MOST_WORKERS,)).checked() == asked(workers=(MOST_WORKERS,))


def test_a_ramp_of_workers_ends_when_two_steps_broke() -> None:
    broken = Broken(SLO)
    assert broken.look(ONE_EACH, step(p99=251)) == "p99=250ms is broken"
    assert not broken.left_out(2, "wait", ONE_EACH)
    assert broken.look(ONE_EACH, step(p99=249)) == ""
    broken.look(ONE_EACH, step(p99=300, workers=2))
    assert not broken.left_out(5, "wait", ONE_EACH)
    broken.look(ONE_EACH, step(p99=300, workers=5))
    assert broken.left_out(10, "wait", ONE_EACH)
    assert not broken.left_out(10, "noop", ONE_EACH)
    assert not broken.left_out(10, "wait", Load(per_worker=2))


def test_a_ramp_of_rates_ends_for_its_number_of_workers_alone() -> None:
    broken = Broken(SLO)
    for rate in (100, 200):
        broken.look(Load(rate=rate), step(p99=300, workers=5))
    assert broken.left_out(5, "wait", Load(rate=400))
    assert not broken.left_out(10, "wait", Load(rate=100))


def test_failed_jobs_break_it_without_an_objective() -> None:
    broken = Broken(None)
    assert broken.look(ONE_EACH, step(p99=60_000)) == ""
    assert broken.look(ONE_EACH, step(jobs=990, failed=10)) == ""
    assert broken.look(ONE_EACH, step(jobs=980, failed=20)) == "20 of 1000 jobs failed"


def test_a_step_that_measured_nothing_broke() -> None:
    nothing = Step(
        option=4,
        profile="wait",
        workers=1,
        slots=1,
        simulated=False,
        loop=Loop.CLOSED,
        repetitions=(),
        ended_by="the control plane is gone",
    )
    assert Broken(None).look(ONE_EACH, nothing) == "the control plane is gone"
