"""``Sealer`` by AES-256-GCM: each value with a nonce of its own, bound to what it is of.

::

    ┌────────┬─────────┬──────────┬──────────────────────────────┐
    │ format │ key id  │ nonce    │ ciphertext and tag           │
    │ 1 byte │ 8 bytes │ 12 bytes │ 16 bytes more than the value │
    └────────┴─────────┴──────────┴──────────────────────────────┘

Nonces are random: one key may seal some four billion values, far more than there can be.
"""

import secrets
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mvm_ci.ports.secrets import NotOurs

_FORMAT: Final = b"\x01"
_ID: Final = slice(1, 9)
_NONCE: Final = slice(9, 21)
_REST: Final = slice(21, None)


def key_id(key: bytes) -> str:
    """What a key is called: 16 hex digits, which tell nothing of it."""
    return sha256(b"mvm-ci secrets key\0" + key).hexdigest()[:16]


class AesGcmSealer:
    """A ``Sealer``. ``keys``: ``KEY_BYTES`` each, at least one; the first seals, all of them open."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self._key = key_id(keys[0])

    @property
    def key(self) -> str:
        return self._key

    def knows(self, key: str) -> bool:
        return key in self._ciphers

    def key_of(self, sealed: bytes) -> str:
        return sealed[_ID].hex()

    def seal(self, plain: bytes, bound: bytes) -> bytes:
        nonce = secrets.token_bytes(12)
        head = _FORMAT + bytes.fromhex(self._key)
        return head + nonce + self._ciphers[self._key].encrypt(nonce, plain, head + bound)

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        cipher = self._ciphers.get(self.key_of(sealed))
        if sealed[:1] != _FORMAT or cipher is None:
            raise NotOurs(f"sealed by the key {self.key_of(sealed)}, which is not known")
        head = sealed[: _NONCE.start]
        try:
            return cipher.decrypt(sealed[_NONCE], sealed[_REST], head + bound)
        # The latter: what was cut off has no nonce.
        except (InvalidTag, ValueError):
            raise NotOurs("changed since it was sealed, or of another secret") from None
