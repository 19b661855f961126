"""The HTTP API of an engine's service; what is said stands in ``wire.engine``."""

import hmac
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST

from mvm_ci.domain.errors import BadInput, MvmCiError, NotFound, QueueFull, Unavailable
from mvm_ci.domain.grant import well_formed
from mvm_ci.domain.ids import format_job_id
from mvm_ci.engine.service.client import Client
from mvm_ci.engine.service.desk import Desk
from mvm_ci.serving.bodies import decode, read_body
from mvm_ci.serving.exchange import Disconnected, Exchange
from mvm_ci.serving.peer_caller import is_peer
from mvm_ci.serving.problems import PROBLEM, HttpError, headers_of, problem, status_of
from mvm_ci.wire import engine as w

log = structlog.get_logger(__name__)

_CLIENT: Final = re.compile(r"[0-9a-f]{32}")
_JSON: Final = b"application/json"
_LINES: Final = b"application/x-ndjson"
_CLIENTS: Final = "/v1/clients/"
_SCHEME: Final = b"bearer "
_CHALLENGE: Final = ((b"www-authenticate", b'Bearer realm="mvm-ci engine"'),)
_encode: Final = msgspec.json.Encoder().encode
_place: Final = msgspec.json.Decoder(w.Place)
_orders: Final = msgspec.json.Decoder(tuple[w.Order, ...])
_OPEN: Final = frozenset({"/livez", "/readyz"})

Handler = Callable[[Exchange], Awaitable[None]]


class EngineApi:
    """``token``: what callers over TCP must show; peers were asked for their key before."""

    def __init__(self, desk: Desk, token: str) -> None:
        self._desk = desk
        self._token = token.encode()
        self._fixed: dict[tuple[str, str], Handler] = {
            ("GET", "/livez"): self._live,
            ("GET", "/readyz"): self._ready,
            ("GET", "/metrics"): self._metrics,
            ("GET", "/v1/engine"): self._engine,
            ("GET", "/v1/executions"): self._executions,
            ("POST", "/v1/drain"): self._drain,
        }
        self._of_client: dict[tuple[str, str], Callable[[Exchange, str], Awaitable[None]]] = {
            ("GET", "events"): self._events,
            ("POST", "executions"): self._take,
            ("POST", "orders"): self._obey,
        }

    async def __call__(self, exchange: Exchange) -> None:
        """One request."""
        try:
            if exchange.path not in _OPEN:
                self._authorize(exchange)
                self._permit(exchange)
            await self._answer(exchange)
        except Disconnected:
            return
        except HttpError as error:
            body = problem(error.status, error.code, str(error))
            exchange.reply(error.status, body, PROBLEM, error.headers)
        except MvmCiError as error:
            status = status_of(error)
            exchange.reply(status, problem(status, error.code, str(error)), PROBLEM, headers_of(error))
        except Exception:
            log.exception("request_failed", path=exchange.path)
            detail = "an error inside the engine; its log has more"
            exchange.reply(500, problem(500, "error", detail), PROBLEM)

    def _authorize(self, exchange: Exchange) -> None:
        if is_peer(exchange.address):
            return
        header = exchange.headers.get(b"authorization")
        if header is None:
            raise _refusal("this needs the engine's token: Authorization: Bearer ...")
        given = header[len(_SCHEME) :].strip() if header[: len(_SCHEME)].lower() == _SCHEME else b""
        if not hmac.compare_digest(given, self._token):
            raise _refusal("the token is not this engine's")

    def _permit(self, exchange: Exchange) -> None:
        # A peer is a worker: it may use the engine, but what becomes of it, and of others, is not its affair.
        own = exchange.path == "/v1/engine" or exchange.path.startswith(_CLIENTS)
        if is_peer(exchange.address) and not own:
            raise HttpError(403, "refused", "this is for holders of the engine's token, over TCP")

    async def _answer(self, exchange: Exchange) -> None:
        path, method = exchange.path, exchange.method
        handler = self._fixed.get((method, path))
        if handler is not None:
            await handler(exchange)
            return
        parts = path.split("/")
        if len(parts) == 5 and parts[:3] == ["", "v1", "clients"]:
            of_client = self._of_client.get((method, parts[4]))
            if of_client is not None:
                if not _CLIENT.fullmatch(parts[3]):
                    raise BadInput("a client is named by 32 hex digits")
                await of_client(exchange, parts[3])
                return
        known = {path for _, path in self._fixed} | {
            f"/v1/clients/{{client}}/{last}" for _, last in self._of_client
        }
        raise NotFound(f"there is no {method[:20]} {path[:200]} here; there are: {', '.join(sorted(known))}")

    # ------------------------------------------------------------------ the engine

    async def _live(self, exchange: Exchange) -> None:
        exchange.reply(200, _encode({"status": "live"}), _JSON)

    async def _ready(self, exchange: Exchange) -> None:
        """It runs guests, and is connected."""
        why = self._desk.unready()
        if why:
            raise Unavailable(why)
        exchange.reply(200, _encode({"status": "ready"}), _JSON)

    async def _metrics(self, exchange: Exchange) -> None:
        exchange.reply(200, self._desk.metrics(), CONTENT_TYPE_LATEST.encode())

    async def _engine(self, exchange: Exchange) -> None:
        exchange.reply(200, _encode(self._desk.whole_room()), _JSON)

    async def _executions(self, exchange: Exchange) -> None:
        found = tuple(
            w.Execution(format_job_id(placed.job), placed.epoch, client, state.value)
            for placed, client, state in self._desk.guests.executions()
        )
        exchange.reply(200, _encode(w.Executions(found)), _JSON)

    async def _drain(self, exchange: Exchange) -> None:
        """Nothing more is taken; what has not started goes back, and with ``running=1`` all of it."""
        if exchange.query not in {b"", b"running=1", b"running=0"}:
            raise BadInput("drain takes running=1 and nothing else")
        self._desk.drain(running=exchange.query == b"running=1")
        exchange.reply(200, _encode(self._desk.whole_room()), _JSON)

    # ------------------------------------------------------------------ its clients

    async def _events(self, exchange: Exchange, name: str) -> None:
        client = self._desk.guests.welcome(name, _owner(exchange))
        async with aclosing(self._lines(client)) as lines:
            exchange.begin(_LINES)
            async for piece in lines:
                await exchange.piece(piece)
        exchange.end()

    async def _lines(self, client: Client) -> AsyncGenerator[bytes, None]:
        follower = client.follow()
        self._desk.guests.recount()
        try:
            while client.follows(follower):
                told = client.take(self._desk.room_of(client))
                if told:
                    yield b"".join(_encode(event) + b"\n" for event in told)
                await client.ready()
        finally:
            client.left(follower)
            self._desk.guests.recount()

    async def _take(self, exchange: Exchange, name: str) -> None:
        asked = decode(_place, await read_body(exchange, w.MAX_ORDERS))
        grants = asked.grants
        if len(grants) > w.MAX_GRANTS:
            raise BadInput(f"{len(grants)} grants; at most {w.MAX_GRANTS} are taken in one request")
        if not all(map(well_formed, grants)):
            raise BadInput("a grant that no control plane made")
        client = self._desk.guests.client(name, _owner(exchange))
        client.seen(asked.seen)
        full = self._desk.full(client)
        taken = 0 if full else self._desk.guests.take(client, grants)
        if not full and taken < len(grants):
            full = self._desk.no_room(grants[taken])
        if not taken and grants:
            raise QueueFull(full)
        exchange.reply(200, _encode(w.Taken(self._desk.engine, taken, full)), _JSON)

    async def _obey(self, exchange: Exchange, name: str) -> None:
        orders = decode(_orders, await read_body(exchange, w.MAX_ORDERS))
        client = self._desk.guests.client(name, _owner(exchange))
        for order in orders:
            self._desk.obey(client, order)
        exchange.reply(200, b"{}", _JSON)


def _owner(exchange: Exchange) -> str:
    """Whose clients the caller may act for: those of its key, or of the token."""
    return exchange.address if is_peer(exchange.address) else ""


def _refusal(detail: str) -> HttpError:
    return HttpError(401, "refused", detail, _CHALLENGE)
