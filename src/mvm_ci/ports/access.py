"""Who may do what, and who did: API tokens, namespaces, the audit log.

Secrets are never stored: only their SHA-256 (they are random, 256 bits, so no salt or stretching is needed).
All writes but ``record_soon`` and ``used`` are durable on return. Errors of the store itself are
``Unavailable``.
"""

from typing import Final, Protocol

import msgspec

from mvm_ci.domain.quota import Quota
from mvm_ci.domain.role import Role

ALL_NAMESPACES: Final = "*"
"""The scope of a token that is not bound to one namespace."""


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """An API token as stored. ``id`` is shown; ``digest``: SHA-256 of the secret, hex."""

    id: str
    digest: str
    name: str
    role: Role
    namespace: str
    """The only one it works in, or ``ALL_NAMESPACES``."""
    created_ms: int
    expires_ms: int | None = None
    """From then on it is not valid; None: never."""
    last_used_ms: int | None = None
    """Coarse: as of the last ``used`` that was told."""
    created_by: str = ""
    """The id of the token by which it was made; empty: made by the control plane."""
    revoked_ms: int | None = None


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    """Whose jobs, modules and schedules they are. ``name``: as ``domain.namespace`` checks it."""

    name: str
    created_ms: int
    quota: Quota = Quota()


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who did what, or was refused. Holds no secret."""

    seq: int = 0
    """Its number, given by the store; later entries have higher ones."""
    at_ms: int
    token: str
    """The id of the caller's token."""
    name: str
    """The token's name at that time."""
    address: str
    """Where the request came from, as the server sees it: a proxy's, if there is one."""
    namespace: str
    action: str
    target: str
    """What it was done to."""
    outcome: str
    """``done``, or the code of the error."""


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries; None: all of them."""

    since_ms: int | None = None
    actor: str | None = None
    """A token's id or name."""
    action: str | None = None
    namespace: str | None = None


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, newest first. ``before``: where the next page begins; None: there is none."""

    entries: tuple[AuditEntry, ...]
    before: int | None


class Access(Protocol):
    """See the module's docstring."""

    async def put_token(self, token: ApiToken) -> None:
        """Stores a token (by id and digest); one that is there is left as it is."""
        ...

    async def token(self, digest: str) -> ApiToken | None:
        """The token with this digest, revoked and expired ones too."""
        ...

    async def tokens(self) -> list[ApiToken]:
        """All tokens, oldest first, those of one time by id."""
        ...

    async def revoke_token(self, token_id: str, now_ms: int) -> ApiToken | None:
        """Revokes a token, for good; the token as it is then. None: there is none.

        One that is revoked stays as it is.
        """
        ...

    def used(self, token_id: str, now_ms: int) -> None:
        """Notes that a token was used; never moves back. Returns at once, as ``record_soon`` does."""
        ...

    async def put_namespace(self, namespace: Namespace) -> bool:
        """Enters a namespace; False, and nothing changed, if its name is taken."""
        ...

    async def set_quota(self, name: str, quota: Quota) -> bool:
        """Sets a namespace's quota; False if there is no such namespace."""
        ...

    async def delete_namespace(self, name: str, now_ms: int) -> bool:
        """Removes a namespace and revokes its tokens, in one step; False if there is none.

        Whether it is empty is the caller's to see to.
        """
        ...

    async def namespaces(self) -> list[Namespace]:
        """All namespaces, by name. ``default`` is there from the start."""
        ...

    async def record(self, entry: AuditEntry) -> None:
        """Adds an entry (whose ``seq`` is ignored) to the audit log."""
        ...

    def record_soon(self, entry: AuditEntry) -> None:
        """The same for the hot path: returns at once.

        The entry becomes durable with the next write, or a moment later where there is none; a process that
        is killed may lose it. Failures are logged.
        """
        ...

    async def audit(self, wanted: AuditFilter, before: int | None = None, limit: int = 100) -> AuditPage:
        """A page of the audit log: up to ``limit`` entries with numbers below ``before``.

        A page may have fewer entries than there are, or none at all, and yet name a next page.
        """
        ...

    async def prune_audit(self, before_ms: int, limit: int) -> int:
        """Removes up to ``limit`` of the oldest entries, those older than ``before_ms``; how many.

        The newest entry stays, so that numbers only grow.
        """
        ...
