"""What a route is: one row of the table from which both the dispatch and the OpenAPI document are made."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from enum import StrEnum
from typing import Any, Final

import msgspec

from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.services import Services
from mvm_ci.domain.role import Role

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
EVENT_STREAM: Final = "text/event-stream"
JOB_ID: Final = "^j[0-7][0-9a-hjkmnp-tv-z]{12}$"
BYTES: Final = "application/octet-stream"
TEXT: Final = "text/plain"
WASM: Final = "application/wasm"


class Reply(msgspec.Struct, frozen=True):
    """A whole answer."""

    body: bytes
    media: str = JSON


class Stream(msgspec.Struct, frozen=True):
    """An answer in pieces, until ``pieces`` ends or the caller goes away. ``length``: of all of them."""

    pieces: AsyncGenerator[bytes, None]
    media: str = NDJSON
    status: int = 200
    length: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[Services, Request], Awaitable[Reply | Stream]]


class Kind(StrEnum):
    """What a query parameter holds; the values are JSON Schema's types."""

    TEXT = "string"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "boolean"


class Query(msgspec.Struct, frozen=True):
    """A query parameter, never required. Numbers lie between ``least`` and ``most``; ``pattern``: what the
    OpenAPI document says of a text, the handler checks it.
    """

    name: str
    kind: Kind
    about: str
    least: float = 0
    most: float = (1 << 53) - 1
    pattern: str | None = None


class Body(msgspec.Struct, frozen=True):
    """A request's body: JSON of ``type``, or raw bytes if that is None. ``limit`` in bytes. ``streamed``: the
    handler takes it as it comes; its length is given.
    """

    limit: int
    type: Any = None
    media: tuple[str, ...] = (JSON,)
    streamed: bool = False


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """``path`` may have ``{name}`` segments; ``role`` None: no token of the API is needed; ``answer`` None:
    raw bytes.

    ``own_token``: the handler checks a bearer token of its own; ``everywhere``: the token must be for all
    namespaces. ``audit``: what the audit log calls it: every route that changes something for a caller with
    a role has a name, and who takes code away leaves a trace, too; ``hot``: its entries need no commit of
    their own. ``parts``: it may answer a part (206).
    """

    method: str
    path: str
    role: Role | None
    handler: Handler
    summary: str
    answer: Any = None
    media: str = JSON
    body: Body | None = None
    query: tuple[Query, ...] = ()
    everywhere: bool = False
    own_token: bool = False
    audit: str | None = None
    hot: bool = False
    parts: bool = False
    errors: tuple[int, ...] = ()
    """Statuses beside those that every route of its kind may answer."""

    @property
    def statuses(self) -> tuple[int, ...]:
        """All statuses of errors."""
        found = {*self.errors, 500, 503}
        if self.role is not None:
            found |= {401, 403, 404}
        if self.body is not None:
            found |= {400, 408, 413, 415} | ({411} if self.body.streamed else set())
        if self.parts:
            found.add(416)
        if self.query:
            found.add(400)
        if "{" in self.path:
            found |= {400, 404}
        return tuple(sorted(found))
