"""The routes of modules, their names and versions."""

import re
from typing import Final

import msgspec

from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import Reply
from mvm_ci.control_plane.api.services import Services
from mvm_ci.control_plane.api.views import module_view, version_view
from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.ids import Digest, is_digest
from mvm_ci.domain.module_names import check_name, check_version
from mvm_ci.ports.catalogue import ModuleVersion
from mvm_ci.serving.bodies import decode
from mvm_ci.wire import api

MAX_MODULES: Final = 1_000
DEFAULT_VERSIONS: Final = 100
NUMBER: Final = "[0-9]{1,15}"
"""The cursor of a list of versions."""
_CURSOR: Final = re.compile(NUMBER)
_put_version = msgspec.json.Decoder(api.PutModuleVersion)
_encode = msgspec.json.Encoder().encode


async def push_module(services: Services, request: Request) -> Reply:
    """Stores a module."""
    added = await services.modules.add(request.namespace, request.body, request.query.get("name", ""))
    request.target = added.digest
    return Reply(_encode(module_view(added)))


async def modules(services: Services, request: Request) -> Reply:
    """Modules, newest first."""
    prefix = request.query.get("prefix", "").lower()
    if not is_digest(prefix.ljust(64, "0")):
        raise BadInput(f"prefix: {prefix[:80]!r} is not the beginning of a digest (hex digits)")
    if prefix:
        found = await services.registry.modules_with_prefix(request.namespace, prefix, MAX_MODULES)
        found = sorted(found, key=lambda info: -info.created_ms)
    else:
        found = await services.registry.modules(request.namespace)
    return Reply(_encode(api.ModuleList(modules=tuple(module_view(info) for info in found))))


async def delete_module(services: Services, request: Request) -> Reply:
    """Takes a module out of the namespace; its jobs go on."""
    deleted = await services.modules.delete(request.namespace, Digest(request.params["digest"]))
    return Reply(_encode(module_view(deleted)))


async def names(services: Services, request: Request) -> Reply:
    """A page of names, each with its newest version."""
    limit: int = request.query.get("limit", DEFAULT_VERSIONS)
    # One more than asked for: whether there is a next page.
    found = await services.modules.names(request.namespace, request.query.get("cursor", ""), limit + 1)
    cursor = found[limit - 1].name if len(found) > limit else None
    versions = tuple(map(version_view, found[:limit]))
    return Reply(_encode(api.ModuleVersionList(versions=versions, cursor=cursor)))


async def newest(services: Services, request: Request) -> Reply:
    """What a name alone stands for."""
    name = check_name(request.params["name"])
    return _shown(await services.modules.version(request.namespace, name))


async def versions(services: Services, request: Request) -> Reply:
    """A page of the versions of a name, newest first."""
    name = check_name(request.params["name"])
    limit: int = request.query.get("limit", DEFAULT_VERSIONS)
    before = _number(request.query["cursor"]) if "cursor" in request.query else None
    found = await services.modules.versions(request.namespace, name, before, limit + 1)
    cursor = str(found[limit - 1].number) if len(found) > limit else None
    shown = tuple(map(version_view, found[:limit]))
    return Reply(_encode(api.ModuleVersionList(versions=shown, cursor=cursor)))


async def version(services: Services, request: Request) -> Reply:
    """What a name and a version stand for."""
    return _shown(await services.modules.version(request.namespace, *_named(request)))


async def publish(services: Services, request: Request) -> Reply:
    """Makes a version stand for a module."""
    asked = decode(_put_version, request.body)
    name, number = _named(request)
    if not is_digest(asked.digest):
        raise BadInput(f"digest: {asked.digest[:80]!r} is none (64 hex digits)")
    request.target = f"{name}@{number} {asked.digest}"
    return _shown(await services.modules.publish(request.namespace, name, number, asked.digest))


async def unpublish(services: Services, request: Request) -> Reply:
    """Removes a version; the module stays."""
    name, number = _named(request)
    request.target = f"{name}@{number}"
    return _shown(await services.modules.unpublish(request.namespace, name, number))


def _number(cursor: str) -> int:
    if not _CURSOR.fullmatch(cursor):
        raise BadInput(f"cursor: {cursor[:80]!r} is none of this list")
    return int(cursor)


def _named(request: Request) -> tuple[str, str]:
    return check_name(request.params["name"]), check_version(request.params["version"])


def _shown(found: ModuleVersion) -> Reply:
    return Reply(_encode(version_view(found)))
