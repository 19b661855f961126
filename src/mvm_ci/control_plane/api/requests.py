"""A request as its route sees it, and how it is read: within limits of size and time."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.namespace import DEFAULT_NAMESPACE
from mvm_ci.domain.role import Role
from mvm_ci.ports.access import ApiToken

NOBODY: Final = ApiToken(id="", digest="", name="", role=Role.VIEWER, namespace="", created_ms=0)
"""The caller where no token is needed."""


class QueryLike(Protocol):
    """A declared query parameter."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def least(self) -> float: ...
    @property
    def most(self) -> float: ...


class Request:
    """``params``: the path's; ``query``: the declared parameters that were given, parsed; ``body``: its
    bytes; ``namespace``: whose jobs and modules the caller works with; ``caller``: its token;
    ``authorization``: the header, where the handler checks it; ``last_event_id``: where a stream of events
    that broke off goes on; ``part``: the headers ``Range`` and ``If-Range``. ``coming``: instead of ``body``,
    where the handler takes that as it comes, ``size`` bytes.

    For the audit log: ``address`` of the caller; ``action``; ``target``: what it is done to, from the path if
    the handler says nothing better; ``recorded``: whether the entry is written.
    """

    __slots__ = (
        "action",
        "address",
        "authorization",
        "body",
        "caller",
        "coming",
        "last_event_id",
        "namespace",
        "params",
        "part",
        "query",
        "recorded",
        "size",
        "target",
    )

    def __init__(
        self,
        params: Mapping[str, str],
        query: Mapping[str, Any],
        body: bytes = b"",
        namespace: str = DEFAULT_NAMESPACE,
        caller: ApiToken = NOBODY,
    ) -> None:
        self.params = params
        self.query = query
        self.body = body
        self.namespace = namespace
        self.caller = caller
        self.address = ""
        self.authorization: bytes | None = None
        self.last_event_id: bytes | None = None
        self.part: tuple[bytes | None, bytes | None] = (None, None)
        self.coming: AsyncGenerator[bytes, None] | None = None
        self.size = 0
        self.action = ""
        self.target = " ".join(params.values()) if params else ""
        self.recorded = False


def parse_query(raw: bytes, declared: Mapping[str, QueryLike]) -> dict[str, Any]:
    """The query's parameters. Raises ``BadInput``, naming the parameter."""
    found: dict[str, Any] = {}
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise BadInput("the query is malformed") from None
    for name, text in pairs:
        query = declared.get(name)
        if query is None:
            known = ", ".join(declared) or "none"
            raise BadInput(
                f"query parameter {name[:80]!r}: there is no such parameter here; there are: {known}"
            )
        if name in found:
            raise BadInput(f"query parameter {name}: given twice")
        found[name] = _value(query, text)
    return found


def _value(query: QueryLike, text: str) -> str | int | float | bool:
    if query.kind == "string":
        return text
    if query.kind == "boolean":
        if text not in {"0", "1", "true", "false"}:
            raise BadInput(f"query parameter {query.name}: {text[:80]!r} is not 0 or 1")
        return text in {"1", "true"}
    try:
        value = int(text) if query.kind == "integer" else float(text)
    except ValueError:
        raise BadInput(f"query parameter {query.name}: {text[:80]!r} is not a number") from None
    if not query.least <= value <= query.most:
        raise BadInput(
            f"query parameter {query.name}: {text[:80]} is not between {query.least:g} and {query.most:g}"
        )
    return value
