"""Granting tokens: nobody gives away more than they have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.errors import BadInput, Refused
from mvm_ci.domain.role import Role
from mvm_ci.domain.tokens import TokenKind, digest, format_token
from mvm_ci.lifecycle.grant import MAX_NAME, MAX_TTL_S, grant
from mvm_ci.ports.access import ALL_NAMESPACES, ApiToken

NOW = 1_000_000
SECRET = format_token(TokenKind.API, bytes(32))
SCOPES = st.sampled_from([ALL_NAMESPACES, "default", "team"])
LIVES = st.none() | st.integers(1, 10)


def caller(role: Role = Role.ADMIN, scope: str = ALL_NAMESPACES, life_s: int | None = None) -> ApiToken:
    expires_ms = None if life_s is None else NOW + life_s * 1000
    return ApiToken(
        id="at1", digest="", name="me", role=role, namespace=scope, created_ms=0, expires_ms=expires_ms
    )


def asked(**fields: Any) -> dict[str, Any]:
    return {"name": "ci", "role": Role.VIEWER, "namespace": "team", "ttl_s": 60, **fields}


@given(st.sampled_from(Role), SCOPES, LIVES, st.sampled_from(Role), SCOPES, LIVES)
def test_a_token_never_exceeds_the_one_that_makes_it(
    role: Role, scope: str, life_s: int | None, wanted: Role, namespace: str, ttl_s: int | None
) -> None:
    me = caller(role, scope, life_s)
    fits = (
        list(Role).index(wanted) >= list(Role).index(role)
        and scope in {ALL_NAMESPACES, namespace}
        and (life_s is None or (ttl_s is not None and ttl_s <= life_s))
    )
    fields = asked(role=wanted, namespace=namespace, ttl_s=ttl_s)
    if not fits:
        with pytest.raises(Refused):
            grant(me, SECRET, NOW, **fields)
        return
    made = grant(me, SECRET, NOW, **fields)
    assert (made.role, made.namespace, made.created_by) == (wanted, namespace, "at1")
    assert made.expires_ms == (None if ttl_s is None else NOW + ttl_s * 1000)
    assert made.digest == digest(SECRET)
    assert made.revoked_ms is None


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * (MAX_NAME + 1)}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"ttl_s": 0}, "ttl_s"),
        ({"ttl_s": MAX_TTL_S + 1}, "ttl_s"),
    ],
)
def test_what_is_no_token_is_said(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        grant(caller(), SECRET, NOW, **asked(**fields))
