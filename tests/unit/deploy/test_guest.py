"""What must come of the jobs of a validation, and what is found wrong with their journals."""

from __future__ import annotations

from typing import Any

import pytest

from mvm_ci.deploy.validation.guest import (
    Program,
    computed,
    job_input,
    journal_problem,
    module,
    result_problem,
    words,
)
from mvm_ci.deploy.validation.load import KINDS, program
from mvm_ci.domain.module import inspect
from mvm_ci.wire.api import DAMAGE, JournalEntry

CLOCK = 1_796_038_846_718
WORD = "0123456789abcdef"
SLEEPER = Program(kind="sleep", steps="tz10t")
RESULT = f"{CLOCK:016x}{CLOCK + 12:016x}"


def entry(index: int, kind: str, epoch: int = 1, **fields: Any) -> JournalEntry:
    return JournalEntry(attempt=1, index=index, kind=kind, summary="", epoch=epoch, fields=fields)


def journal(clock: int = CLOCK) -> list[JournalEntry]:
    return [
        entry(0, "Began"),
        entry(1, "Placement"),
        entry(2, "ClockRead", value_ns=clock * 1_000_000 + 999_999),
        entry(3, "Logged", text=f"{clock:016x}\n"),
        entry(4, "Slept"),
        entry(5, "Placement", epoch=2),
        entry(6, "ClockRead", epoch=2, value_ns=(CLOCK + 12) * 1_000_000),
        entry(7, "Logged", epoch=2, text=f"{CLOCK + 12:016x}\n"),
        entry(8, "Finished", epoch=2),
    ]


def test_the_guest_is_a_module_that_the_host_runs() -> None:
    assert "run" in inspect(module()).exports


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 100, 1001])
def test_a_computation_is_known_beforehand(turns: int) -> None:
    value = 1
    for _ in range(turns):
        value = (value * 6364136223846793005 + 1442695040888963407) % (1 << 64)
    assert computed(turns) == f"{value:016x}"


def test_the_input_holds_the_steps_and_what_children_are_to_do() -> None:
    family = Program(kind="family", steps="f1", children=("c1",))
    assert (
        bytes(job_input(family, {"module": "m"})) == b'["f1",{"jobs":[{"module":"m","input":["c1",null]}]}]'
    )
    assert bytes(job_input(Program(kind="x", steps="t"), {"module": "m"})) == b'["t",null]'


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_every_kind_of_job_has_values_of_which_the_known_ones_are_checked(kind: str) -> None:
    one = program(kind)
    values = one.values()
    assert values
    right = "".join(value or "1" * 16 for value in values)
    assert result_problem(one, right) is None
    assert len(words(right)) == len(values)
    if any(values):
        assert result_problem(one, "f" * len(right)) is not None
    assert result_problem(one, right[:-1]) is not None


def test_a_clock_that_goes_back_is_wrong() -> None:
    assert result_problem(SLEEPER, RESULT) is None
    assert result_problem(SLEEPER, "".join(reversed(words(RESULT)))) == "its clock went back"
    assert "values" in (result_problem(SLEEPER, "z" * 32) or "values")


def test_a_journal_that_agrees_with_the_result_is_right() -> None:
    assert journal_problem(SLEEPER, RESULT, journal()) is None


def without(index: int) -> list[JournalEntry]:
    return [one for one in journal() if one.index != index]


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ([], "beginning to its end"),
        (without(0), "beginning to its end"),
        (without(8), "beginning to its end"),
        (without(3), "1 values"),
        ([*journal()[:8], entry(8, "Logged", epoch=2, text=WORD), entry(9, "Finished", epoch=2)], "3 values"),
        (without(4), "slept 0 times"),
        ([*journal()[:5], entry(5, "Slept"), *journal()[6:]], "slept 2 times"),
        (journal(CLOCK + 1), "output"),
        ([*journal()[:2], entry(2, "ClockRead", value_ns=5), *journal()[3:]], "clock"),
        ([*journal()[:7], entry(7, "Logged", text=f"{CLOCK + 12:016x}"), journal()[8]], "epochs go back"),
        ([*journal()[:8], entry(8, "Called", epoch=2), journal()[8]], None),
        ([*journal()[:8], entry(8, DAMAGE)], "damaged"),
    ],
)
def test_effects_that_are_missing_repeated_or_changed_are_found(
    entries: list[JournalEntry], text: str | None
) -> None:
    found = journal_problem(SLEEPER, RESULT, entries)
    assert (found is None) if text is None else (text in (found or ""))


def test_children_that_were_started_twice_are_found() -> None:
    family = Program(kind="family", steps="f1", children=("c1",))
    began, ended = entry(0, "Began"), entry(9, "Finished")
    started = entry(1, "Called", summary="child.start with 99 bytes")
    told = entry(2, "Logged", text=computed(1))
    assert journal_problem(family, computed(1), [began, started, told, ended]) is None
    assert "2 times" in (journal_problem(family, computed(1), [began, started, started, told, ended]) or "")
    assert "0 times" in (journal_problem(family, computed(1), [began, told, ended]) or "")
