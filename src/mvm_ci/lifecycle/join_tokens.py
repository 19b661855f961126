"""Join tokens: how they are made, and one that is kept for workers beside the control plane."""

from collections.abc import Callable
from typing import Final

from mvm_ci.domain.tokens import TOKEN_BYTES, TokenKind, digest, format_token, same
from mvm_ci.ports.registry import JoinToken, Registry

MAX_USES: Final = 10_000
MAX_TTL_S: Final = 30 * 86_400
KEPT_NAME: Final = "kept in a file"


def new_join_token(
    random: Callable[[int], bytes], now_ms: int, *, uses: int, ttl_s: int, name: str
) -> tuple[JoinToken, str]:
    """A token to be stored, and its secret. The caller has checked ``uses`` and ``ttl_s``."""
    secret = format_token(TokenKind.JOIN, random(TOKEN_BYTES))
    token = JoinToken(
        id=f"jt{random(6).hex()}",
        digest=digest(secret),
        created_ms=now_ms,
        expires_ms=now_ms + ttl_s * 1000,
        uses_left=uses,
        name=name,
        uses=uses,
    )
    return token, secret


async def kept_join_token(
    registry: Registry, random: Callable[[int], bytes], now_ms: int, held: str | None
) -> str | None:
    """The secret that is to be kept instead of ``held``; None if that still serves.

    A new one is stored when half of the old one's life or uses is gone, or when it is not known (any more):
    so whoever revokes it gets another one. What it replaces stays good until it expires: a worker may just
    have read it. Raises ``Unavailable``.
    """
    if held is not None and await _serves(registry, digest(held), now_ms):
        return None
    token, secret = new_join_token(random, now_ms, uses=MAX_USES, ttl_s=MAX_TTL_S, name=KEPT_NAME)
    await registry.put_join_token(token)
    return secret


async def _serves(registry: Registry, key: str, now_ms: int) -> bool:
    return any(
        same(token.digest, key)
        and token.uses_left * 2 > MAX_USES
        and (token.expires_ms - now_ms) * 2 > MAX_TTL_S * 1000
        for token in await registry.join_tokens()
    )
