"""How long jobs took to come to a worker, to start and to end: histograms, added to a batch at a time."""

from collections.abc import Sequence
from typing import Final

from mvm_ci.domain.histogram import Histogram
from mvm_ci.domain.ids import SERIAL_BITS, JobId
from mvm_ci.domain.job import Placed
from mvm_ci.ports.clock import Clock

JOB_S: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0),
)
"""Bounds of all three, in seconds."""


class JobTimes:
    """``claims``: jobs given to workers since the start. An ``EndListener``.

    When a job was submitted stands in its id: nothing is kept of any job.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.claims = 0
        self.claim_s = Histogram(JOB_S)
        """From the submission until the job was first given to a worker."""
        self.start_s = Histogram(JOB_S)
        """From when it was given to a worker until its start, or its end, was told."""
        self.end_s = Histogram(JOB_S)
        """From the submission until its end was durable."""

    def claimed(self, placements: Sequence[Placed], now_ms: int) -> None:
        """These were given to a worker."""
        self.claims += len(placements)
        self.claim_s.add_all(_ages([placed.job for placed in placements if placed.epoch == 1], now_ms))

    def started(self, waited_ms: Sequence[int]) -> None:
        """Guests run, or have run, which were given to their worker so long ago."""
        self.start_s.add_all([waited / 1000 for waited in waited_ms])

    def concerns(self, job: JobId) -> bool:  # noqa: ARG002
        return False

    def ended(self, jobs: Sequence[JobId]) -> None:
        self.end_s.add_all(_ages(jobs, self._clock.now_ms()))


def _ages(jobs: Sequence[JobId], now_ms: int) -> list[float]:
    """Seconds since these were submitted; a clock that stepped back makes none of them younger than new."""
    ages = [(now_ms - (job >> SERIAL_BITS)) / 1000 for job in jobs]
    return ages if min(ages, default=0) >= 0 else [max(0, age) for age in ages]
