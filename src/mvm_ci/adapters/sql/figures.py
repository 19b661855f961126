"""The figures of the SQL store."""

from pathlib import Path

from mvm_ci.adapters.sql.database import FILE
from mvm_ci.adapters.sql.writer import Writer
from mvm_ci.domain.histogram import Histogram


class SqlFigures:
    """``StoreFigures``."""

    def __init__(self, writer: Writer, directory: Path) -> None:
        self._writer = writer
        self._wal = directory / f"{FILE}-wal"

    @property
    def commit_s(self) -> Histogram:
        return self._writer.commit_s

    @property
    def sync_s(self) -> Histogram:
        return self._writer.sync_s

    @property
    def calls(self) -> int:
        return self._writer.calls

    def log_bytes(self) -> int:
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0  # there is none before the first write
