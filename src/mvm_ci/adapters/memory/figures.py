"""The figures of stores in memory, which commit nothing."""

from mvm_ci.domain.histogram import Histogram
from mvm_ci.ports.store_figures import COMMIT_S


class MemoryFigures:
    """``StoreFigures``, all nothing."""

    def __init__(self) -> None:
        self.commit_s = Histogram(COMMIT_S)
        self.sync_s = Histogram(COMMIT_S)
        self.calls = 0

    def log_bytes(self) -> int:
        return 0
