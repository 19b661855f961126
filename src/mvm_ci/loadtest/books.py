"""What became of every job of a soak. Pure.

All jobs are in a queue of their own. So the list of that queue, looked at again and again until every job has
ended, is the truth: who is not in it is lost, and a job that nobody sent would be too many.
"""

from collections import Counter
from typing import Final

from mvm_ci.wire.api import JobView

FINAL: Final = frozenset({"completed", "failed", "cancelled", "dead"})
_TOLD: Final = 20


class Books:
    """``ended``: by id, the state in which a job was found at its end."""

    def __init__(self) -> None:
        self.ended: dict[str, str] = {}
        self.problems: list[str] = []
        """The first ones in words."""
        self.wrong = 0
        """How many there are in all."""

    def listed(self, view: JobView) -> bool:
        """A job in the list; whether it has ended."""
        if view.state not in FINAL:
            return False
        before = self.ended.get(view.id)
        self.ended[view.id] = view.state
        if before is not None and before != view.state:
            self.problem(f"{view.id}: was {before}, and is {view.state}")
        elif before is None and view.state != "completed":
            why = view.failure.message if view.failure is not None else "no reason given"
            self.problem(f"{view.id}: {view.state}: {why}")
        return True

    def problem(self, text: str) -> None:
        """Something is not as it must be."""
        self.wrong += 1
        if len(self.problems) < _TOLD:
            self.problems.append(text)

    def counts(self) -> Counter[str]:
        """Jobs by how they ended."""
        return Counter(self.ended.values())

    def lost(self, accepted: int, sent: int) -> int:
        """How many of those that are known to be accepted have not ended. More than were sent are a problem,
        too: the store made jobs that nobody asked for.
        """
        if len(self.ended) > sent:
            self.problem(f"{len(self.ended)} jobs ended, and {sent} were submitted")
        return max(0, accepted - len(self.ended))
