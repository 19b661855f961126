"""The join token that is kept for workers beside the control plane."""

from secrets import token_bytes

from mvm_ci.adapters.memory.registry import MemoryRegistry
from mvm_ci.domain.tokens import digest
from mvm_ci.lifecycle.join_tokens import MAX_TTL_S, MAX_USES, kept_join_token, new_join_token

HALF_MS = MAX_TTL_S * 1000 // 2


async def test_the_first_one_is_stored_with_every_use_and_the_longest_life() -> None:
    registry = MemoryRegistry()
    secret = await kept_join_token(registry, token_bytes, 1000, None)
    assert secret is not None
    (token,) = await registry.join_tokens()
    assert (token.digest, token.uses_left) == (digest(secret), MAX_USES)
    assert token.expires_ms == 1000 + MAX_TTL_S * 1000


async def test_one_that_serves_is_kept() -> None:
    registry = MemoryRegistry()
    secret = await kept_join_token(registry, token_bytes, 0, None)
    assert await kept_join_token(registry, token_bytes, HALF_MS - 1, secret) is None
    assert len(await registry.join_tokens()) == 1


async def test_it_is_renewed_at_half_of_its_life_and_the_old_one_stays_good() -> None:
    registry = MemoryRegistry()
    old = await kept_join_token(registry, token_bytes, 0, None)
    new = await kept_join_token(registry, token_bytes, HALF_MS, old)
    assert new not in {None, old}
    assert len(await registry.join_tokens()) == 2


async def test_it_is_renewed_at_half_of_its_uses() -> None:
    registry = MemoryRegistry()
    token, secret = new_join_token(token_bytes, 0, uses=MAX_USES // 2, ttl_s=MAX_TTL_S, name="few")
    await registry.put_join_token(token)
    assert await kept_join_token(registry, token_bytes, 1, secret) is not None


async def test_one_that_was_revoked_and_what_is_no_token_are_replaced() -> None:
    registry = MemoryRegistry()
    secret = await kept_join_token(registry, token_bytes, 0, None)
    (token,) = await registry.join_tokens()
    await registry.remove_join_token(token.id)
    again = await kept_join_token(registry, token_bytes, 1, secret)
    assert again not in {None, secret}
    assert await kept_join_token(registry, token_bytes, 1, "") is not None
