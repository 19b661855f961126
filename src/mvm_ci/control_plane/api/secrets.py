"""The routes of secrets."""

from typing import Final

import msgspec

from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import Reply
from mvm_ci.control_plane.api.services import Services
from mvm_ci.ports.secrets import SecretInfo
from mvm_ci.serving.bodies import decode
from mvm_ci.wire import api

_set: Final = msgspec.json.Decoder(api.SetSecret)
_rotate: Final = msgspec.json.Decoder(api.RotateSecret)
_allow: Final = msgspec.json.Decoder(api.AllowModules)
_encode: Final = msgspec.json.Encoder().encode


async def put(services: Services, request: Request) -> Reply:
    """Makes a secret, or gives it a new value."""
    asked = decode(_set, request.body)
    name = request.params["name"]
    return _changed(request, await services.secrets.set(request.namespace, name, asked.value, asked.modules))


async def rotate(services: Services, request: Request) -> Reply:
    """A new value for a secret that there is."""
    asked = decode(_rotate, request.body)
    name = request.params["name"]
    return _changed(request, await services.secrets.rotate(request.namespace, name, asked.value))


async def allow(services: Services, request: Request) -> Reply:
    """Says whose jobs may read a secret."""
    asked = decode(_allow, request.body)
    name = request.params["name"]
    return _changed(request, await services.secrets.allow(request.namespace, name, asked.modules))


async def listing(services: Services, request: Request) -> Reply:
    """The secrets of the namespace."""
    found = await services.secrets.all(request.namespace)
    return Reply(_encode(api.SecretList(secrets=tuple(map(_view, found)))))


async def show(services: Services, request: Request) -> Reply:
    """One secret."""
    return Reply(_encode(_view(await services.secrets.show(request.namespace, request.params["name"]))))


async def remove(services: Services, request: Request) -> Reply:
    """Removes a secret with all its versions."""
    return Reply(_encode(_view(await services.secrets.remove(request.namespace, request.params["name"]))))


def _changed(request: Request, info: SecretInfo) -> Reply:
    request.target = f"{info.name} (version {info.version}; modules {' '.join(info.modules) or 'none'})"
    return Reply(_encode(_view(info)))


def _view(info: SecretInfo) -> api.SecretView:
    return api.SecretView(
        name=info.name,
        version=info.version,
        versions=info.versions,
        modules=info.modules,
        changed_ms=info.changed_ms,
    )
