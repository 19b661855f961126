# Made by tests/unit/client/blocking_twin.py of mvm_ci/client/artifacts.py: change that one.
"""The client's methods for artifacts."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mvm_ci.client.blocking.calls import Calls, job_path, part, within
from mvm_ci.client.blocking.download import Download
from mvm_ci.domain.errors import NotFound
from mvm_ci.wire import api

_PIECE: Final = 256 << 10
_KEPT_S: Final = 120.0
"""For what was uploaded to be durable."""


class ArtifactCalls(Calls):
    """Artifacts of jobs, and uploads for jobs to come."""

    def artifacts(self, job: str) -> tuple[api.ArtifactView, ...]:
        """What a job keeps by name, its inputs included."""
        return (self._get(job_path(job, "/artifacts"), api.ArtifactList)).artifacts

    def artifact(self, job: str, name: str) -> Iterator[bytes]:
        """The bytes of an artifact, piece by piece; goes on where a connection was lost. Raises
        ``ProtocolError`` at the end if they are not what the control plane says they are, ``Conflict`` if
        another one was put under the name meanwhile.
        """
        return Download(self._http, job_path(job, f"/artifacts/{part(name)}")).pieces()

    def upload(self, content: Path | bytes) -> api.UploadView:
        """Uploads bytes to be inputs of jobs (``SubmitJob.inputs``), if the namespace has not got them.
        Raises ``OSError`` for a file that cannot be read.
        """
        digest = _digest(content)
        try:
            return self.uploaded(digest)
        except NotFound:
            return self.put_upload(digest, content)

    def put_upload(self, digest: str, content: Path | bytes) -> api.UploadView:
        """Uploads bytes with this digest. ``BadInput`` if they have another one."""
        data: bytes | Iterator[bytes]
        if isinstance(content, bytes):
            data, size = content, len(content)
        else:
            data, size = _pieces(content), _size(content)
        headers = {"content-type": "application/octet-stream", "content-length": str(size)}
        answer = self._send(
            "PUT", f"/v1/artifacts/{part(digest)}", content=data, headers=headers, timeout=within(_KEPT_S)
        )
        return self._decode(answer, api.UploadView)

    def uploaded(self, digest: str) -> api.UploadView:
        """What the namespace holds under this digest. ``NotFound`` if nothing."""
        return self._get(f"/v1/artifacts/{part(digest)}", api.UploadView)


def _digest(content: Path | bytes) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size


def _pieces(path: Path) -> Iterator[bytes]:
    file = path.open("rb")
    try:
        while piece := file.read(_PIECE):
            yield piece
    finally:
        file.close()
