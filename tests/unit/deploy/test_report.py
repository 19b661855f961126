"""A report as text and as a page: whole, partial, and with strange names in it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import msgspec
import pytest

from mvm_ci.deploy.validation import judge
from mvm_ci.deploy.validation.delays import ABOUT
from mvm_ci.deploy.validation.ledger import Problem
from mvm_ci.deploy.validation.page import page
from mvm_ci.deploy.validation.report import Moment, Outcome, Report, Series
from mvm_ci.deploy.validation.text import text, verdict
from mvm_ci.domain.statistics import Summary

STRANGE = "<script>alert('&')</script>"


def report(*outcomes: Outcome, complete: bool = True, ended_by: str = "") -> Report:
    names = list(judge.TITLES)
    return Report(
        url="http://127.0.0.1:3020",
        version="1.0",
        namespace="default",
        queue="validate-1",
        began_ms=1_796_038_846_718,
        took_s=95.0,
        duration_s=60.0,
        complete=complete,
        ended_by=ended_by,
        checks=tuple(
            judge.check(name, outcome, f"found {STRANGE}", ["more"])
            for name, outcome in zip(names, outcomes, strict=False)
        ),
        jobs={"compute": 3},
        delays=dict.fromkeys(ABOUT, Summary(count=3, p50=1.5, p99=2.5, largest=3.5)),
        clock_ahead_ms=-1.25,
        clock_uncertain_ms=0.5,
        growth=(),
        figures={"jobs submitted": 3},
        problems=(Problem(1.0, "j1", STRANGE),),
        moments=(Moment(30.0, STRANGE),),
        series={"memory": Series(title="memory", unit="MiB", points=((0.0, 80.0), (95.0, 90.0)))},
        left=(STRANGE,),
    )


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (report(Outcome.PASSED, Outcome.PASSED), "all checks passed"),
        (report(Outcome.PASSED, Outcome.NOT_JUDGED), "all checks that were judged passed"),
        (report(Outcome.PASSED, Outcome.FAILED), "1 of 2 checks failed"),
        (
            report(Outcome.FAILED, complete=False),
            "PARTIAL, ended after 95 s (a check failed): 1 of 1 checks failed",
        ),
        (
            report(Outcome.UNFINISHED, complete=False, ended_by="interrupted"),
            "PARTIAL, ended after 95 s (interrupted): nothing failed until then",
        ),
    ],
)
def test_one_line_says_how_it_ended(one: Report, words: str) -> None:
    assert verdict(one) == words
    assert text(one).splitlines()[-1] == words
    assert words in page(one)


def test_the_text_has_every_check_delay_and_figure() -> None:
    told = text(report(Outcome.PASSED, Outcome.FAILED))
    for words in (
        "ok      ",
        "FAILED  ",
        "round trip",
        "-1.2 ms ahead",
        "3  jobs submitted",
        "left behind: ",
    ):
        assert words in told


def test_the_page_is_well_formed_and_executes_nothing() -> None:
    made = page(report(Outcome.PASSED, Outcome.FAILED, Outcome.NOT_JUDGED))
    root = ET.fromstring(made.removeprefix("<!DOCTYPE html>"))
    assert root.tag == "html"
    assert "<script" not in made
    assert "http" not in made.replace("http://127.0.0.1:3020", ""), "nothing is loaded from elsewhere"
    assert len(root.findall(".//svg")) == 1


def test_a_report_as_json_has_every_field() -> None:
    made = msgspec.json.decode(msgspec.json.encode(report(Outcome.PASSED)))
    assert set(made) == set(Report.__struct_fields__)
    assert made["checks"][0]["outcome"] == "passed"
