"""Whether jobs execute durably: every kind of job once, and one that is suspended and goes on from its
journal.
"""

from typing import Final

from mvm_ci.deploy.validation.bench import Bench
from mvm_ci.deploy.validation.guest import Program, journal_problem, words
from mvm_ci.deploy.validation.ledger import Entry
from mvm_ci.deploy.validation.load import KINDS, program
from mvm_ci.deploy.validation.report import Outcome
from mvm_ci.domain.errors import NotFound
from mvm_ci.wire.api import JournalEntry

_WITHIN_S: Final = 90.0
_SLEEPER: Final = Program(kind="suspended", steps="trz6000c100000tr")
_BEFORE: Final = 2
"""Values that it has before it sleeps: the clock, and chance."""

Found = tuple[Outcome, str, list[str]]
"""How a check ended, a line on it, and more lines."""


async def durable(bench: Bench) -> Found:
    """Runs them."""
    programs = [program(kind) for kind in sorted(set(KINDS))]
    (sleeper, *others) = await bench.submit([_SLEEPER, *programs])
    for job in (sleeper, *others):
        try:
            await bench.patiently(bench.client.job, job)
        except NotFound:
            return Outcome.FAILED, f"{job} was submitted, and is not there", []
    for job, one in zip(others, programs, strict=True):
        if one.waits:
            await bench.tell_later(job)
    before = await _suspended(bench, sleeper)
    for job in others:
        entry = await bench.settled(job, _WITHIN_S)
        if entry is None:
            return _late(bench.ledger.entries[job])
    entry = await bench.settled(sleeper, _WITHIN_S)
    if entry is None:
        return _late(bench.ledger.entries[sleeper])
    wrong = [f"{problem.job}: {problem.text}" for problem in bench.ledger.problems]
    found = _went_on(entry, before, await bench.journal(sleeper))
    if isinstance(found, str):
        wrong.append(f"{sleeper}: {found}")
    if wrong:
        return Outcome.FAILED, wrong[0], wrong[1:]
    kinds = ", ".join(one.kind for one in programs)
    return (
        Outcome.PASSED,
        f"a job slept, left its worker and went on from its journal; all kinds have their results ({kinds})",
        list(found),
    )


async def _suspended(bench: Bench, job: str) -> list[JournalEntry]:
    """The journal while the job is suspended, or once it has ended."""
    for _ in range(50):
        if bench.ledger.seen[job, "suspended"] or await bench.settled(job, 0.1) is not None:
            break
    return await bench.journal(job)


def _went_on(entry: Entry, before: list[JournalEntry], after: list[JournalEntry]) -> str | list[str]:
    if entry.epoch < 2 or not before or before[-1].kind != "Slept":
        last = before[-1].kind if before else "nothing"
        return f"it was not suspended: epoch {entry.epoch}, and the last entry of its journal was {last}"
    if [_told(one) for one in after[: len(before)]] != [_told(one) for one in before]:
        return "what was in its journal while it slept has changed"
    result = str(entry.result)
    problem = journal_problem(entry.program, result, after)
    if problem is not None:
        return problem
    recorded = [text for one in before for text in _written([one])]
    if recorded != words(result)[:_BEFORE]:
        return "it went on with other values than those that were recorded before it slept"
    places = sorted({one.place for one in after})
    parts = f"{len(before)} entries are of before its sleep, {len(after) - len(before)} of after it"
    return [
        f"{entry.job}: {parts}, in epoch {entry.epoch}; at {', '.join(places)}",
        f"recorded before its sleep, and in its result: clock {recorded[0]}, random bytes {recorded[1]}",
    ]


def _told(entry: JournalEntry) -> tuple[object, ...]:
    return entry.index, entry.kind, entry.epoch, entry.place, entry.fields


def _written(entries: list[JournalEntry]) -> list[str]:
    return [str(entry.fields["text"]).strip() for entry in entries if entry.kind == "Logged"]


def _late(entry: Entry) -> Found:
    hint = f"mvm-ci job explain {entry.job} says what it waits for"
    what = f"the job {entry.job} ({entry.program.kind}) has not ended within {_WITHIN_S:.0f} s"
    return Outcome.FAILED, f"{what}; {hint}", []
