"""What became of the requests of a measured time. Pure."""

import math
from collections import Counter
from typing import Final

from mvm_ci.capacity.hdr import Histogram

REASONS: Final = 5
"""That are kept, of those for which jobs failed."""
_KINDS: Final = 100
"""Different ones that are counted; what else fails is counted together."""
_PARTS: Final = 1000
"""Into which requests that never left are divided, to know how long they have waited."""


class Tally:
    """Times are seconds, of one clock. A request belongs to the measured time if it was due in it; a job,
    if it completed in it.
    """

    def __init__(self) -> None:
        self.latency = Histogram()
        """Of requests of the measured time; those without an answer count for as long as they waited."""
        self.late = Histogram()
        self.done = 0
        """Jobs that completed so far, before the measured time, too."""
        self.jobs = self.failed = 0
        self.unanswered = 0
        self._began = self.ended_s = math.inf
        self._reasons: Counter[str] = Counter()

    def begin(self, at_s: float) -> None:
        """The measured time begins."""
        self._began = at_s

    def end(self, at_s: float) -> None:
        """It is over; answers may still come."""
        self.ended_s = min(at_s, self.ended_s)

    def span_s(self, now_s: float) -> float:
        """How long it is, or was."""
        return max(0.0, min(now_s, self.ended_s) - self._began)

    def left(self, due_s: float, ready_s: float, now_s: float) -> None:
        """A request leaves that nothing held back from ``ready_s`` on."""
        if self._measured(due_s):
            self.late.add(max(0.0, now_s - ready_s) * 1000)

    def answered(self, due_s: float, now_s: float, completed: int) -> None:
        """An answer with so many jobs that completed."""
        self.done += completed
        if self._measured(now_s):
            self.jobs += completed
        if completed and self._measured(due_s):
            self.latency.add((now_s - due_s) * 1000)

    def fail(self, due_s: float, jobs: int, why: str) -> None:
        """So many jobs of a request failed."""
        if not self._measured(due_s):
            return
        self.failed += jobs
        self._reasons[why if why in self._reasons or len(self._reasons) < _KINDS else "other"] += jobs

    def unheard(self, due_s: float, now_s: float, count: int = 1) -> None:
        """No more answers are waited for; the last of ``count`` requests was due at the end of the measured
        time, or, if it is only one, when that was.
        """
        if not self._measured(due_s):
            return
        self.unanswered += count
        parts = min(count, _PARTS)
        end = min(now_s, self.ended_s) if count > 1 else due_s
        for part in range(parts):
            at = due_s + (end - due_s) * part / parts
            self.latency.add(max(0.0, now_s - at) * 1000, count * (part + 1) // parts - count * part // parts)

    @property
    def reasons(self) -> dict[str, int]:
        """How often jobs failed for what."""
        return dict(self._reasons.most_common(REASONS))

    def _measured(self, at_s: float) -> bool:
        return self._began <= at_s < self.ended_s
