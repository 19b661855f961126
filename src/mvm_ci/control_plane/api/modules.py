"""The routes of modules."""

from typing import Final

import msgspec

from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import Reply
from mvm_ci.control_plane.api.services import Services
from mvm_ci.control_plane.api.views import module_view
from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.ids import is_digest
from mvm_ci.wire import api

MAX_MODULES: Final = 1_000
_encode = msgspec.json.Encoder().encode


async def push_module(services: Services, request: Request) -> Reply:
    """Stores a module."""
    await services.backpressure.has_room_for(request.namespace, len(request.body))
    added = await services.modules.add(request.body, request.query.get("name", ""))
    request.target = added.digest
    return Reply(_encode(module_view(added)))


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
