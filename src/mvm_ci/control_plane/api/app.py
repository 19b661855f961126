"""The application: finds the route, asks for a token, reads the body, answers; every error is a
problem document.
"""

import uuid
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import unquote

import msgspec
import structlog

from mvm_ci.control_plane.api.audit import DONE
from mvm_ci.control_plane.api.openapi import document
from mvm_ci.control_plane.api.requests import NOBODY, Request, parse_query
from mvm_ci.control_plane.api.routes import Reply, Route, Stream
from mvm_ci.control_plane.api.services import Services
from mvm_ci.control_plane.api.table import ROUTES
from mvm_ci.domain.errors import MvmCiError, Refused
from mvm_ci.ports.access import ALL_NAMESPACES
from mvm_ci.serving.bodies import body_pieces, read_body
from mvm_ci.serving.exchange import Disconnected, Exchange, Headers
from mvm_ci.serving.problems import PROBLEM, HttpError, headers_of, problem, status_of

log = structlog.get_logger(__name__)

_NO_QUERY: Final[Mapping[str, Any]] = {}


class Api:
    """The application. Its cost a request matters: no framework, no task, no middleware."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._auth = services.auth
        self._trail = services.trail
        self._openapi = Reply(msgspec.json.encode(document((*ROUTES, _OPENAPI), services.version)))
        self._fixed: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[list[str], dict[str, Route]]] = []
        patterns: dict[str, dict[str, Route]] = {}
        for route in (*ROUTES, _OPENAPI):
            table = patterns if "{" in route.path else self._fixed
            table.setdefault(route.path, {})[route.method] = route
        self._patterns = [(path.split("/"), methods) for path, methods in patterns.items()]
        self._queries = {
            id(route): {query.name: query for query in route.query} for route in (*ROUTES, _OPENAPI)
        }

    async def __call__(self, exchange: Exchange) -> None:
        """One request."""
        try:
            answer = await self._answer(exchange)
        except Disconnected:
            return
        except HttpError as error:
            _refuse(exchange, error.status, error.code, str(error), error.headers)
        except MvmCiError as error:
            status = status_of(error)
            if status == 500:
                log.exception("request_failed", path=exchange.path, code=error.code)
            _refuse(exchange, status, error.code, str(error), headers_of(error))
        except Exception:
            number = uuid.uuid4().hex[:12]
            log.exception("request_failed", path=exchange.path, number=number)
            detail = f"an error inside the control plane; its log has more under {number}"
            _refuse(exchange, 500, "error", detail, ())
        else:
            if isinstance(answer, Stream):
                await _stream(exchange, answer)
            else:
                exchange.reply(200, answer.body, answer.media.encode())

    async def _answer(self, exchange: Exchange) -> Reply | Stream:
        route, params = self._find(exchange.method, exchange.path, exchange.raw_path)
        request = Request(params, _NO_QUERY)
        headers = exchange.headers
        request.last_event_id = headers.get(b"last-event-id")
        if route.own_token:
            request.authorization = headers.get(b"authorization")
        if route.role is not None:
            request.caller = await self._auth.caller(headers.get(b"authorization"))
            request.action = route.audit or f"{route.method} {route.path}"
            request.address = exchange.address
        try:
            answer = await self._carry_out(route, request, exchange)
        except Exception as error:
            self._failed(route, request, error)
            raise
        if route.audit is not None and not request.recorded:
            if route.hot:
                self._trail.record_soon(request)
            else:
                await self._trail.record(request, DONE)
        return answer

    async def _carry_out(self, route: Route, request: Request, exchange: Exchange) -> Reply | Stream:
        headers = exchange.headers
        if route.role is not None:
            request.namespace = request.caller.namespace
            self._auth.permit(request.caller, route.role, everywhere=route.everywhere)
            namespace = self._auth.namespace(request.caller, headers.get(b"x-namespace"))
            request.namespace = ALL_NAMESPACES if route.everywhere else namespace
        if exchange.query:
            request.query = parse_query(exchange.query, self._queries[id(route)])
        if route.parts:
            request.part = headers.get(b"range"), headers.get(b"if-range")
        if route.body is not None:
            _check_media(headers.get(b"content-type"), route.body.media)
            if route.body.streamed:
                request.size = _length(headers.get(b"content-length"))
                request.coming = body_pieces(exchange, route.body.limit)
            else:
                request.body = await read_body(exchange, route.body.limit)
        return self._openapi if route is _OPENAPI else await route.handler(self._services, request)

    def _failed(self, route: Route, request: Request, error: Exception) -> None:
        """Of what is only read nothing is recorded but refusals."""
        if request.recorded or request.caller is NOBODY or isinstance(error, Disconnected):
            return
        code = error.code if isinstance(error, HttpError | MvmCiError) else MvmCiError.code
        if route.audit is not None or code == Refused.code:
            self._trail.record_soon(request, code)

    def _find(self, method: str, path: str, raw: bytes) -> tuple[Route, Mapping[str, str]]:
        methods = self._fixed.get(path)
        params: Mapping[str, str] = _NO_QUERY
        if methods is None:
            parts = path.split("/")
            if b"%2f" in raw or b"%2F" in raw:
                # A name with a slash in it, as that of a queue may have, is one part.
                parts = [unquote(part) for part in raw.decode("ascii").split("/")]
            for pattern, candidates in self._patterns:
                found = _match(pattern, parts)
                if found is not None:
                    methods, params = candidates, found
                    break
        if methods is None:
            raise HttpError(
                404, "not-found", f"there is no {path[:200]} here; /openapi.json lists what there is"
            )
        route = methods.get(method)
        if route is None:
            allowed = ", ".join(sorted(methods))
            raise HttpError(
                405,
                "bad-input",
                f"{path[:200]} does not take {method[:20]}, but {allowed}",
                ((b"allow", allowed.encode()),),
            )
        return route, params


async def _no_handler(services: Services, request: Request) -> Reply:
    raise NotImplementedError


_OPENAPI: Final = Route(
    method="GET",
    path="/openapi.json",
    role=None,
    handler=_no_handler,
    summary="This document.",
    answer=dict[str, Any],
)


def _match(pattern: list[str], parts: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(parts):
        return None
    params: dict[str, str] = {}
    for expected, part in zip(pattern, parts, strict=True):
        if expected[:1] == "{":
            if not part:
                return None
            params[expected[1:-1]] = part
        elif expected != part:
            return None
    return params


def _check_media(given: bytes | None, allowed: tuple[str, ...]) -> None:
    media = (given or b"").partition(b";")[0].strip().lower().decode("latin-1")
    if media not in allowed:
        raise HttpError(
            415, "bad-input", f"content-type: {media[:80] or 'none'}; this takes {' or '.join(allowed)}"
        )


def _length(given: bytes | None) -> int:
    if given is None:
        raise HttpError(411, "bad-input", "content-length: none; say how many bytes come")
    return int(given)


def _refuse(exchange: Exchange, status: int, code: str, detail: str, headers: Headers) -> None:
    exchange.reply(status, problem(status, code, detail), PROBLEM, headers)


async def _stream(exchange: Exchange, answer: Stream) -> None:
    """Sends pieces until they end, or the caller is gone. An error in the middle of an answer can only break
    it off.
    """
    async with aclosing(answer.pieces) as pieces:
        exchange.begin(answer.media.encode(), answer.status, answer.length, answer.headers)
        async for piece in pieces:
            await exchange.piece(piece)
    exchange.end()
