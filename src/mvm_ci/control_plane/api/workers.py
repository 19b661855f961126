"""The routes of workers and of the tokens by which they join."""

from typing import Final

import msgspec

from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import Reply
from mvm_ci.control_plane.api.services import Services
from mvm_ci.control_plane.api.views import worker_view
from mvm_ci.domain.errors import BadInput, NotFound
from mvm_ci.domain.ids import WorkerId
from mvm_ci.domain.labels import matches, parse_labels
from mvm_ci.lifecycle.join_tokens import MAX_TTL_S, MAX_USES, new_join_token
from mvm_ci.ports.registry import JoinToken, Worker
from mvm_ci.serving.bodies import decode
from mvm_ci.wire import api

MAX_TOKEN_NAME: Final = 100

_create_join_token = msgspec.json.Decoder(api.CreateJoinToken)
_encode = msgspec.json.Encoder().encode


async def workers(services: Services, request: Request) -> Reply:
    """All workers, or those with the labels asked for."""
    asked = _labels(request.query.get("label"))
    found = [worker for worker in await services.registry.workers() if matches(asked, worker.labels)]
    return Reply(_encode(api.WorkerList(workers=tuple(shown_worker(services, worker) for worker in found))))


async def worker(services: Services, request: Request) -> Reply:
    """One worker."""
    return await _worker(services, _worker_id(request))


async def drain_worker(services: Services, request: Request) -> Reply:
    """Drains a worker."""
    worker_id = _worker_id(request)
    deadline_s = request.query.get("deadline_s")
    await services.fleet.drain(worker_id, None if deadline_s is None else round(deadline_s * 1000))
    return await _worker(services, worker_id)


async def resume_worker(services: Services, request: Request) -> Reply:
    """Ends a drain."""
    worker_id = _worker_id(request)
    await services.fleet.resume(worker_id)
    return await _worker(services, worker_id)


async def revoke_worker(services: Services, request: Request) -> Reply:
    """Revokes a worker's key."""
    worker_id = _worker_id(request)
    await services.fleet.revoke(worker_id)
    known = await services.registry.worker(worker_id)
    # One that was ephemeral is forgotten with its session.
    return Reply(_encode(shown_worker(services, known) if known is not None else _revoked(worker_id)))


async def forget_worker(services: Services, request: Request) -> Reply:
    """Forgets a worker."""
    worker_id = _worker_id(request)
    known = await services.registry.worker(worker_id)
    await services.fleet.forget(worker_id)
    return Reply(_encode(shown_worker(services, known) if known is not None else _revoked(worker_id)))


async def create_join_token(services: Services, request: Request) -> Reply:
    """A new join token."""
    asked = decode(_create_join_token, request.body)
    if not 1 <= asked.uses <= MAX_USES:
        raise BadInput(f"uses: {asked.uses} is not between 1 and {MAX_USES}")
    if not 1 <= asked.ttl_s <= MAX_TTL_S:
        raise BadInput(f"ttl_s: {asked.ttl_s} is not between 1 and {MAX_TTL_S}")
    if len(asked.name) > MAX_TOKEN_NAME or not asked.name.isprintable():
        raise BadInput(f"name: not printable, or over {MAX_TOKEN_NAME} characters")
    token, secret = new_join_token(
        services.random, services.clock.now_ms(), uses=asked.uses, ttl_s=asked.ttl_s, name=asked.name
    )
    request.target = f"{token.id} ({token.uses_left} uses)"
    await services.registry.put_join_token(token)
    return Reply(_encode(_join_token_view(token, secret)))


async def join_tokens(services: Services, _: Request) -> Reply:
    """All join tokens, without their secrets."""
    found = await services.registry.join_tokens()
    return Reply(_encode(api.JoinTokenList(tokens=tuple(_join_token_view(token, None) for token in found))))


async def remove_join_token(services: Services, request: Request) -> Reply:
    """Removes a join token."""
    token_id = request.params["id"]
    known = {token.id: token for token in await services.registry.join_tokens()}
    if token_id not in known or not await services.registry.remove_join_token(token_id):
        raise NotFound(f"there is no join token {token_id[:80]!r}")
    return Reply(_encode(_join_token_view(known[token_id], None)))


def _labels(text: str | None) -> dict[str, str]:
    if not text:
        return {}
    try:
        return parse_labels(text.split(","))
    except ValueError as error:
        raise BadInput(f"query parameter label: {text[:80]!r} {error}") from None


def _revoked(worker_id: WorkerId) -> api.WorkerView:
    return api.WorkerView(id=worker_id, name="", state="revoked", connected=False)


def _worker_id(request: Request) -> WorkerId:
    return WorkerId(request.params["id"].lower())


async def _worker(services: Services, worker_id: WorkerId) -> Reply:
    known = await services.registry.worker(worker_id)
    if known is None:
        raise NotFound(f"there is no worker {worker_id[:80]!r}")
    return Reply(_encode(shown_worker(services, known)))


def shown_worker(services: Services, worker: Worker) -> api.WorkerView:
    """A worker with what its session shows now."""
    session = services.sessions.of_worker(worker.id)
    left = services.sessions.lease_left_ms(session) if session is not None else 0
    return worker_view(worker, session, left, services.version)


def _join_token_view(token: JoinToken, secret: str | None) -> api.JoinTokenView:
    return api.JoinTokenView(
        id=token.id,
        uses_left=token.uses_left,
        created_ms=token.created_ms,
        expires_ms=token.expires_ms,
        token=secret,
        name=token.name,
        uses=token.uses,
    )
