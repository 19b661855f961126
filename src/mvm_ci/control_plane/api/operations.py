"""The routes of modules, workers, join tokens and the control plane itself."""

import asyncio
from typing import Final

import msgspec

from mvm_ci.control_plane.api.requests import Request, decode
from mvm_ci.control_plane.api.routes import Reply
from mvm_ci.control_plane.api.services import Services
from mvm_ci.control_plane.api.views import module_view, worker_view
from mvm_ci.domain.errors import BadInput, NotFound, Unavailable
from mvm_ci.domain.ids import WorkerId, is_digest
from mvm_ci.domain.tokens import TOKEN_BYTES, TokenKind, digest, format_token
from mvm_ci.ports.registry import JoinToken, Worker
from mvm_ci.wire import api

MAX_MODULES: Final = 1_000
MAX_USES: Final = 10_000
MAX_TTL_S: Final = 30 * 86_400
READY_S: Final = 2.0
"""For the store to answer ``/readyz``."""

_create_join_token = msgspec.json.Decoder(api.CreateJoinToken)
_encode = msgspec.json.Encoder().encode


async def push_module(services: Services, request: Request) -> Reply:
    """Stores a module."""
    return Reply(
        _encode(module_view(await services.modules.add(request.body, request.query.get("name", ""))))
    )


async def modules(services: Services, request: Request) -> Reply:
    """Modules, newest first."""
    prefix = request.query.get("prefix", "").lower()
    if not is_digest(prefix.ljust(64, "0")):
        raise BadInput(f"prefix: {prefix[:80]!r} is not the beginning of a digest (hex digits)")
    if prefix:
        found = await services.registry.modules_with_prefix(prefix, MAX_MODULES)
        found = sorted(found, key=lambda info: -info.created_ms)
    else:
        found = await services.registry.modules()
    return Reply(_encode(api.ModuleList(modules=tuple(module_view(info) for info in found))))


async def workers(services: Services, _: Request) -> Reply:
    """All workers."""
    found = await services.registry.workers()
    return Reply(_encode(api.WorkerList(workers=tuple(_worker_view(services, worker) for worker in found))))


async def drain_worker(services: Services, request: Request) -> Reply:
    """Asks a worker to drain."""
    worker = _worker_id(request)
    await services.sessions.drain(worker)
    return await _worker(services, worker)


async def revoke_worker(services: Services, request: Request) -> Reply:
    """Revokes a worker's key."""
    worker = _worker_id(request)
    await services.sessions.revoke(worker)
    return await _worker(services, worker)


async def create_join_token(services: Services, request: Request) -> Reply:
    """A new join token."""
    asked = decode(_create_join_token, request.body)
    if not 1 <= asked.uses <= MAX_USES:
        raise BadInput(f"uses: {asked.uses} is not between 1 and {MAX_USES}")
    if not 1 <= asked.ttl_s <= MAX_TTL_S:
        raise BadInput(f"ttl_s: {asked.ttl_s} is not between 1 and {MAX_TTL_S}")
    secret = format_token(TokenKind.JOIN, services.random(TOKEN_BYTES))
    now = services.clock.now_ms()
    token = JoinToken(
        id=f"jt{services.random(6).hex()}",
        digest=digest(secret),
        created_ms=now,
        expires_ms=now + asked.ttl_s * 1000,
        uses_left=asked.uses,
    )
    await services.registry.put_join_token(token)
    return Reply(_encode(_join_token_view(token, secret)))


async def join_tokens(services: Services, _: Request) -> Reply:
    """All join tokens, without their secrets."""
    found = await services.registry.join_tokens()
    return Reply(_encode(api.JoinTokenList(tokens=tuple(_join_token_view(token, None) for token in found))))


async def status(services: Services, _: Request) -> Reply:
    """The control plane at a glance."""
    counts = await services.queue.counts()
    known = await services.registry.workers()
    views = [_worker_view(services, worker) for worker in known]
    connected = [view for view in views if view.connected]
    answer = api.Status(
        version=services.version,
        started_ms=services.started_ms,
        jobs={state.label: count for state, count in sorted(counts.items())},
        workers=len(views),
        connected=len(connected),
        slots=sum(view.slots for view in connected),
        stale_refused=services.recorder.stale,
    )
    return Reply(_encode(answer))


async def ticket(services: Services, _: Request) -> Reply:
    """Where workers find the control plane."""
    return Reply(_encode(api.Ticket(ticket=services.ticket())))


async def live(_services: Services, _: Request) -> Reply:
    """The process answers."""
    return Reply(_encode({"status": "live"}))


async def ready(services: Services, _: Request) -> Reply:
    """It takes requests, and its store answers."""
    if services.waiters.closed:
        raise Unavailable("the control plane stops")
    try:
        async with asyncio.timeout(READY_S):
            await services.queue.next_wake()
    except TimeoutError:
        raise Unavailable(f"the store does not answer within {READY_S:g} s") from None
    return Reply(_encode({"status": "ready"}))


def _worker_id(request: Request) -> WorkerId:
    return WorkerId(request.params["id"].lower())


async def _worker(services: Services, worker_id: WorkerId) -> Reply:
    worker = await services.registry.worker(worker_id)
    if worker is None:
        raise NotFound(f"there is no worker {worker_id[:80]!r}")
    return Reply(_encode(_worker_view(services, worker)))


def _worker_view(services: Services, worker: Worker) -> api.WorkerView:
    session = services.sessions.of_worker(worker.id)
    left = services.sessions.lease_left_ms(session) if session is not None else 0
    return worker_view(worker, session, left)


def _join_token_view(token: JoinToken, secret: str | None) -> api.JoinTokenView:
    return api.JoinTokenView(
        id=token.id,
        uses_left=token.uses_left,
        created_ms=token.created_ms,
        expires_ms=token.expires_ms,
        token=secret,
    )
