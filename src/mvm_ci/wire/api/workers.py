"""Workers and the tokens by which they join."""

import msgspec


class WorkerView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker. ``state``: active, draining or revoked; ``connected``: whether its lease is held now;
    ``path``: direct or relayed, null while no connection stands.

    ``jobs``: what it was given and has not ended; ``running``: what it runs of that. ``stalled``: it is there
    but does nothing. ``outdated``: its version is older than the control plane's. ``drain_by_ms``: when what
    a draining worker still runs is handed over. ``role``: worker, follower (its engine is elsewhere) or
    engine.
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
    labels: dict[str, str] = {}
    ephemeral: bool = False
    drain_by_ms: int | None = None
    protocol: int = 0
    outdated: bool = False
    stalled: bool = False
    jobs: int = 0
    role: str = ""


class WorkerList(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/workers``."""

    workers: tuple[WorkerView, ...]


class CreateJoinToken(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """``POST /v1/join-tokens``."""

    uses: int = 1
    ttl_s: int = 3600
    name: str = ""


class JoinTokenView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A join token; ``token``, the secret, only in the answer to its creation. ``uses``: how often it could
    be used in all.
    """

    id: str
    uses_left: int
    created_ms: int
    expires_ms: int
    token: str | None = None
    name: str = ""
    uses: int = 0


class JoinTokenList(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/join-tokens``."""

    tokens: tuple[JoinTokenView, ...]
