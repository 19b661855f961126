"""Artifacts: bytes with a name that a job keeps for users and for other jobs. Part of ``import mvm_ci``."""

import base64
import io
from collections import namedtuple

from mvm_ci.calls import call

PIECE = 1 << 20
"""Bytes that come from the host at once."""
GATHER = 256 << 10
"""Bytes that are gathered before they go to the host."""

Listed = namedtuple("Listed", ["name", "digest", "size", "media", "input"])
Listed.__doc__ = "What a job has: ``get_artifact`` gets it. ``input``: the job was given it."


class Artifact:
    """Bytes that stay the same. ``digest``: their SHA-256; ``size``; ``name``, if it is known."""

    def __init__(self, digest, size, name=""):
        self.name = name
        self.digest = digest
        self.size = size

    def read(self):
        """All bytes; they must fit into the job's memory."""
        return b"".join(self.chunks())

    def text(self, encoding="utf-8", errors="strict"):
        """All of it as text."""
        return self.read().decode(encoding, errors)

    def chunks(self, size=PIECE):
        """The bytes, a piece at a time."""
        offset = 0
        while offset < self.size:
            piece = self._read(offset, size)
            yield piece
            offset += len(piece)

    def open(self):
        """A binary file to read from and to seek in."""
        return io.BufferedReader(_File(self), PIECE)

    def _read(self, offset, size):
        asked = {"digest": self.digest, "offset": offset, "size": min(size, PIECE)}
        return base64.b64decode(call("artifact.read", asked))


class _File(io.RawIOBase):
    def __init__(self, artifact):
        self._artifact = artifact
        self._offset = 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        base = (0, self._offset, self._artifact.size)[whence]
        if base + offset < 0:
            raise ValueError("a position before the beginning")
        self._offset = base + offset
        return self._offset

    def readinto(self, buffer):
        if self._offset >= self._artifact.size:
            return 0
        piece = self._artifact._read(self._offset, len(buffer))
        buffer[: len(piece)] = piece
        self._offset += len(piece)
        return len(piece)


def put_artifact(name, content, *, media=""):
    """Keeps ``content`` under ``name``: bytes, text (as UTF-8), a file that is open for reading, or an iterable of bytes.
    It goes out piece by piece. The last one that a job puts under a name counts. Returns the ``Artifact``.
    """
    call("artifact.begin", {"name": name, "media": media})
    try:
        for piece in _pieces(content):
            data = base64.b64encode(piece).decode()
            call("artifact.write", {"name": name, "data": data})
    except BaseException:
        call("artifact.drop", {"name": name})
        raise
    kept = call("artifact.end", {"name": name})
    return Artifact(kept["digest"], kept["size"], name)


def get_artifact(name, job=None):
    """An artifact of this job, its inputs included; with ``job``: of the job with this id, or of the ``"parent"``. It stays
    what it is now, whatever is put under the name later. Raises ``CallError``, whose ``kind`` is ``not-found`` if there is
    none.
    """
    found = call("artifact.get", {"name": name, "job": job})
    return Artifact(found["digest"], found["size"], name)


def list_artifacts(job=None):
    """All artifacts of this job, or of another one, as for ``get_artifact``."""
    return [Listed(**found) for found in call("artifact.list", {"job": job})]


def _pieces(content):
    """``content``, which may come in many small parts, as few calls of the host."""
    if isinstance(content, (bytes, bytearray, memoryview, str)):
        content = [content]
    elif hasattr(content, "read"):
        content = _of_file(content)
    gathered = bytearray()
    for part in content:
        view = memoryview(part.encode() if isinstance(part, str) else part).cast("B")
        for at in range(0, len(view), GATHER):
            gathered += view[at : at + GATHER]
            if len(gathered) >= GATHER:
                yield gathered
                gathered = bytearray()
    if gathered:
        yield gathered


def _of_file(file):
    while part := file.read(GATHER):
        yield part
