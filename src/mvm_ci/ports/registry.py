"""Who may work: join tokens, workers, their sessions; and, as ``ports.catalogue`` says, which modules
there are.

Secrets are never stored: only their SHA-256 (they are random, 256 bits, so no salt or stretching is needed).
All writes are durable on return and safe to repeat. Errors of the store itself are ``Unavailable``.
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Protocol

import msgspec

from mvm_ci.domain.grant import PeerRole
from mvm_ci.domain.ids import Incarnation, SessionId, WorkerId
from mvm_ci.ports.catalogue import Catalogue


class JoinToken(msgspec.Struct, frozen=True, kw_only=True):
    """Permission to become a worker. ``id`` is shown; ``digest`` is the SHA-256 of the secret, hex."""

    id: str
    digest: str
    created_ms: int
    expires_ms: int
    uses_left: int
    name: str = ""
    uses: int = 0
    """How often it could be used in all; 0: not known."""


class Join(StrEnum):
    """What became of the use of a join token."""

    DONE = "done"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    USED_UP = "used-up"
    REVOKED = "revoked"


class WorkerState(IntEnum):
    """Stored: never renumber."""

    ACTIVE = 0
    DRAINING = 1  # gets no new jobs until it is made active again
    REVOKED = 2  # its key is refused


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A key that joined.

    ``session``, ``incarnation``: its last ones; ``session_open``: whether that session may hold jobs.
    ``ephemeral``: to be forgotten with the end of its session. ``drain_by_ms``: when a draining one must
    hand over what it still runs. ``protocol``: the newest it speaks. ``role``: an engine's key is one, too.
    """

    id: WorkerId
    name: str
    state: WorkerState
    joined_ms: int
    version: str = ""
    platform: str = ""
    slots: int = 0
    session: SessionId | None = None
    incarnation: Incarnation | None = None
    session_open: bool = False
    seen_ms: int = 0
    labels: Mapping[str, str] = {}
    ephemeral: bool = False
    drain_by_ms: int | None = None
    protocol: int = 0
    role: PeerRole = PeerRole.WORKER


class Registry(Catalogue, Protocol):
    """See the module's docstring."""

    async def put_join_token(self, token: JoinToken) -> None:
        """Stores a join token (by id); one that is there is left as it is, with the uses it has left."""
        ...

    async def join_tokens(self) -> list[JoinToken]:
        """All join tokens, by id."""
        ...

    async def remove_join_token(self, token_id: str) -> bool:
        """Nobody can join with it any more; False if there is none with this id."""
        ...

    async def join(self, token_digest: str, worker: Worker, now_ms: int) -> Join:
        """Uses a join token once and enters ``worker``, in one atomic step.

        A worker that has joined already (and is not revoked) is ``DONE`` and uses nothing up. A revoked key
        stays revoked, also when its worker was forgotten. A token is expired from ``expires_ms`` on.
        """
        ...

    async def open_session(self, worker: Worker, now_ms: int) -> None:
        """Records what the worker says of itself and its new session and incarnation as open.

        Not its state, and not when it must have drained. Raises ``NotFound`` if it never joined.
        """
        ...

    async def close_session(self, worker: WorkerId, session: SessionId, now_ms: int) -> None:
        """Marks the session as ended, if it is still the worker's last one."""
        ...

    async def set_worker_state(
        self, worker: WorkerId, state: WorkerState, drain_by_ms: int | None = None
    ) -> bool:
        """Changes a worker's state; False if there is no such worker. ``REVOKED`` is for good.

        So False, too, for another state of a revoked one. ``drain_by_ms``: see ``Worker``.
        """
        ...

    async def forget_worker(self, worker: WorkerId) -> bool:
        """Removes a worker; False if there is none, or it has an open session.

        A revoked key stays refused.
        """
        ...

    async def worker(self, worker: WorkerId) -> Worker | None:
        """One worker."""
        ...

    async def workers(self) -> list[Worker]:
        """All workers, by id."""
        ...
