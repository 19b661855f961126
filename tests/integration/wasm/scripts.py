"""The guest of ``guest/tests/files.c``: calls of WASI preview 1, one a line, and what each of them said."""

from collections.abc import Iterable

from mvm_ci.ports.guest import GuestLimits
from tests.integration.wasm.fakes import FakeHost, OnlyGuest

LIMITS = GuestLimits(memory_bytes=64 << 20)
OK, BADF, EXIST, ILSEQ, INVAL, ISDIR, LOOP = 0, 8, 20, 25, 28, 31, 32
NAMETOOLONG, NOENT, NOTDIR, NOTEMPTY, NOTSOCK, NOTSUP = 37, 44, 54, 55, 57, 58
PERM, ROFS, SPIPE, FBIG, BUSY = 63, 69, 70, 22, 10
CREAT, DIRECTORY, EXCL, TRUNC = 1, 2, 4, 8
APPEND, FOLLOW = 1, 1
FD_READ, FD_SEEK, FD_WRITE = 1 << 1, 1 << 2, 1 << 6
R, W, RW = FD_READ, FD_WRITE, FD_READ | FD_WRITE
SET, CUR, END = 0, 1, 2
DIR_TYPE, FILE_TYPE, LINK_TYPE, CHARACTER_TYPE = 3, 4, 7, 2
ATIM, ATIM_NOW, MTIM, MTIM_NOW = 1, 2, 4, 8
ROOT = 3
NEW = f"open {ROOT} 0 x {CREAT} {RW} 0"


def script(guest: OnlyGuest, *lines: str, host: FakeHost | None = None) -> list[list[str]]:
    """What each line said, in words."""
    said = guest.run("\n".join(lines).encode(), host or FakeHost(), LIMITS).decode()
    return [line.split(" ") for line in said.splitlines()]


def errors(guest: OnlyGuest, *lines: str, host: FakeHost | None = None) -> list[int]:
    return [int(words[0]) for words in script(guest, *lines, host=host)]


def all_refused(guest: OnlyGuest, error: int, lines: Iterable[str], before: tuple[str, ...] = ()) -> None:
    lines = tuple(lines)
    said = errors(guest, *before, *lines)
    assert dict(zip(lines, said[len(before) :], strict=True)) == dict.fromkeys(lines, error)
