"""What became of every job of a soak. Pure.

All jobs are in a queue of their own. So the list of that queue, looked at again and again until every job has
ended, is the truth: one that was taken and is not in it is lost, and one that nobody sent would be too many.
"""

from collections import Counter
from collections.abc import Collection
from typing import Final

from mvm_ci.client.waiting import ENDED
from mvm_ci.wire.api import JobView

_TOLD: Final = 20


class Books:
    """``ended``: by id, the state in which a job was found at its end; ``problems``: the first ones in
    words.
    """

    def __init__(self) -> None:
        self.ended: dict[str, str] = {}
        self.problems: list[str] = []
        self._open: set[str] = set()
        """Jobs that the cluster has taken, by what it answered or listed, and that are not known to have
        ended.
        """

    def taken(self, job: str) -> None:
        """The cluster answered that it has the job of this id."""
        if job not in self.ended:
            self._open.add(job)

    def listed(self, view: JobView) -> bool:
        """A job in the list; whether it has ended."""
        if view.state not in ENDED:
            self.taken(view.id)
            return False
        self._open.discard(view.id)
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
        if len(self.problems) < _TOLD:
            self.problems.append(text)

    def counts(self) -> Counter[str]:
        """Jobs by how they ended."""
        return Counter(self.ended.values())

    def lost(self, sent: int, still: Collection[str] = ()) -> int:
        """How many jobs were taken, and have not ended; those that ``still`` may end are none of them. More
        that ended than were ``sent`` are a problem, too: the store made jobs that nobody asked for.
        """
        if len(self.ended) > sent:
            self.problem(f"{len(self.ended)} jobs ended, and {sent} were submitted")
        return len(self._open.difference(still))
