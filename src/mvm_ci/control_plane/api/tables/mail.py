"""The table of routes: messages and promises."""

from typing import Final

from mvm_ci.control_plane.api import mail
from mvm_ci.control_plane.api.routes import Body, Route
from mvm_ci.domain.role import Role
from mvm_ci.wire import api

ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/messages",
        role=Role.SUBMITTER,
        handler=mail.send,
        summary="Send a message to a job that has not ended. Answered when it is durable.",
        body=Body(api.MAX_MAIL_BODY, api.MessageSpec),
        answer=api.MessageView,
        audit="message.send",
        errors=(409, 429),
    ),
    Route(
        method="POST",
        path="/v1/promises/{id}",
        role=None,
        own_token=True,
        handler=mail.complete,
        summary="Complete a promise, once. Needs its own token, which the job that made it has.",
        body=Body(api.MAX_MAIL_BODY, api.CompletePromise),
        answer=api.PromiseView,
        errors=(401, 403, 409),
    ),
)
