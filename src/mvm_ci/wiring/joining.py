"""Permission to join, for a peer in the control plane's own process."""

import secrets
from typing import Final

from mvm_ci.adapters.system import SystemClock
from mvm_ci.domain.tokens import TOKEN_BYTES, TokenKind, digest, format_token
from mvm_ci.ports.registry import JoinToken, Registry

_JOIN_MS: Final = 60_000


async def join_token(registry: Registry, what: str) -> str:
    """For a minute, once; a peer that has joined does not use it. ``what``: begins its id."""
    secret = format_token(TokenKind.JOIN, secrets.token_bytes(TOKEN_BYTES))
    now = SystemClock().now_ms()
    await registry.put_join_token(
        JoinToken(
            id=f"{what}{secrets.token_hex(6)}",
            digest=digest(secret),
            created_ms=now,
            expires_ms=now + _JOIN_MS,
            uses_left=1,
        )
    )
    return secret
