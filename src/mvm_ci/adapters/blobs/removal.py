"""Who may remove blobs when: nobody while a backup copies them. The lock is the kernel's, so it ends with its
process, and it holds between processes.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import Digest, is_digest

LOCK_FILE: Final = "removal.lock"
_LOOK_S: Final = 0.05


@contextlib.contextmanager
def no_removal(directory: Path, patience_s: float = 30.0) -> Iterator[None]:
    """Inside the block no blob of ``directory`` is removed. Blocks while some are, up to ``patience_s``.

    Raises ``Unavailable``: the time is over, or the directory cannot be used.
    """
    deadline = time.monotonic() + patience_s
    with _opened(directory) as descriptor:
        while not _locked(descriptor, fcntl.LOCK_SH):
            if time.monotonic() > deadline:
                raise Unavailable(f"blobs in {directory} are being removed; try again")
            time.sleep(_LOOK_S)
        yield


@contextlib.contextmanager
def removal(directory: Path) -> Iterator[bool]:
    """Inside the block the caller may remove blobs, if this is True. False: somebody copies them. Never
    waits.
    """
    with _opened(directory) as descriptor:
        yield _locked(descriptor, fcntl.LOCK_EX)


def wall_ms() -> int:
    """Unix milliseconds: when a blob was kept."""
    return time.time_ns() // 1_000_000


def inventory(directory: Path, after: str = "") -> Iterator[tuple[Digest, Path]]:
    """Every blob whose digest comes after that one, in the order of the digests."""
    for first in sorted(path for path in directory.iterdir() if len(path.name) == 2):
        if first.name < after[:2]:
            continue
        for second in sorted(first.iterdir()):
            if first.name + second.name < after[:4]:
                continue
            for file in sorted(second.iterdir()):
                if file.name > after and is_digest(file.name):
                    yield Digest(file.name), file


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    try:
        descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(f"the blob directory {directory} cannot be locked: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
