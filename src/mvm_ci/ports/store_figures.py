"""What the store of jobs has done since it was opened, for those who watch it."""

from typing import Final, Protocol

from mvm_ci.domain.histogram import Histogram

COMMIT_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Bounds of ``StoreFigures.commit_s`` and ``sync_s``."""


class StoreFigures(Protocol):
    """May be read at any time, from any thread."""

    @property
    def commit_s(self) -> Histogram:
        """Seconds of each commit, with what it wrote."""
        ...

    @property
    def sync_s(self) -> Histogram:
        """Seconds of each commit's last step alone: what was written is made durable."""
        ...

    @property
    def calls(self) -> int:
        """Calls that these commits carried out; over their number: how much a commit is shared."""
        ...

    def log_bytes(self) -> int:
        """The size of the write-ahead log. Blocks for a look at the file system."""
        ...
