"""Which blobs entries refer to, as against digests that only stand in a guest's text."""

from collections.abc import Iterable
from typing import Any, Final, TypeGuard

import msgspec

from mvm_ci.domain.artifact import GET, PUT
from mvm_ci.domain.errors import CorruptJournal
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef
from mvm_ci.journal.codec import decode_data
from mvm_ci.journal.entries import Called, Entry

_NAMING: Final = (f"{PUT}: ", f"{GET}: ")
"""Calls whose answer names a blob: by the beginnings of their summaries, which no guest writes."""


class _Artifact(msgspec.Struct, frozen=True):
    digest: str = ""
    size: int = -1


class _Answer(msgspec.Struct, frozen=True):
    ok: _Artifact = _Artifact()


def names_artifact(entry: Entry) -> TypeGuard[Called]:
    """Whether it is a call that put or got an artifact, or tried to."""
    return isinstance(entry, Called) and entry.summary.startswith(_NAMING)


def artifact_in(answer: bytes) -> BlobRef | None:
    """What such a call was answered with; None: an error, or nothing that a control plane says."""
    try:
        known = msgspec.json.decode(answer, type=_Answer).ok
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return BlobRef(Digest(known.digest), known.size) if known.size >= 0 else None


def blobs_of(entries: Iterable[Entry]) -> set[Digest]:
    """The digests of payloads that the entries hold as references, and of artifacts that were put or got."""
    found: set[Digest] = set()
    for entry in entries:
        _gather(entry, found)
        if names_artifact(entry) and isinstance(entry.answer, bytes):
            _gather(artifact_in(entry.answer), found)
    return found


def blobs_in(data: bytes) -> set[Digest]:
    """The same for a segment's data; none if it is damaged, which whoever reads it will find."""
    try:
        return blobs_of(decode_data(data))
    except CorruptJournal:
        return set()


def _gather(value: Any, found: set[Digest]) -> None:  # noqa: ANN401 - whatever entries are made of
    if isinstance(value, BlobRef):
        found.add(value.digest)
    elif isinstance(value, msgspec.Struct):
        for part in msgspec.structs.astuple(value):
            _gather(part, found)
    elif isinstance(value, tuple | list):
        for part in value:
            _gather(part, found)
