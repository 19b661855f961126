"""Payloads: small ones travel inline, large ones are content-addressed blobs."""

from typing import Final, TypeAlias

import msgspec

from mvm_ci.domain.ids import Digest

_raw: Final = msgspec.json.Decoder(msgspec.Raw)
INLINE_LIMIT: Final = 4096
"""Bytes up to which a payload stays inline in a row, a journal entry or a frame."""


class BlobRef(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Bytes that are kept in the blob store. ``size`` in bytes."""

    digest: Digest
    size: int


Payload: TypeAlias = bytes | BlobRef
"""Inline bytes (at most ``INLINE_LIMIT``), or a reference to a blob."""


def is_json(data: bytes) -> bool:
    """Whether the bytes may stand in a JSON document as they are."""
    try:
        data.decode()
        _raw.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def size_of(payload: Payload) -> int:
    """Its bytes, wherever they are."""
    return payload.size if isinstance(payload, BlobRef) else len(payload)
