"""Small files that are there whole or not at all, and names that last, also when the power fails. All of this
blocks, and raises ``OSError``.
"""

import os
from contextlib import suppress
from pathlib import Path


def write_whole(file: Path, text: str, *, draft: str, mode: int = 0o600) -> None:
    """Replaces ``file`` in one step; durable on return.

    ``draft``: the name beside it under which it is written first; a leftover of that name is replaced, and a
    failure leaves none. Two writers at a time need two names.
    """
    written = file.with_name(draft)
    written.unlink(missing_ok=True)
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            os.fchmod(out.fileno(), mode)
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        written.replace(file)
    except BaseException:
        with suppress(OSError):
            written.unlink()
        raise
    sync_directory(file.parent)


def sync_directory(directory: Path) -> None:
    """From now on the names in ``directory`` last."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
