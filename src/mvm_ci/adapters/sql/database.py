"""The database file: opening it safely, its schema, and what SQLite's errors mean to us."""

import fcntl
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mvm_ci.adapters.sql.migrations import MIGRATIONS
from mvm_ci.domain.errors import Misconfigured, Unavailable

FILE: Final = "state.db"
LOCK_FILE: Final = "state.lock"
APPLICATION_ID: Final = 0x4D564D43
"""``MVMC``: marks the file as ours."""

_CHECKPOINT_PAGES: Final = 2000
_BUSY_MS: Final = 5_000
# The store's own troubles. Anything else (a wrong statement, a broken constraint) is a bug and stays one.
_OUR_TROUBLE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


def meaning(error: Exception) -> Exception:
    """What an error of SQLite means to a caller: ``Unavailable``, or itself if it is a bug of ours."""
    if isinstance(error, sqlite3.Error):
        # An extended code has the primary one in its low byte. Errors of Python's module have none.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _OUR_TROUBLE:
            return Unavailable(f"the job store failed: {error}; look at its disk, then try again")
    return error


def lock(directory: Path) -> int:
    """Makes the directory and locks it for this process; returns the file descriptor that holds the lock.

    Raises ``Misconfigured``: another process holds it, or it cannot be written.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Misconfigured(f"the state directory {directory} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if not isinstance(error, BlockingIOError):
            raise Misconfigured(
                f"the state directory {directory} cannot be locked: {error.strerror}"
            ) from error
        raise Misconfigured(
            f"the state directory {directory} is in use by another process; "
            "stop that one or choose another directory"
        ) from error
    return descriptor


def open_writer(directory: Path, migrations: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """Opens the state for writing and brings its schema up to date. The directory must be locked.

    Raises ``Misconfigured``: the file is not ours, of a newer version, or cannot be opened.
    """
    file = directory / FILE
    try:
        connection = _connect(file)
    except sqlite3.Error as error:
        raise Misconfigured(f"the state in {directory} cannot be opened: {error}") from error
    try:
        check_ours(connection, file)
        os.chmod(file, 0o600)  # noqa: PTH101 - the file may hold inputs and results
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute("PRAGMA temp_store = MEMORY")
        _migrate(connection, directory, migrations)
    except (sqlite3.Error, OSError) as error:
        connection.close()
        raise Misconfigured(f"the state in {directory} cannot be opened: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(directory: Path) -> sqlite3.Connection:
    """Opens a second connection, which can only read."""
    connection = _connect(directory / FILE)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(file: Path) -> sqlite3.Connection:
    # Transactions are ours to begin; each connection is used by one thread at a time, but made by another.
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False, cached_statements=512)
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    return connection


def check_ours(connection: sqlite3.Connection, file: Path) -> None:
    """Raises ``Misconfigured`` unless an opened file is ours, or empty."""
    try:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.DatabaseError as error:
        raise Misconfigured(f"{file} is not a database of this program: {error}") from error
    # Nothing in it: new, or its making was cut short.
    if application_id != APPLICATION_ID and (tables or application_id):
        raise Misconfigured(f"{file} is a database of another program; choose another state directory")


def _migrate(connection: sqlite3.Connection, directory: Path, migrations: Sequence[str]) -> None:
    version = schema_version(connection)
    if version > len(migrations):
        raise Misconfigured(
            f"the state in {directory} was written by a newer version of this program (its schema is "
            f"{version}, this program knows {len(migrations)}); install that version or a later one"
        )
    for number, step in enumerate(migrations[version:], start=version + 1):
        script = f"""
            BEGIN IMMEDIATE;
            {step}
            INSERT INTO meta (key, value) VALUES ('schema_version', '{number}')
                ON CONFLICT (key) DO UPDATE SET value = excluded.value;
            PRAGMA application_id = {APPLICATION_ID};
            COMMIT;
        """  # noqa: S608 - our own files and numbers
        connection.executescript(script)


def schema_version(connection: sqlite3.Connection) -> int:
    """The version of an opened file's schema; 0 if there is nothing in it yet."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables:
        return 0
    (version,) = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    return int(version)
