"""A consistent copy of the state while a control plane uses it, and the first step of a copy's new life.
Blocks.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from mvm_ci.adapters.sql.database import FILE, check_ours, lock, open_writer, schema_version
from mvm_ci.adapters.sql.job_writes import rescue
from mvm_ci.adapters.sql.queries import QUERIES
from mvm_ci.domain.errors import Misconfigured, Unavailable

_BUSY_MS: Final = 30_000
_ANY_LOSSES: Final = 1 << 31


def snapshot(directory: Path, target: Path) -> int:
    """Writes the state in ``directory`` to the new file ``target``; returns the version of its schema.

    Holds everything that was acknowledged before the call. The directory may be in use: its writer goes on,
    and its WAL grows until the copy is done. What was deleted is in no page of the copy. The copy is not
    synced. Raises ``Misconfigured`` (no state of ours), ``Unavailable`` (damaged, or a disk that is full).
    """
    file = directory / FILE
    if not file.is_file():
        raise Misconfigured(f"there is no job store in {directory}")
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, isolation_level=None)) as source:
            source.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            check_ours(source, file)
            source.execute("VACUUM INTO ?1", (str(target),))
        with closing(sqlite3.connect(f"{target.as_uri()}?mode=ro", uri=True, isolation_level=None)) as copy:
            (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise Unavailable(f"the job store in {directory} is damaged: {found}")
            return schema_version(copy)
    except sqlite3.Error as error:
        raise Unavailable(f"the job store in {directory} cannot be copied: {error}") from error


def begin_anew(directory: Path, now_ms: int) -> int:
    """Makes a restored copy ready to be served, its schema up to date; returns how many jobs will go on.

    The world may have seen later placements than the copy knows of, under sessions it never heard of. So no
    session stands, whatever was placed is given back as after a loss (never to death), and every job that
    is not over gets an epoch that was never given out: the present time in seconds, far above any count of
    placements. A report, append or claim to a job from before the restore is stale by that, also after a
    second restore of the same copy. Raises ``Misconfigured``: the copy is of a newer version, or in use.
    """
    descriptor = lock(directory)
    try:
        with closing(open_writer(directory)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            sessions = [row[0] for row in connection.execute(QUERIES["placing_sessions"])]
            rescue(connection, [(session, now_ms, _ANY_LOSSES, ()) for session in sessions])
            connection.execute(QUERIES["fence"], (now_ms // 1000,))
            going_on: int
            (going_on,) = connection.execute(QUERIES["count_going_on"]).fetchone()
            connection.execute(QUERIES["close_all_sessions"])
            connection.execute("COMMIT")
            return going_on
    except sqlite3.Error as error:
        raise Unavailable(f"the job store in {directory} cannot be made ready: {error}") from error
    finally:
        os.close(descriptor)
