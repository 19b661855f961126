"""Secrets that people and workers carry: ``mvm_api_...`` and ``mvm_join_...``.

A token is its prefix and 32 random bytes as 43 characters of URL-safe base64. Stores keep only ``digest``:
with 256 random
bits behind it, a plain SHA-256 cannot be searched.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from enum import StrEnum
from typing import Final

TOKEN_BYTES: Final = 32
_TEXT: Final = 43


class TokenKind(StrEnum):
    """What a token is for; its value is the prefix."""

    API = "mvm_api_"
    JOIN = "mvm_join_"


def format_token(kind: TokenKind, random: bytes) -> str:
    """The token made of ``TOKEN_BYTES`` random bytes. Raises ``ValueError`` for another number of them."""
    if len(random) != TOKEN_BYTES:
        raise ValueError(f"a token is made of {TOKEN_BYTES} bytes, not {len(random)}")
    return kind.value + urlsafe_b64encode(random).decode().rstrip("=")


def parse_token(kind: TokenKind, text: str) -> bytes:
    """The bytes behind a token. Raises ``ValueError``, which never contains the text, if it is none of
    this kind.
    """
    body = text.removeprefix(kind.value)
    if len(body) != _TEXT or len(text) != len(kind.value) + _TEXT:
        raise ValueError(f"not a token that begins with {kind.value}")
    try:
        random = urlsafe_b64decode(body + "=")
    except ValueError:
        random = b""
    # The last character carries two unused bits: only one spelling of a secret is a token.
    if len(random) != TOKEN_BYTES or format_token(kind, random) != text:
        raise ValueError(f"not a token that begins with {kind.value}")
    return random


def digest(token: str) -> str:
    """What is stored of a token: its SHA-256, hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def token_id(token_digest: str) -> str:
    """The id by which people call an API token: the beginning of its digest, which tells nothing of it."""
    return f"at{token_digest[:16]}"


def same(a: str, b: str) -> bool:
    """Whether two digests are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(a.encode(), b.encode())
