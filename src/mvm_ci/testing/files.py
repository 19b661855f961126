"""Files that guests are given, from memory."""

from collections.abc import Mapping

from mvm_ci.files.given import GivenFile


class Bytes:
    """``files.content.Given``."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, size: int) -> bytes:
        """See there."""
        return self._data[offset : offset + size]


def given(files: Mapping[str, bytes]) -> tuple[GivenFile, ...]:
    """``files``, by path."""
    return tuple(GivenFile(path, Bytes(data)) for path, data in files.items())
