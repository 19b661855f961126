"""The routes of messages and promises."""

import msgspec

from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import Reply
from mvm_ci.control_plane.api.services import Services
from mvm_ci.domain.ids import format_job_id
from mvm_ci.lifecycle.job_request import check_key
from mvm_ci.serving.bodies import decode
from mvm_ci.serving.problems import HttpError
from mvm_ci.wire import api

_message = msgspec.json.Decoder(api.MessageSpec)
_promise = msgspec.json.Decoder(api.CompletePromise)
_encode = msgspec.json.Encoder().encode
_SCHEME = b"bearer "


async def send(services: Services, request: Request) -> Reply:
    """A message to a job."""
    message = decode(_message, request.body)
    if message.key is not None:
        check_key("key", message.key)
    key = message.key if message.key is not None else services.random(16).hex()
    job = await services.messages.send(request.namespace, f"api-{key}", message)
    request.target = format_job_id(job)
    return Reply(_encode(api.MessageView(job=request.target)))


async def complete(services: Services, request: Request) -> Reply:
    """A promise, by whoever has its token."""
    header = request.authorization or b""
    if header[: len(_SCHEME)].lower() != _SCHEME:
        raise HttpError(401, "refused", "this needs the promise's token: Authorization: Bearer ...")
    token = header[len(_SCHEME) :].decode("latin-1").strip()
    asked = decode(_promise, request.body)
    promise = await services.promises.complete(request.params["id"], token, asked)
    return Reply(_encode(api.PromiseView(id=promise.id, label=promise.label)))
