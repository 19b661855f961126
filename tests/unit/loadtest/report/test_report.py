"""Reports of load tests: whole, partial, empty, of several results, and with strange names in them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import msgspec
import pytest

from mvm_ci.capacity.curve import Run
from mvm_ci.domain.errors import BadInput
from mvm_ci.loadtest.report.groups import groups, objective_of
from mvm_ci.loadtest.report.markdown import markdown
from mvm_ci.loadtest.report.page import page
from mvm_ci.loadtest.report.pictures import pictures
from mvm_ci.loadtest.report.text import text
from tests.unit.capacity.recorded import MACHINE, RUNS, Law, ramp, recorded, run, step
from tests.unit.loadtest.report.samples import STRANGE, WEAK, grown, measured, of_minutes, soak, whole

FORMS = (page, markdown, text)
GOOD_FILES = sorted(
    path.name for path in RUNS.glob("*.json") if path.name not in {"damaged.json", "other-format.json"}
)


def parsed(runs: list[Run]) -> ET.Element:
    return ET.fromstring(page(runs).removeprefix("<!DOCTYPE html>"))


def rows(markdown_text: str, first: str) -> list[list[str]]:
    """Cells of the rows that begin with a text."""
    lines = (line for line in markdown_text.splitlines() if line.startswith(f"| {first} |"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_is_well_formed_and_executes_and_loads_nothing() -> None:
    made = page([whole()])
    root = ET.fromstring(made.removeprefix("<!DOCTYPE html>"))
    assert root.tag == "html"
    assert "<script" not in made
    assert "http" not in made.replace("http to", "")
    pictures_ = list(root.iter("svg"))
    assert all(one.attrib["role"] == "img" and one.attrib["aria-label"] for one in pictures_)
    assert len(pictures_) == 4 + 4 + 1, "two curves with four plots each, and a soak with one"


def test_markdown_has_a_table_of_knees_and_one_for_each_option() -> None:
    made = markdown([whole()])
    (knees,) = rows(made, "wait")
    assert knees[1] == "10 requests at once for each worker, closed loop"
    assert knees[2] == "50 (2,250 jobs/s)"
    assert [heading for heading in made.splitlines() if heading.startswith("### ")] == [
        "### option 1",
        "### option 2",
        "### option 4",
        "### option 4",
    ]
    assert STRANGE not in made
    assert "alert('&amp;\\|')" in made


def test_markdown_gives_the_law_of_each_curve() -> None:
    law = Law(lambda_=100.0, sigma=0.05, kappa=0.0)
    made = markdown([run(*ramp(law, (1, 2, 5, 10, 20, 50), option=4))])
    fitted = [row for row in rows(made, "option 4") if len(row) > 5]
    assert fitted[0][1] == "100"
    assert fitted[0][2] == "0.05"


def test_repetitions_are_shown_with_their_spread() -> None:
    made = markdown([run(measured(1, 30, 90, 100, 130), measured(2, 30, 150))])
    assert rows(made, "1")[0][:3] == ["1", "100", "90 to 130"]
    assert rows(made, "2")[0][:3] == ["2", "150", ""]


@pytest.mark.parametrize("form", FORMS)
def test_a_partial_result_says_so_first(form: object) -> None:
    assert callable(form)
    made = form([run(measured(1, 30, 90), complete=False, took_s=95.0, ended_by="interrupted")])
    words = "PARTIAL, ended after 95 s (interrupted)"
    assert words in made
    assert made.index(words) < (len(made) if form is text else made.index("1 load measured, 1 time in all"))


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_result_says_that_nothing_was_measured(form: object) -> None:
    assert callable(form)
    made = form([run(complete=False, ended_by="the cluster is gone", took_s=1.0)])
    assert "PARTIAL, ended after 1 s (the cluster is gone)" in made
    assert "nothing was measured" in form([run()])


@pytest.mark.parametrize("form", FORMS)
def test_what_limits_the_figures_is_said(form: object) -> None:
    assert callable(form)
    steps = (
        measured(1, 30, 90),
        measured(2, 30, 90, bottleneck="it left 40 ms late"),
        measured(5, 30, 90, steady=False),
        measured(10, 30, 90, failed=3, reasons={"guest trapped": 3}),
        msgspec.structs.replace(measured(20, 30), ended_by="the control plane did not answer"),
    )
    busy = msgspec.structs.replace(MACHINE, load_average=3.5)
    made = form([run(*steps, machine=busy, notes=("no disk was seen",))])
    for words in (
        "2 workers: the generator was the bottleneck: it left 40 ms late",
        "5 workers: it was not steady",
        "10 workers: 3 jobs failed",
        "20 workers: nothing was measured: the control plane did not answer",
        "the machine was busy before (load average 3.5)",
        "no disk was seen",
    ):
        assert words in made
    assert form is text or "3 failed: guest trapped" in made


@pytest.mark.parametrize(
    ("found", "words", "kind"),
    [
        (soak(), "none lost, no effect done twice, 2 workers killed, nothing grows", "passed"),
        (soak(lost=2), "2 LOST", "failed"),
        (soak(doubled=1), "1 effect DONE TWICE", "failed"),
        (soak(grown=(grown("workers", within_noise=False),)), "GROWS: memory of workers", "open"),
        (soak(lost=None, doubled=None), "lost ones not looked at, effects done twice not looked at", "open"),
        (soak(effects=0), "none lost, with no effects that could be done twice", "passed"),
        (soak(effects=7), "none lost, no effect done twice", "passed"),
        (soak(grown=()), "growth not judged below 10 minutes", "passed"),
        (soak(grown=(), step=of_minutes(11)), "growth not looked at", "passed"),
        (soak(failed=1), "none lost, no effect done twice", "failed"),
        (soak(problems=("a job had another result",)), "a job had another result", "failed"),
    ],
)
def test_a_soak_is_judged(found: object, words: str, kind: str) -> None:
    runs = [run(soak=found)]
    for form in FORMS:
        assert words in form(runs)
    verdicts = [one for one in parsed(runs).iter("p") if "verdict" in one.attrib.get("class", "")]
    assert [one.attrib["class"] for one in verdicts] == [f"verdict {kind}"] * 2


def test_a_load_under_which_many_failed_is_over_and_says_so() -> None:
    failing = measured(2, 30, 90, failed=300, reasons={"guest trapped": 300})
    made = markdown([run(measured(1, 30, 90), failing)])
    assert "| too many jobs failed; 300 failed: guest trapped |" in made
    assert rows(made, "wait")[0][2] == "1 (90 jobs/s)"


def test_a_soak_that_nobody_looked_into_has_no_number_of_lost_jobs() -> None:
    made = markdown([run(soak=soak(lost=None, doubled=None))])
    assert rows(made, "lost")[0][1] == "not looked at"
    assert rows(made, "effects done more than once")[0][1] == "not looked at"
    assert rows(made, "different effects") == []
    assert rows(markdown([run(soak=soak(effects=7))]), "different effects")[0][1] == "7"


@pytest.mark.parametrize("form", FORMS)
def test_the_knee_of_workers_that_only_take_their_time_is_the_control_plane_s(form: object) -> None:
    assert callable(form)
    told = "its knee is that of the control plane, and not of engines"
    assert told in form([run(*ramp(option=1, simulated=True))])
    assert told not in form([run(*ramp(option=1), *ramp(option=4, simulated=True))])


def test_a_soak_names_growth_and_losses() -> None:
    made = markdown([run(soak=soak())])
    assert rows(made, "workers")[0] == ["workers", "memory, MiB", "100", "103", "+1", "10", "within noise"]
    assert rows(made, "w1")[0] == ["w1", "300.0", "16.5", ""]
    assert rows(made, "w2")[0] == ["w2", "900.0", "", "no other one was seen"]


def test_several_results_stand_beside_each_other() -> None:
    runs = [run(*ramp(option=1), name="one.json"), run(*ramp(WEAK, option=4), name="two.json")]
    (group,) = groups(runs, objective_of(runs))
    assert [series.name for series in group.series] == ["option 1", "option 4"]
    assert len(list(parsed(runs).iter("svg"))) == 4
    assert page(runs).count("<code>") == 2


def test_the_same_option_on_two_machines_is_two_lines() -> None:
    other = msgspec.structs.replace(MACHINE, cores=64)
    runs = [run(*ramp(option=4), name="one.json"), run(*ramp(option=4), name="two.json", machine=other)]
    (group,) = groups(runs, objective_of(runs))
    assert [series.name for series in group.series] == [
        "option 4, 2 cores, AMD EPYC for all",
        "option 4, 64 cores, AMD EPYC for all",
    ]
    assert len({series.colour for series in group.series}) == 2


def test_repetitions_of_two_files_are_put_together() -> None:
    runs = [run(measured(1, 30, 90), measured(2, 30, 180), name=name) for name in ("one.json", "two.json")]
    (group,) = groups(runs, objective_of(runs))
    (series,) = group.series
    assert [len(one.step.repetitions) for one in series.measured] == [2, 2]


def test_every_step_that_counts_is_on_a_curve_with_its_point() -> None:
    runs = [whole()]
    for group in groups(runs, objective_of(runs)):
        for series in group.series:
            counted = [one.at for one in series.measured if not one.why]
            assert counted == [point.at for point in series.curve.points]


def test_a_single_load_is_told_as_it_was_given() -> None:
    made = markdown([run(step(7, jobs_per_s=50, p99=80, in_flight=1000))])
    (row,) = rows(made, "wait")
    assert row[1] == "1,000 requests at once, closed loop"
    assert row[3:5] == ["7", "50"]


@pytest.mark.parametrize("name", GOOD_FILES)
@pytest.mark.parametrize("form", FORMS)
def test_recorded_runs_are_reported(name: str, form: object) -> None:
    assert callable(form)
    made = form([recorded(name)])
    assert "wait" in made or "cpu" in made
    if form is page:
        ET.fromstring(made.removeprefix("<!DOCTYPE html>"))


def test_the_text_names_the_files_and_stays_short() -> None:
    steps = [measured(workers, 30, 90, steady=False) for workers in range(1, 31)]
    lines = text([run(*steps)], ["report.html"]).splitlines()
    assert "more in report.html" in lines
    assert "note: 18 more in the report" in lines
    assert len(lines) < 30


def test_what_a_guest_wrote_cannot_break_the_page() -> None:
    hostile = f"\x00\x1b[31m{STRANGE}\ud800"
    made = run(measured(1, 30, 90, failed=1, reasons={hostile: 1}), measured(2, 30, 90), notes=(hostile,))
    assert "\x1b" not in "".join(parsed([made]).itertext())


def test_an_objective_that_is_none_is_refused() -> None:
    with pytest.raises(BadInput, match="objective 'fast'"):
        page([run(measured(1, 30, 90), slo="fast")])


def test_pictures_are_files_of_their_own_with_names_that_differ() -> None:
    runs = [run(*ramp(option=4), *ramp(option=4, batch=10), soak=soak())]
    found = pictures(runs)
    assert {"throughput-wait.svg", "throughput-wait-2.svg", "memory-in-the-soak.svg"} < set(found)
    for svg in found.values():
        assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
