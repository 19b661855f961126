"""The routes of queues."""

import msgspec

from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import Reply
from mvm_ci.control_plane.api.services import Services
from mvm_ci.lifecycle.job_request import check_key
from mvm_ci.wire import api

_encode = msgspec.json.Encoder().encode


async def listing(services: Services, request: Request) -> Reply:
    """The queues of the namespace that are paused or have ready jobs."""
    paused = {name for namespace, name in await services.queues.paused() if namespace == request.namespace}
    ready = (await services.queue.ready_lanes()).values()
    names = paused | {lane.queue for lane in ready if lane.namespace == request.namespace}
    views = tuple(api.QueueView(name=name, paused=name in paused) for name in sorted(names))
    return Reply(_encode(api.QueueList(queues=views)))


async def pause(services: Services, request: Request) -> Reply:
    """Nothing of a queue goes to workers any more; what runs goes on."""
    name = _name(request)
    await services.queues.pause(request.namespace, name, services.clock.now_ms())
    services.dispatcher.pause_queue(request.namespace, name)
    return Reply(_encode(api.QueueView(name=name, paused=True)))


async def resume(services: Services, request: Request) -> Reply:
    """A queue goes on."""
    name = _name(request)
    await services.queues.resume(request.namespace, name)
    services.dispatcher.resume_queue(request.namespace, name)
    return Reply(_encode(api.QueueView(name=name, paused=False)))


def _name(request: Request) -> str:
    name = request.params["name"]
    check_key("name", name)
    return name
