"""The routes of the control plane itself."""

import asyncio
from typing import Final

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST

from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import Reply
from mvm_ci.control_plane.api.services import Services
from mvm_ci.control_plane.api.workers import shown_worker
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.grant import PeerRole
from mvm_ci.ports.access import ALL_NAMESPACES
from mvm_ci.wire import api

READY_S: Final = 2.0
"""For the store to answer ``/readyz``."""

_encode = msgspec.json.Encoder().encode


async def status(services: Services, request: Request) -> Reply:
    """The control plane at a glance; the jobs are those that the caller's token may see."""
    scope = request.caller.namespace
    everything = scope == ALL_NAMESPACES
    counts = await (services.counts.get() if everything else services.queue.counts(scope))
    known = await services.registry.workers()
    views = [shown_worker(services, one) for one in known if one.role is not PeerRole.ENGINE]
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


async def metrics(services: Services, _: Request) -> Reply:
    """All figures, for Prometheus."""
    return Reply(
        await services.metrics.text(services.auth.refused, services.trail.entries), CONTENT_TYPE_LATEST
    )


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
