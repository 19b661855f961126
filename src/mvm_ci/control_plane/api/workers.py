"""The routes of workers and of the tokens by which they join."""

from typing import Final

import msgspec

from mvm_ci.control_plane.api.requests import Request, decode
from mvm_ci.control_plane.api.routes import Reply
from mvm_ci.control_plane.api.services import Services
from mvm_ci.control_plane.api.views import worker_view
from mvm_ci.domain.errors import BadInput, NotFound
from mvm_ci.domain.ids import WorkerId
from mvm_ci.domain.tokens import TOKEN_BYTES, TokenKind, digest, format_token
from mvm_ci.ports.registry import JoinToken, Worker
from mvm_ci.wire import api

MAX_USES: Final = 10_000
MAX_TTL_S: Final = 30 * 86_400

_create_join_token = msgspec.json.Decoder(api.CreateJoinToken)
_encode = msgspec.json.Encoder().encode


async def workers(services: Services, _: Request) -> Reply:
    """All workers."""
    found = await services.registry.workers()
    return Reply(_encode(api.WorkerList(workers=tuple(shown_worker(services, worker) for worker in found))))


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
    request.target = f"{token.id} ({token.uses_left} uses)"
    await services.registry.put_join_token(token)
    return Reply(_encode(_join_token_view(token, secret)))


async def join_tokens(services: Services, _: Request) -> Reply:
    """All join tokens, without their secrets."""
    found = await services.registry.join_tokens()
    return Reply(_encode(api.JoinTokenList(tokens=tuple(_join_token_view(token, None) for token in found))))


def _worker_id(request: Request) -> WorkerId:
    return WorkerId(request.params["id"].lower())


async def _worker(services: Services, worker_id: WorkerId) -> Reply:
    worker = await services.registry.worker(worker_id)
    if worker is None:
        raise NotFound(f"there is no worker {worker_id[:80]!r}")
    return Reply(_encode(shown_worker(services, worker)))


def shown_worker(services: Services, worker: Worker) -> api.WorkerView:
    """A worker with what its session shows now."""
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
