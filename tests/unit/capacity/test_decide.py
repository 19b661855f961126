"""The answer to "proceed with option 1?", on recorded runs of each kind, and what must hold for any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvm_ci.capacity import record
from mvm_ci.capacity.curve import Run
from mvm_ci.capacity.decide import HEADROOM, Decision, Question, Verdict, decide
from mvm_ci.capacity.objective import DEFAULT
from mvm_ci.capacity.results import Cluster, Machine, Step, read
from mvm_ci.domain.errors import BadInput
from tests.unit.capacity.recorded import (
    BEGAN_MS,
    MACHINE,
    RUNS,
    STRONG,
    WEAK,
    Law,
    files,
    open_loop,
    ramp,
    recorded,
    run,
    step,
)

YES, NO, NOT_ENOUGH = Verdict.YES, Verdict.NO, Verdict.NOT_ENOUGH
APART = msgspec.structs.replace(MACHINE, shared=False)


def asked(workers: int, rate: float | None = None, *runs: Run, **fields: Any) -> Decision:
    question = Question(
        workers=workers, jobs_per_s=workers * 10.0 if rate is None else rate, objective=DEFAULT, **fields
    )
    return decide(question, runs, BEGAN_MS)


def test_the_committed_files_are_those_of_the_laws() -> None:
    assert {name: (RUNS / name).read_bytes() for name in files()} == files()


@pytest.mark.parametrize(
    ("name", "workers", "verdict", "words"),
    [
        (
            "clear-yes.json",
            40,
            YES,
            "less than 30% is free: 50 workers with 500 jobs/s: 5,000 ms does not meet",
        ),
        ("clear-yes.json", 100, YES, "less than 30% is free"),
        ("clear-yes.json", 21, NO, "30% and more are free: 30 workers with 300 jobs/s"),
        ("clear-yes.json", 30, NOT_ENOUGH, "43 workers with 429 jobs/s, of which the present one leaves 30%"),
        ("clear-no.json", 10, NO, "100 workers with 1,000 jobs/s: 103.6 ms meets p99=250ms"),
        ("clear-no.json", 70, NO, "30% and more are free"),
        ("clear-no.json", 71, NOT_ENOUGH, "102 workers with 1,020 jobs/s"),
        ("never-breaks.json", 7, NO, "30% and more are free"),
        ("never-breaks.json", 10, NOT_ENOUGH, "were not measured"),
        ("too-few-points.json", 1, NOT_ENOUGH, "2 loads count; 3 are needed"),
        ("interrupted.json", 1, NOT_ENOUGH, "2 loads count; 3 are needed"),
        ("generator-bound.json", 5, NOT_ENOUGH, "0 loads count"),
        ("unsteady.json", 5, NOT_ENOUGH, "0 loads count"),
        ("failures.json", 5, NOT_ENOUGH, "0 loads count"),
        ("too-few-jobs.json", 5, NOT_ENOUGH, "0 loads count"),
        ("other-profile.json", 5, NOT_ENOUGH, "no load of a shared engine was measured"),
        ("only-simulated.json", 5, NOT_ENOUGH, "no load of a shared engine was measured"),
    ],
)
def test_each_kind_of_run_has_its_answer(name: str, workers: int, verdict: Verdict, words: str) -> None:
    found = asked(workers, None, recorded(name), profile="wait")
    assert found.verdict is verdict
    assert words in found.why[0]
    assert bool(found.missing) == (verdict is NOT_ENOUGH)


@pytest.mark.parametrize(
    ("name", "words"),
    [("other-format.json", "has format 99"), ("damaged.json", "is not what mvm-ci loadtest")],
)
def test_files_that_are_none_are_refused(name: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        read((RUNS / name).read_bytes(), name)


def test_what_is_missing_comes_with_the_run_that_would_tell() -> None:
    found = asked(10, 100, recorded("never-breaks.json"))
    (one,) = found.missing
    assert one.command == (
        "mvm-ci loadtest --local --option 4 --jobs wait --workers 10,15 --rate 100,143 --slo p99=250ms "
        "--output decide.json"
    )
    (nothing,) = asked(2, 3, option=2, profile="crawl").missing
    assert nothing.command == (
        "mvm-ci loadtest --local --option 2 --jobs-file crawl.toml --workers 2,3 --rate 3,4.29 "
        "--measure 27s --slo p99=250ms --output decide.json"
    )


@pytest.mark.parametrize(("law", "verdict"), [(STRONG, NO), (WEAK, YES)])
@pytest.mark.parametrize("workers", [10, 45])
def test_the_run_that_was_missing_is_enough(law: Law, verdict: Verdict, workers: int) -> None:
    first = run(*open_loop((1, 2, 5), law), name="first.json")
    found = asked(workers, None, first)
    assert found.verdict is NOT_ENOUGH
    more_workers, faster = found.wanted
    more = [
        one
        for n in (workers, more_workers)
        for rate in (workers * 10.0, faster)
        for one in open_loop((n,), law, rate=rate)
    ]
    then = asked(workers, None, first, run(*more, name="more.json"))
    assert then.verdict is (NO if workers == 10 else verdict), then.why


def test_workers_that_are_not_trusted_rule_it_out_whatever_was_measured() -> None:
    assert asked(100, None, recorded("clear-yes.json"), untrusted_machines=True).verdict is NO
    both = asked(100, None, untrusted_machines=True, untrusted_jobs=True)
    assert both.verdict is NO
    assert "option 3" in both.why[0]
    assert both.missing == ()


def test_jobs_that_are_not_trusted_call_for_it_whatever_was_measured() -> None:
    assert asked(1, None, recorded("clear-no.json"), untrusted_jobs=True).verdict is YES
    assert asked(1, None, untrusted_jobs=True).verdict is YES


def test_runs_that_contradict_each_other_decide_nothing() -> None:
    good = run(*(step(n, jobs_per_s=n * 10, p99=100) for n in (10, 20, 50)), name="good.json")
    bad = run(*(step(n, jobs_per_s=n * 10, p99=400) for n in (11, 21)), name="bad.json")
    found = asked(30, None, good, bad)
    assert found.verdict is NOT_ENOUGH
    assert "contradict each other: 50 workers with 500 jobs/s: 100 ms meets p99=250ms, 11" in found.why[0]


def test_jobs_that_are_slower_than_the_objective_by_themselves_decide_nothing() -> None:
    found = asked(30, None, run(*(step(n, jobs_per_s=n, p99=900) for n in (1, 2, 5))))
    assert found.verdict is NOT_ENOUGH
    assert "perhaps these jobs take longer, or fail, by themselves" in found.why[0]


def test_options_or_jobs_that_do_not_agree_must_be_named() -> None:
    both = run(
        *open_loop((1, 2, 5, 10, 20, 30, 50, 100), WEAK, option=2),
        *open_loop((1, 2, 5, 10, 20, 30, 50, 100), STRONG, option=4),
    )
    found = asked(45, None, both)
    assert found.verdict is NOT_ENOUGH
    assert found.why[-1] == "they do not agree: say which one it is about, by --option and --jobs"
    assert asked(45, None, both, option=2).verdict is YES
    assert asked(45, None, both, option=4).verdict is NO


def test_simulated_followers_count_at_a_shared_engine() -> None:
    found = asked(50, None, run(*open_loop((1, 10, 100), STRONG, simulated=True)))
    assert found.verdict is NO
    assert "100 simulated workers" in found.why[0]


def test_a_cluster_that_runs_is_measured_where_it_is() -> None:
    cluster = Cluster(address="http://ci.example:3020", version="0.5.0")
    there = run(*open_loop((1, 2, 5), STRONG, option=None), cluster=cluster)
    assert asked(3, None, there).verdict is NOT_ENOUGH, "nobody knows where its engine is"
    assert asked(3, None, there, option=4).verdict is NO
    command = asked(10, None, there, option=4).missing[0].command
    assert command.startswith("mvm-ci loadtest --jobs wait --workers 10,15")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"simulated": True}, "--local --option 4 --simulated --jobs wait"),
        ({"slots": 4}, "--local --option 4 --slots 4 --jobs wait"),
        ({"simulated": True, "slots": 4}, "--local --option 4 --simulated --slots 4 --jobs wait"),
    ],
)
def test_the_run_that_is_missing_is_like_those_before(fields: dict[str, Any], words: str) -> None:
    (missing,) = asked(10, None, run(*open_loop((1, 2, 5), STRONG, **fields))).missing
    assert words in missing.command
    mixed = run(*open_loop((1, 2, 5), STRONG), *open_loop((1, 2, 5), STRONG, **fields))
    assert "--local --option 4 --jobs wait" in asked(10, None, mixed).missing[0].command


def test_many_at_once_on_few_workers_are_no_evidence_for_option_1() -> None:
    crowd = run(*(step(10, jobs_per_s=900, p99=2000 + n, in_flight=n) for n in (100, 500, 1000)))
    ramp_ = run(*open_loop((1, 2, 5), STRONG))
    found = asked(20, 900, crowd, ramp_)
    assert found.verdict is NOT_ENOUGH
    assert found.findings[0].counted == 3, "those of the ramp"


def test_a_load_under_which_jobs_fail_is_too_much() -> None:
    failing = run(*open_loop((1, 2, 5), STRONG), *open_loop((10,), STRONG, failed=400))
    found = asked(8, None, failing)
    assert found.verdict is YES
    assert "10 workers with 100 jobs/s: " in found.why[0]
    assert "and 1,200 failed jobs does not meet p99=250ms" in found.why[0]


@pytest.mark.parametrize(("workers", "rate"), [(0, 10.0), (1, 0.0), (1, -1.0)])
def test_there_must_be_a_load_to_ask_about(workers: int, rate: float) -> None:
    with pytest.raises(BadInput, match="give --workers and --rate"):
        asked(workers, rate)


ORDER = {NO: 0, NOT_ENOUGH: 1, YES: 2}
_sizes = st.integers(1, 200)
_steps = st.lists(
    st.builds(
        lambda workers, rate, p99: step(workers, jobs_per_s=rate, p99=p99),
        st.integers(1, 120),
        st.floats(1, 2000),
        st.sampled_from([100.0, 249.0, 251.0, 900.0]),
    ),
    max_size=8,
    unique_by=lambda one: one.workers,  # what is measured twice is repetitions of one load
)


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(["clear-yes.json", "clear-no.json", "never-breaks.json"]), _sizes, _sizes, st.floats(1, 3)
)
def test_more_workers_or_a_higher_rate_never_turn_yes_into_no(
    name: str, workers: int, more: int, factor: float
) -> None:
    here = asked(workers, workers * 10.0, recorded(name))
    there = asked(workers + more, workers * 10.0 * factor, recorded(name))
    assert ORDER[there.verdict] >= ORDER[here.verdict]


@settings(deadline=None, max_examples=50)
@given(_steps, _sizes, st.floats(1, 2000), _sizes, st.floats(0, 2000))
def test_a_yes_stays_one_under_more_load_or_is_contradicted(
    steps: Sequence[Step], workers: int, rate: float, more: int, faster: float
) -> None:
    here = asked(workers, rate, run(*steps))
    there = asked(workers + more, rate + faster, run(*steps))
    if here.verdict is YES:
        assert there.verdict is YES
    if there.verdict is NO:
        assert here.verdict is not YES


@settings(deadline=None, max_examples=50)
@given(st.data(), _steps, _sizes, st.floats(1, 2000))
def test_evidence_that_is_taken_away_never_turns_the_answer_round(
    data: st.DataObject, steps: list[Step], workers: int, rate: float
) -> None:
    full = asked(workers, rate, run(*steps))
    kept = data.draw(st.lists(st.sampled_from(steps), unique_by=lambda one: one.workers)) if steps else []
    less = asked(workers, rate, run(*kept))
    if full.verdict is not NOT_ENOUGH:
        assert less.verdict in (full.verdict, NOT_ENOUGH)
    assert asked(workers, rate).verdict is NOT_ENOUGH


@settings(deadline=None, max_examples=50)
@given(_sizes, st.floats(1, 2000))
def test_no_answer_without_loads_that_count(workers: int, rate: float) -> None:
    names = (
        "generator-bound.json",
        "unsteady.json",
        "failures.json",
        "too-few-jobs.json",
        "only-simulated.json",
    )
    runs = [recorded(name) for name in (*names, "too-few-points.json", "interrupted.json")]
    kept = [one for one in runs if one.name not in ("too-few-points.json", "interrupted.json")]
    assert asked(workers, rate, *kept).verdict is NOT_ENOUGH


def test_what_option_1_costs_comes_from_the_runs_or_says_that_it_does_not() -> None:
    measured = asked(30, None, recorded("clear-yes.json")).option_one.memory
    assert [(str(one), str(other)) for one, other in measured] == [
        ("78 MiB", "46 MiB"),
        ("2,391 MiB", "1,537 MiB"),
    ]
    assert {figure.origin for figure in measured[0]} == {"measured"}
    documented = asked(30, None).option_one.memory
    assert {figure.origin for figure in documented[0]} == {"documented"}
    assert "docs/performance.md" in documented[0][0].source


def _ramps(machine: Machine) -> Run:
    return run(*ramp(Law(sigma=0.001, kappa=0.0), option=1), *ramp(option=4), machine=machine)


def test_linearity_is_evidence_only_where_workers_had_machines_of_their_own() -> None:
    assert "no evidence: generator" in asked(9, 9, _ramps(MACHINE)).option_one.linearity_says
    apart = asked(9, 9, _ramps(APART)).option_one
    assert apart.linearity_says.startswith("sigma: work that is done in turn")
    assert [round(one.sigma, 6) for one in apart.linearity] == [0.001, 0.02]
    assert "not measured" in asked(9, 9, recorded("never-breaks.json")).option_one.linearity_says


def test_what_one_control_plane_bears_is_said() -> None:
    simulated = recorded("only-simulated.json")
    assert asked(50, None, simulated).option_one.control_plane.startswith("one control plane bears this load")
    assert "was not measured" in asked(500, None, simulated).option_one.control_plane
    weak = run(*open_loop((1, 10, 100), WEAK, option=1, simulated=True))
    assert "does not bear" in asked(200, None, weak).option_one.control_plane


def test_the_record_holds_all_that_it_rests_on() -> None:
    text = record.markdown(asked(40, 400, recorded("clear-yes.json")))
    for words in (
        "# Proceed with option 1?\n\nDate: 2026-11-30\n",
        "40 workers with 400 jobs/s (given)",
        "**Yes, proceed with option 1.**",
        f"{HEADROOM:.0%} of the capacity free: so 58 workers with 572 jobs/s must meet it",
        "30 workers meet p99=250ms, with 300 jobs/s; 50 do not (interpolated: 30.36)",
        "headroom: at least -33% (30 workers with 300 jobs/s: 162.8 ms); less than 20% (50 workers",
        "## Consequences",
        "docs/deployment/moving.md",
        "## When to look again",
        "clear-yes.json, 2026-11-30: loadtest --local --option 4 --jobs wait (2 cores, AMD EPYC",
    ):
        assert words in text
    missing = record.markdown(asked(10, 100, recorded("never-breaks.json")))
    assert "**Not enough evidence.**" in missing
    assert "\n    mvm-ci loadtest --local --option 4" in missing


def test_a_no_says_at_which_numbers_to_look_again() -> None:
    found = asked(10, 100, recorded("clear-no.json"))
    assert found.again[0].startswith("option 4, wait: beyond 70 workers or 700 jobs/s")


def test_the_text_says_what_was_left_out_and_why() -> None:
    text = record.text(asked(5, 50, recorded("generator-bound.json")))
    assert (
        "1, 2, 5, 10, 20, 30, 50, 100 workers not counted: the generator was the bottleneck: it left 40 ms"
        in text
    )
