"""A request as its route sees it, and how it is read: within limits of size and time."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import parse_qsl

import msgspec

from mvm_ci.domain.errors import BadInput, TooLarge
from mvm_ci.domain.namespace import DEFAULT_NAMESPACE
from mvm_ci.domain.role import Role
from mvm_ci.ports.access import ApiToken
from mvm_ci.serving.exchange import BodyLate, BodyTooLarge, Exchange
from mvm_ci.serving.problems import HttpError

NOBODY: Final = ApiToken(id="", digest="", name="", role=Role.VIEWER, namespace="", created_ms=0)
"""The caller where no token is needed."""

T = TypeVar("T")


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


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The body's value. Raises ``BadInput``, saying what is wrong and where."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise BadInput(f"the body is not as it must be: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"the body is not JSON: {error}") from None


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


async def read_body(exchange: Exchange, limit: int) -> bytes:
    """The whole body. Raises ``TooLarge`` as soon as it is over ``limit``, ``HttpError`` if it does not
    come in time, ``Disconnected``.
    """
    try:
        return await exchange.body(limit)
    except (BodyTooLarge, BodyLate) as error:
        raise _explained(error, limit) from None


async def body_pieces(exchange: Exchange, limit: int) -> AsyncGenerator[bytes, None]:
    """The same piece by piece, as it comes; it comes in time as long as something does."""
    try:
        async with aclosing(exchange.pieces(limit)) as pieces:
            async for piece in pieces:
                yield piece
    except (BodyTooLarge, BodyLate) as error:
        raise _explained(error, limit) from None


def _explained(error: BodyTooLarge | BodyLate, limit: int) -> Exception:
    if isinstance(error, BodyLate):
        return HttpError(408, "bad-input", f"the body did not come within {error.limit_s:g} s")
    if error.announced is None:
        return TooLarge(f"the body has more than the {limit} bytes that are allowed")
    return TooLarge(f"the body has {error.announced} bytes; at most {limit} are allowed")
