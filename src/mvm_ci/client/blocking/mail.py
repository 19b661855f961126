# Made by tests/unit/client/blocking_twin.py of mvm_ci/client/mail.py: change that one.
"""The client's methods for messages and promises."""

import msgspec

from mvm_ci.client.blocking.calls import Calls, part
from mvm_ci.wire import api


class MailCalls(Calls):
    """What passes between those outside and a job that runs."""

    def send_message(
        self, to: str, body: msgspec.Raw, *, kind: str = "", key: str | None = None
    ) -> api.MessageView:
        """Sends a message to a job that has not ended: its id, or the idempotency key it was submitted with.

        ``kind``: its type, by which the job waits for it. With the same ``key`` again, it is there once.
        """
        message = api.MessageSpec(to=to, body=body, type=kind, key=key)
        return self._post("/v1/messages", api.MessageView, message)

    def complete_promise(
        self, promise: str, token: str, value: msgspec.Raw, *, error: str | None = None
    ) -> api.PromiseView:
        """Completes a promise by its token, with a value or, with ``error``, for good without one."""
        asked = api.CompletePromise(value=value, error=error)
        own = {"authorization": f"Bearer {token}"}
        return self._post(f"/v1/promises/{part(promise)}", api.PromiseView, asked, headers=own)
