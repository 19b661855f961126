"""Verdicts in words, and as JSON."""

from typing import Any, assert_never

import msgspec

from mvm_ci.cli import output
from mvm_ci.lifecycle.rehearse import COMPUTES, ENDED, SLEEPS, Agrees, Damaged, Departs, Undecided, Verdict
from mvm_ci.wiring.replay import Replayed


def agrees(replayed: Replayed) -> bool:
    """Whether all of the journal was repeated."""
    return isinstance(replayed.verdict, Agrees) and not replayed.lost


def in_words(replayed: Replayed) -> str:
    """One line."""
    text = _verdict(replayed.verdict)
    if replayed.lost:
        text += f"; the journal's tail is torn: its last {replayed.lost} entries are lost"
    return text


def as_fields(replayed: Replayed) -> dict[str, Any]:
    """``verdict`` is ``agrees``, ``departs``, ``damaged`` or ``undecided``; the rest as that has it."""
    fields = msgspec.structs.asdict(replayed.verdict)
    return {"verdict": kind(replayed.verdict), "lost": replayed.lost, **fields}


def kind(verdict: Verdict) -> str:
    """Its word."""
    return str(type(verdict).__struct_config__.tag)


def _verdict(verdict: Verdict) -> str:
    match verdict:
        case Agrees():
            text = f"agrees with all {verdict.entries} entries; {_stands(verdict)}"
        case Departs():
            text = (
                f"departs at entry {verdict.index}: the journal records {verdict.recorded}, "
                f"but the guest asked for {verdict.asked}"
            )
        case Damaged():
            text = f"cannot be replayed: {verdict.reason}"
        case Undecided():
            text = f"undecided: {verdict.reason}"
        case _:
            assert_never(verdict)
    return text


def _stands(verdict: Agrees) -> str:
    if verdict.stands == SLEEPS:
        return f"it sleeps until {output.when(verdict.wake_ms)}"
    if verdict.stands == ENDED:
        return "it has ended"
    if verdict.stands == COMPUTES:
        return "it computes"
    return f"it would now {verdict.next}"
