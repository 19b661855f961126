"""``mvm-ci`` whose histograms take nothing from ``SIGUSR1`` until ``SIGUSR2``: one process with and without
them, so that no two processes have to be compared. Started by ``benchmarks.metrics_cost``.
"""

import signal
from typing import Final

from mvm_ci.cli.main import main
from mvm_ci.domain.histogram import Histogram
from mvm_ci.lifecycle.job_times import JobTimes

ADDING: Final = (
    *((Histogram, name) for name in ("add", "add_all")),
    *((JobTimes, name) for name in ("claimed", "started", "ended")),
)
REAL: Final = {(owner, name): getattr(owner, name) for owner, name in ADDING}


def nothing(*_: object) -> None:
    """In place of a method that adds."""


def switch(number: int, _frame: object) -> None:
    """Off by ``SIGUSR1``, on by ``SIGUSR2``."""
    for owner, name in ADDING:
        setattr(owner, name, nothing if number == signal.SIGUSR1 else REAL[owner, name])


if __name__ == "__main__":
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, switch)
    main()
