"""The state of one control plane in one directory."""

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from mvm_ci.adapters.sql.access import SqlAccess
from mvm_ci.adapters.sql.artifacts import SqlArtifactStore
from mvm_ci.adapters.sql.database import lock, open_writer
from mvm_ci.adapters.sql.event_log import SqlEventLog
from mvm_ci.adapters.sql.figures import SqlFigures
from mvm_ci.adapters.sql.fork_writes import drop_left
from mvm_ci.adapters.sql.mail import SqlMailStore
from mvm_ci.adapters.sql.migrations import MIGRATIONS
from mvm_ci.adapters.sql.queue import SqlJobQueue
from mvm_ci.adapters.sql.queues import SqlQueues
from mvm_ci.adapters.sql.reader import Reader
from mvm_ci.adapters.sql.registry import SqlRegistry
from mvm_ci.adapters.sql.retention import SqlRetainedJobs
from mvm_ci.adapters.sql.schedules import SqlScheduleStore
from mvm_ci.adapters.sql.secrets import SqlSecretStore
from mvm_ci.adapters.sql.statements import execute
from mvm_ci.adapters.sql.writer import Writer


class SqlStore:
    """All stores but blobs on one SQLite file, which one process at a time may use."""

    def __init__(self, connection: sqlite3.Connection, directory: Path, lock_descriptor: int) -> None:
        self._lock: int | None = lock_descriptor
        self._reader = Reader(directory)
        self._writer = Writer(connection)
        self.queue = SqlJobQueue(self._writer, self._reader)
        self.queues = SqlQueues(self._writer, self._reader)
        self.mail = SqlMailStore(self._writer, self._reader)
        self.artifacts = SqlArtifactStore(self._writer, self._reader)
        self.registry = SqlRegistry(self._writer, self._reader)
        self.retained = SqlRetainedJobs(self._writer, self._reader)
        self.access = SqlAccess(self._writer, self._reader)
        self.schedules = SqlScheduleStore(self._writer, self._reader)
        self.secrets = SqlSecretStore(self._writer, self._reader)
        self.events = SqlEventLog(self._writer, self._reader)
        self.figures = SqlFigures(self._writer, directory)

    @classmethod
    def open(cls, directory: Path, *, migrations: Sequence[str] = MIGRATIONS) -> Self:
        """Opens the state in ``directory``, which is made if it is missing. Blocks.

        The store is for use from one event loop. Raises ``Misconfigured``: the directory cannot be written,
        another process uses it, or the state is not ours or of a newer version.
        """
        descriptor = lock(directory)
        try:
            connection = open_writer(directory, migrations)
            if migrations is MIGRATIONS:
                drop_left(connection)
            return cls(connection, directory, descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    async def probe(self) -> None:
        """Returns when a write that nobody needs is durable, and with it all that was called before.

        Raises ``Unavailable``: the store answers, but cannot write.
        """
        await self._writer.call(execute, ("probe", ()))

    async def close(self) -> None:
        """Finishes what was called, then closes the file and lets others use it. Safe to repeat."""
        await self._writer.close()
        await self._reader.close()
        if self._lock is not None:
            descriptor, self._lock = self._lock, None
            await asyncio.to_thread(os.close, descriptor)
