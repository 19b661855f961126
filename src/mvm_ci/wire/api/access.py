"""Tokens, namespaces and the audit log."""

import msgspec

from mvm_ci.domain.role import Role


class CreateToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``POST /v1/tokens``. ``namespace``: ``*`` for all; left out: that of the request.

    ``ttl_s`` left out: it never expires.
    """

    name: str
    role: Role
    namespace: str | None = None
    ttl_s: int | None = None


class TokenView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An API token; ``token``, the secret, only in the answer to its creation.

    ``namespace``: ``*`` for all; ``last_used_ms``: to about ten minutes; ``created_by``: a token's id, empty
    if the control plane made it.
    """

    id: str
    name: str
    role: str
    namespace: str
    created_ms: int
    expires_ms: int | None = None
    last_used_ms: int | None = None
    created_by: str = ""
    revoked_ms: int | None = None
    token: str | None = None


class TokenList(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/tokens``, oldest first."""

    tokens: tuple[TokenView, ...]


class WhoAmI(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``GET /v1/whoami``. ``scope``: ``*`` or the only namespace; ``namespace``: that of this request."""

    id: str
    name: str
    role: str
    scope: str
    namespace: str
    expires_ms: int | None = None


class SetQuota(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``PUT /v1/namespaces/{name}/quota``: all of it; what is left out is unlimited."""

    max_waiting: int | None = None
    max_running: int | None = None
    max_bytes: int | None = None


class CreateNamespace(SetQuota, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``POST /v1/namespaces``."""

    name: str


class NamespaceView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A namespace and its quota: jobs that wait, jobs that run at once, stored bytes; null: unlimited."""

    name: str
    created_ms: int
    max_waiting: int | None = None
    max_running: int | None = None
    max_bytes: int | None = None


class NamespaceList(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/namespaces``, by name."""

    namespaces: tuple[NamespaceView, ...]


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    """One action. ``token``: the caller's token id, ``name``: its name then.

    ``outcome``: ``done`` or the code of the error; ``address``: of whoever opened the connection, which may
    be a proxy.
    """

    seq: int
    at_ms: int
    token: str
    name: str
    address: str
    namespace: str
    action: str
    target: str
    outcome: str


class AuditList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``GET /v1/audit``, newest first. A page may be empty and yet have a ``cursor``: ask on with it."""

    entries: tuple[AuditView, ...]
    cursor: str | None = None
