"""Which blobs entries refer to, as against digests that only stand in a guest's text."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef
from mvm_ci.journal.entries import Called, Entry

_KEPT: Final = ("artifact.put: ", "artifact.get: ")
"""Calls whose answer names a blob: by the beginnings of their summaries, which no guest writes."""


class _Artifact(msgspec.Struct, frozen=True):
    digest: str = ""


class _Answer(msgspec.Struct, frozen=True):
    ok: _Artifact = _Artifact()


def blobs_of(entries: Iterable[Entry]) -> set[Digest]:
    """The digests of payloads that the entries hold as references, and of artifacts that were put or got."""
    found: set[Digest] = set()
    for entry in entries:
        _gather(entry, found)
        if isinstance(entry, Called) and entry.summary.startswith(_KEPT) and isinstance(entry.answer, bytes):
            found.add(Digest(msgspec.json.decode(entry.answer, type=_Answer).ok.digest))
    return found


def _gather(value: Any, found: set[Digest]) -> None:  # noqa: ANN401 - whatever entries are made of
    if isinstance(value, BlobRef):
        found.add(value.digest)
    elif isinstance(value, msgspec.Struct):
        for part in msgspec.structs.astuple(value):
            _gather(part, found)
    elif isinstance(value, tuple | list):
        for part in value:
            _gather(part, found)
