"""Readers beside the writer: a list never holds up a commit. A read sees all that was committed before."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Final, TypeVar

from mvm_ci.adapters.sql.database import meaning, open_reader
from mvm_ci.domain.errors import Unavailable

R = TypeVar("R")
_THREADS: Final = 2
"""So that one slow list does not hold up the short reads."""


class Reader:
    """A few threads, each with a connection that cannot write."""

    def __init__(self, directory: Path) -> None:
        self._connections = [open_reader(directory) for _ in range(_THREADS)]
        self._idle: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        for connection in self._connections:
            self._idle.put(connection)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="sql-reader")
        self._closed = False

    def read(self, query: Callable[[sqlite3.Connection], R]) -> asyncio.Future[R]:
        """Runs ``query`` in one read transaction: all its statements see the same state."""
        loop = asyncio.get_running_loop()
        if self._closed:
            refused: asyncio.Future[R] = loop.create_future()
            refused.set_exception(Unavailable("the job store is closed"))
            return refused
        return loop.run_in_executor(self._pool, self._run, query)

    def _run(self, query: Callable[[sqlite3.Connection], R]) -> R:
        connection = self._idle.get_nowait()  # as many connections as threads: one is idle
        try:
            connection.execute("BEGIN")
            try:
                return query(connection)
            finally:
                if connection.in_transaction:  # some errors have ended it
                    connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise meaning(error) from error
        finally:
            self._idle.put(connection)

    async def close(self) -> None:
        """Waits for the reads under way, then closes the connections. Safe to repeat."""
        self._closed = True
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._pool.shutdown(wait=True)
        for connection in self._connections:
            connection.close()
