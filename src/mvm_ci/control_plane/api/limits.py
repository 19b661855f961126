"""The route of limits."""

import msgspec

from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import Reply
from mvm_ci.control_plane.api.services import Services
from mvm_ci.domain.lane import Concurrency, Lane
from mvm_ci.domain.scheduling.limits import Limits
from mvm_ci.wire import api

_encode = msgspec.json.Encoder().encode


async def listing(services: Services, request: Request) -> Reply:
    """The concurrency keys of the namespace that are in use or waited for, by name, and its running jobs."""
    limits, namespace = services.dispatcher.scheduler.limits, request.namespace
    in_use = limits.keys(namespace)
    used = {rule.key: held for rule, held in in_use}
    rules = {rule.key: rule for rule, _ in in_use}
    waiting: dict[str, Lane] = {}
    for lane in (await services.queue.ready_lanes()).values():
        if lane.namespace == namespace and lane.concurrency is not None:
            waiting[lane.concurrency.key] = lane
            rules[lane.concurrency.key] = lane.concurrency
    now_ms = services.clock.now_ms()
    views = tuple(
        _view(rule, used.get(key, 0), waiting.get(key), limits, now_ms) for key, rule in sorted(rules.items())
    )
    running = limits.running(namespace)
    have, most = (None, None) if running is None else running
    return Reply(_encode(api.LimitList(keys=views, running=have, max_running=most)))


def _view(rule: Concurrency, used: int, lane: Lane | None, limits: Limits, now_ms: int) -> api.LimitView:
    return api.LimitView(
        key=rule.key,
        running=used,
        waiting=lane is not None,
        limit=rule.limit,
        starts=rule.starts,
        per_s=None if rule.starts is None else rule.per_ms / 1000,
        next_ms=None if lane is None else limits.room(lane, lane.id, now_ms).at_ms,
    )
