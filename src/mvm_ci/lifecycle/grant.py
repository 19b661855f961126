"""Granting: whoever makes a token gives away no more than it has."""

from typing import Final

from mvm_ci.domain.errors import BadInput, Refused
from mvm_ci.domain.role import Role
from mvm_ci.domain.tokens import digest, token_id
from mvm_ci.ports.access import ALL_NAMESPACES, ApiToken

MAX_NAME: Final = 100
MAX_TTL_S: Final = 10 * 366 * 86_400


def covers(scope: str, other: str) -> bool:
    """Whether a token of ``scope`` reaches what belongs to the namespace (or scope) ``other``."""
    return scope in {ALL_NAMESPACES, other}


def grant(
    caller: ApiToken, secret: str, now_ms: int, *, name: str, role: Role, namespace: str, ttl_s: int | None
) -> ApiToken:
    """The token that ``caller`` asks for. ``ttl_s``: None: it never expires.

    Raises ``BadInput``; ``Refused`` if it would have a higher role, a wider scope or a longer life than the
    caller's own.
    """
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise BadInput(f"name: 1 to {MAX_NAME} printable characters are needed")
    if ttl_s is not None and not 1 <= ttl_s <= MAX_TTL_S:
        raise BadInput(f"ttl_s: {ttl_s} is not between 1 and {MAX_TTL_S}")
    if not caller.role.includes(role):
        raise Refused(f"role: a token with the role {caller.role.value} cannot make one with {role.value}")
    if not covers(caller.namespace, namespace):
        wanted = "all namespaces" if namespace == ALL_NAMESPACES else f"the namespace {namespace[:80]!r}"
        raise Refused(f"namespace: a token of {caller.namespace!r} cannot make one for {wanted}")
    expires_ms = None if ttl_s is None else now_ms + ttl_s * 1000
    if caller.expires_ms is not None and (expires_ms is None or expires_ms > caller.expires_ms):
        left_s = max(0, caller.expires_ms - now_ms) // 1000
        raise Refused(f"ttl_s: the token would outlive the one that makes it, which has {left_s} s left")
    key = digest(secret)
    return ApiToken(
        id=token_id(key),
        digest=key,
        name=name,
        role=role,
        namespace=namespace,
        created_ms=now_ms,
        expires_ms=expires_ms,
        created_by=caller.id,
    )
