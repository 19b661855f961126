"""Objectives, and which loads may speak for or against one."""

from __future__ import annotations

from typing import Any

import pytest

from mvm_ci.capacity.objective import DEFAULT, Objective, broken, fell_behind, not_counted, parse
from mvm_ci.capacity.results import Loop
from mvm_ci.domain.errors import BadInput
from tests.unit.capacity.recorded import step


@pytest.mark.parametrize(
    ("text", "expected", "written"),
    [
        ("p99=250ms", Objective("p99", 250), "p99=250ms"),
        (" p50 = 1.5s ", Objective("p50", 1500), "p50=1500ms"),
        ("p999=10ms", Objective("p999", 10), "p999=10ms"),
    ],
)
def test_an_objective_is_read_and_written(text: str, expected: Objective, written: str) -> None:
    assert parse(text) == expected
    assert str(expected) == written
    assert parse(written) == expected


@pytest.mark.parametrize(
    "text",
    ["", "p99", "p98=1ms", "p99=", "p99=250", "p99=0ms", "p99=-1ms", "p99=infs", "p99=²ms", "p99=1.2.3s"],
)
def test_what_is_none_says_how_to_write_one(text: str) -> None:
    with pytest.raises(BadInput, match=r"as (p99=)?250ms"):
        parse(text)


def test_each_quantile_needs_two_jobs_beyond_it() -> None:
    assert [Objective(name, 1).least_jobs for name in ("p50", "p90", "p99", "p999")] == [
        100,
        100,
        200,
        2_000,
    ]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, ""),
        ({"bottleneck": "its CPU was used up"}, "the generator was the bottleneck: its CPU was used up"),
        ({"failed": 1}, "3 jobs failed"),
        ({"jobs": 66}, "198 jobs are too few for p99: 200 are needed"),
        ({"jobs": 67}, ""),
        ({"batch": 10, "jobs": 600}, "180 requests are too few for p99: 200 are needed"),
        ({"batch": 10, "jobs": 670}, ""),
        ({"steady": False}, "it was not steady"),
        ({"repetitions": (), "ended_by": "interrupted"}, "nothing was measured: interrupted"),
        ({"repetitions": ()}, "nothing was measured: no repetition ended"),
    ],
)
def test_a_load_counts_or_says_why_not(fields: dict[str, Any], why: str) -> None:
    assert not_counted(step(5, jobs_per_s=50, p99=110, **fields), DEFAULT) == why


def test_an_overload_is_never_steady_and_counts_all_the_same() -> None:
    asked: dict[str, Any] = {"loop": Loop.OPEN, "rate": 100.0, "steady": False, "jobs": 10, "failed": 5}
    behind = step(5, jobs_per_s=60, p99=900, overload="rate not sustained", **asked)
    assert not_counted(behind, DEFAULT) == ""
    late = step(5, jobs_per_s=60, p99=900, overload="rate not sustained", bottleneck="it was late", **asked)
    assert not_counted(late, DEFAULT) == "the generator was the bottleneck: it was late"
    few: dict[str, Any] = {"steady": False, "failed": 5}
    assert not_counted(step(5, jobs_per_s=99, p99=900, **few), DEFAULT) == "15 jobs failed"


@pytest.mark.parametrize(
    ("jobs", "failed", "why"),
    [
        (990, 10, ""),
        (989, 11, "11 of 1000 jobs failed"),
        (0, 2, "2 of 2 jobs failed"),
        (20, 1, ""),
    ],
)
def test_many_failures_show_that_it_is_not_met(jobs: int, failed: int, why: str) -> None:
    found = step(5, jobs_per_s=99, p99=9, times=1, jobs=jobs, failed=failed)
    assert broken(found, DEFAULT) == broken(found, None) == why
    assert DEFAULT.met(found) == (not why)
    assert bool(not_counted(found, DEFAULT)) == (not why)


def test_what_broke_it_is_said() -> None:
    late = step(5, jobs_per_s=60, p99=10, loop=Loop.OPEN, rate=100.0, overload="rate not sustained")
    assert broken(late, DEFAULT) == "it fell behind"
    slow = step(5, jobs_per_s=60, p99=251)
    assert (broken(slow, DEFAULT), broken(slow, None)) == ("p99=250ms is broken", "")
    limited = step(5, jobs_per_s=60, p99=9, failed=900, bottleneck="its CPU was used up")
    assert not_counted(limited, DEFAULT).startswith("the generator was the bottleneck")


def test_one_overload_of_three_is_chance() -> None:
    good, bad = (step(5, jobs_per_s=9, p99=9, overload=words).repetitions for words in ("", "not sustained"))
    mixed = [step(5, jobs_per_s=0, p99=0, repetitions=(*good[:n], *bad[n:])) for n in range(4)]
    assert [fell_behind(one) for one in mixed] == [True, True, False, False]


def test_who_does_not_keep_up_does_not_meet_it() -> None:
    behind = step(5, jobs_per_s=60, p99=10, loop=Loop.OPEN, rate=100.0, overload="rate not sustained")
    assert fell_behind(behind)
    assert not DEFAULT.met(behind)
    batches = step(5, jobs_per_s=100, p99=10, loop=Loop.OPEN, rate=10.0, batch=10)
    assert DEFAULT.met(batches)


def test_the_value_is_the_median_of_repetitions() -> None:
    one, other, third = (step(1, jobs_per_s=10, p99=p99, times=1) for p99 in (100, 900, 200))
    mixed = step(1, jobs_per_s=0, p99=0, repetitions=one.repetitions + other.repetitions + third.repetitions)
    assert DEFAULT.value(mixed) == 200
    assert Objective("p999", 1).value(mixed) == pytest.approx(240)
