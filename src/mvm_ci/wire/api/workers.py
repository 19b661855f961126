"""Workers and the tokens by which they join."""

import msgspec


class WorkerView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker. ``state``: active, draining or revoked; ``connected``: whether its lease is held now;
    ``path``: direct or relayed, null while no connection stands.
    """

    id: str
    name: str
    state: str
    connected: bool
    path: str | None = None
    slots: int = 0
    running: int = 0
    version: str = ""
    platform: str = ""
    joined_ms: int = 0
    seen_ms: int = 0
    session: int | None = None
    lease_left_ms: int | None = None


class WorkerList(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/workers``."""

    workers: tuple[WorkerView, ...]


class CreateJoinToken(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """``POST /v1/join-tokens``."""

    uses: int = 1
    ttl_s: int = 3600


class JoinTokenView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A join token; ``token``, the secret, only in the answer to its creation."""

    id: str
    uses_left: int
    created_ms: int
    expires_ms: int
    token: str | None = None


class JoinTokenList(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/join-tokens``."""

    tokens: tuple[JoinTokenView, ...]
