"""The books on all jobs of a validation: what was asked for, what was seen of it, what is wrong. Pure."""

from collections import Counter
from typing import Final

import msgspec

from mvm_ci.client.waiting import ENDED
from mvm_ci.deploy.validation.guest import Program, result_problem
from mvm_ci.wire.api import EventView, JobView

_KEPT: Final = 200
"""Problems that are told; more are only counted."""


class Problem(msgspec.Struct, frozen=True):
    """Something that must not be. ``at_s``: since the beginning; ``job``: its id."""

    at_s: float
    job: str
    text: str


class Entry(msgspec.Struct, kw_only=True):
    """One job. Times are seconds since the beginning; ``sent_s``: of the request; ``ended_s``: its event
    came; ``settled_s``: its end was looked at.
    """

    job: str
    program: Program
    sent_s: float
    submitted_s: float
    told_s: float | None = None
    ended_s: float | None = None
    settled_s: float | None = None
    epoch: int = 0
    losses: int = 0
    result: object = None
    children: set[str] = msgspec.field(default_factory=set)


class Ledger:
    """All jobs, by id."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.problems: list[Problem] = []
        self.wrong = 0
        """How many problems there were."""
        self.seen: Counter[tuple[str, str]] = Counter()
        """Events by job and kind; they may come before the answer to the submission."""
        self._open: set[str] = set()

    def submitted(self, job: str, program: Program, sent_s: float, at_s: float) -> Entry:
        """A submission was answered that was sent at ``sent_s``. The same id twice is a problem."""
        if job in self.entries:
            self.problem(at_s, job, "its id was given to two jobs")
        entry = self.entries[job] = Entry(job=job, program=program, sent_s=sent_s, submitted_s=at_s)
        self._open.add(job)
        return entry

    def happened(self, event: EventView, at_s: float) -> None:
        """An event of a job of this validation."""
        job = event.job or ""
        self.seen[job, event.kind] += 1
        if event.kind in {"submitted", "ended"} and self.seen[job, event.kind] > 1:
            self.problem(at_s, job, f"it was {event.kind} {self.seen[job, event.kind]} times")

    def settled(self, view: JobView, result: object, at_s: float) -> str | None:
        """A job's end was looked at: the problem, if it is not as it must be. ``result``: the value of its
        result.
        """
        entry = self.entries[view.id]
        entry.settled_s, entry.result = at_s, result
        entry.epoch, entry.losses = view.epoch, view.losses
        self._open.discard(view.id)
        found = _ending(view) or result_problem(entry.program, result)
        if found is not None:
            self.problem(at_s, view.id, found)
        return found

    def listed(self, view: JobView, at_s: float) -> None:
        """A job is in the list of those of this validation: there must be no other."""
        if view.id in self.entries:
            return
        parent = self.entries.get(view.parent or "")
        if parent is None:
            self.problem(at_s, view.id, "nobody submitted it: a submission was done twice")
        else:
            parent.children.add(view.id)

    def problem(self, at_s: float, job: str, text: str) -> None:
        """Writes one down."""
        self.wrong += 1
        if len(self.problems) < _KEPT:
            self.problems.append(Problem(at_s, job, text))

    @property
    def open(self) -> list[str]:
        """Jobs whose end was not looked at."""
        return sorted(self._open)

    def close(self, at_s: float) -> None:
        """It is over and all is listed: what is missing now is lost, what there is more of was done twice."""
        for job in self.open:
            self.problem(at_s, job, f"{self.entries[job].program.kind}: lost, it has not ended")
        for entry in self.entries.values():
            wanted, found = len(entry.program.children), len(entry.children)
            if entry.settled_s is not None and found != wanted:
                self.problem(at_s, entry.job, f"it has {found} children, and not {wanted}")

    def kinds(self) -> dict[str, int]:
        """Jobs by kind."""
        return dict(Counter(entry.program.kind for entry in self.entries.values()))


def _ending(view: JobView) -> str | None:
    if view.state not in ENDED:
        return f"its end was told, and it is {view.state}"
    if view.state != "completed":
        why = f": {view.failure.kind}, {view.failure.message}" if view.failure else ""
        return f"it is {view.state}{why}"
    return None if view.attempt == 1 else f"it took {view.attempt} attempts"
