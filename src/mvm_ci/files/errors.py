"""Why an operation on files is refused, in the words of POSIX; each ABI has numbers or names of its own."""

from enum import Enum, auto


class Errno(Enum):
    """Why an operation on files failed."""

    BADF = auto()
    BUSY = auto()
    EXIST = auto()
    FBIG = auto()
    ILSEQ = auto()
    INVAL = auto()
    ISDIR = auto()
    LOOP = auto()
    MFILE = auto()
    NAMETOOLONG = auto()
    NOENT = auto()
    NOSPC = auto()
    NOTDIR = auto()
    NOTEMPTY = auto()
    PERM = auto()
    ROFS = auto()
    SPIPE = auto()
    XDEV = auto()


class FileError(Exception):
    """The guest's operation was refused, and changed nothing."""

    def __init__(self, errno: Errno) -> None:
        super().__init__(errno.name)
        self.errno = errno
