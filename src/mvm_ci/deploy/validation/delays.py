"""How long status updates take. Pure.

Two clocks are involved, the control plane's and the one here. What one of them measured is exact; for an
update's way from one to the other their difference is estimated: a job's id holds the time at which the
control plane made it, which was between the request and its answer. So the estimate is wrong by at most half
of the fastest request's time.
"""

from collections import deque
from typing import Final

import msgspec

from mvm_ci.domain.ids import SERIAL_BITS, parse_job_id
from mvm_ci.domain.statistics import Summary, summary

_EXCHANGES: Final = 100
"""How many of the last requests the clocks are compared by: they may drift."""

SUBMIT: Final = "submit"
SEEN: Final = "seen"
START: Final = "start"
REPORT: Final = "report"
ROUND_TRIP: Final = "round_trip"
WAKE: Final = "wake"
ABOUT: Final = {
    SUBMIT: "request sent → answered: the job is durable",
    SEEN: "submission sent → a watcher of the events has it",
    START: "job submitted → its guest runs (control plane's clock)",
    REPORT: "control plane has a worker's report → a watcher of the events has it",
    ROUND_TRIP: "message sent to a waiting job → its end seen: all the way to the guest and back",
    WAKE: "a suspended job's time has come → its guest goes on (workers' clocks)",
}


class Delay(msgspec.Struct, frozen=True):
    """``at_s``: since the beginning of the validation; ``ms``."""

    at_s: float
    ms: float


class Delays:
    """Gathers them by name."""

    def __init__(self) -> None:
        self.measured: dict[str, list[Delay]] = {name: [] for name in ABOUT}
        self._exchanges: deque[tuple[float, float]] = deque(maxlen=_EXCHANGES)

    def add(self, name: str, at_s: float, ms: float) -> None:
        """One more. A difference of clocks may make one negative: it is as good as none."""
        self.measured[name].append(Delay(at_s, max(0.0, ms)))

    def exchanged(self, job: str, sent_ms: float, answered_ms: float) -> None:
        """A submission that was the first of its ``job``: when it was, by the clock here."""
        made_ms = (parse_job_id(job) >> SERIAL_BITS) + 0.5
        self._exchanges.append((answered_ms - sent_ms, made_ms - (sent_ms + answered_ms) / 2))

    @property
    def ahead_ms(self) -> float:
        """By how much the control plane's clock is ahead."""
        return min(self._exchanges)[1] if self._exchanges else 0.0

    @property
    def uncertain_ms(self) -> float:
        """By how much that may be wrong."""
        return min(self._exchanges)[0] / 2 + 0.5 if self._exchanges else 0.0

    def summaries(self) -> dict[str, Summary]:
        """Of each, in milliseconds."""
        return {name: summary([delay.ms for delay in all_]) for name, all_ in self.measured.items()}
