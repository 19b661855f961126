"""Jobs that are lost, doubled or wrong are found; those that are right are not."""

from __future__ import annotations

from typing import Any

import pytest

from mvm_ci.deploy.validation.guest import Program, computed
from mvm_ci.deploy.validation.ledger import Ledger
from mvm_ci.wire.api import EventView, FailureView, JobView

PROGRAM = Program(kind="compute", steps="c7")
FAMILY = Program(kind="family", steps="f2", children=("c1", "c2"))
RIGHT = computed(7)


def view(job: str, **more: Any) -> JobView:
    return JobView(id=job, **{"state": "completed", **more})


def event(job: str, kind: str, seq: int = 1) -> EventView:
    return EventView(seq=seq, at_ms=0, kind=kind, job=job)


def texts(ledger: Ledger) -> list[str]:
    return [problem.text for problem in ledger.problems]


def test_a_job_that_ended_as_it_must_is_no_problem() -> None:
    ledger = Ledger()
    ledger.happened(event("a", "submitted"), 0.9)  # may come before the answer to the submission
    ledger.submitted("a", PROGRAM, 0.5, 1.0)
    ledger.happened(event("a", "ended"), 2.0)
    assert ledger.settled(view("a"), RIGHT, 2.1) is None
    ledger.listed(view("a"), 3.0)
    ledger.close(4.0)
    assert (texts(ledger), ledger.open, ledger.kinds()) == ([], [], {"compute": 1})


def test_a_job_that_never_ends_is_lost() -> None:
    ledger = Ledger()
    ledger.submitted("a", PROGRAM, 0.5, 1.0)
    assert ledger.open == ["a"]
    ledger.close(4.0)
    assert texts(ledger) == ["compute: lost, it has not ended"]


@pytest.mark.parametrize(
    ("more", "result", "text"),
    [
        ({}, "0" * 16, "value 0 of the result is"),
        ({}, None, "the result is 'None'"),
        ({"state": "failed", "failure": FailureView(kind="trap", message="x")}, None, "failed: trap, x"),
        ({"state": "dead"}, None, "it is dead"),
        ({"state": "in_progress"}, None, "its end was told, and it is in_progress"),
        ({"attempt": 2}, RIGHT, "it took 2 attempts"),
    ],
)
def test_a_wrong_end_is_found(more: dict[str, Any], result: object, text: str) -> None:
    ledger = Ledger()
    ledger.submitted("a", PROGRAM, 0.5, 1.0)
    found = ledger.settled(view("a", **more), result, 2.0)
    assert found is not None
    assert text in found
    assert texts(ledger) == [found]


def test_a_submission_that_was_done_twice_is_found() -> None:
    ledger = Ledger()
    ledger.submitted("a", PROGRAM, 0.5, 1.0)
    ledger.listed(view("b"), 2.0)
    assert texts(ledger) == ["nobody submitted it: a submission was done twice"]


def test_an_id_that_two_jobs_have_is_found() -> None:
    ledger = Ledger()
    ledger.submitted("a", PROGRAM, 0.5, 1.0)
    ledger.submitted("a", PROGRAM, 0.5, 1.1)
    assert texts(ledger) == ["its id was given to two jobs"]


def test_an_end_that_is_told_twice_is_found() -> None:
    ledger = Ledger()
    ledger.submitted("a", PROGRAM, 0.5, 1.0)
    ledger.happened(event("a", "started", 1), 1.1)
    ledger.happened(event("a", "started", 2), 1.2)  # a new placement starts anew
    ledger.happened(event("a", "ended", 3), 1.3)
    ledger.happened(event("a", "ended", 4), 1.4)
    assert texts(ledger) == ["it was ended 2 times"]


@pytest.mark.parametrize(
    ("children", "text"),
    [(1, ["it has 1 children, and not 2"]), (2, []), (3, ["it has 3 children, and not 2"])],
)
def test_each_child_is_there_once(children: int, text: list[str]) -> None:
    ledger = Ledger()
    ledger.submitted("a", FAMILY, 0.5, 1.0)
    assert ledger.settled(view("a"), computed(1) + computed(2), 2.0) is None
    for number in range(children):
        child = view(f"child{number}", parent="a")
        ledger.listed(child, 2.0)
        ledger.listed(child, 3.0)  # it is in every list until it is removed
    ledger.close(4.0)
    assert texts(ledger) == text


def test_so_many_problems_are_counted_and_the_first_ones_told() -> None:
    ledger = Ledger()
    for number in range(1000):
        ledger.listed(view(f"x{number}"), 1.0)
    assert (ledger.wrong, len(ledger.problems)) == (1000, 200)
