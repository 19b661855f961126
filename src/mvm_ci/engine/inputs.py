"""Artifacts that a guest is given, as files of this machine: what is in ``/inputs``."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from mvm_ci.domain.outcome import Released
from mvm_ci.files.given import GivenFile
from mvm_ci.ports.execution import Leave

_log = logging.getLogger(__name__)


class InputFile(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """``name``: below ``/inputs``. ``path``: of a file that nobody changes, as long as the guest runs."""

    name: str
    path: str
    size: int


def entries(inputs: Sequence[InputFile]) -> tuple[GivenFile, ...]:
    """What the guest's file system is given."""
    return tuple(GivenFile(one.name, _OnDisk(Path(one.path), one.size)) for one in inputs)


class _OnDisk:
    """A file's bytes, read when the guest reads them."""

    __slots__ = ("_path", "size")

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self.size = size

    def read(self, offset: int, size: int) -> bytes:
        """See ``files.content.Given``. Without these bytes the guest cannot go on here: another worker may
        have them.
        """
        size = min(size, self.size - offset)
        if size <= 0:
            return b""
        try:
            # Opened each time: guests may have thousands of them.
            with self._path.open("rb", buffering=0) as file:
                data = os.pread(file.fileno(), size, offset)
        except OSError as error:
            _log.warning("an input cannot be read: %s", error)
            raise Leave(Released()) from error
        if len(data) != size:
            _log.warning("an input has no longer its %d bytes: %s", self.size, self._path)
            raise Leave(Released())
        return data
