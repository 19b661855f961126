"""Messages to jobs, and promises."""

import msgspec


class CompletePromise(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """``POST /v1/promises/{id}``. ``value``: any JSON value, which the waiting guest gets; ``error``: it
    cannot be kept, and why.
    """

    value: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    error: str | None = None


class PromiseView(msgspec.Struct, frozen=True, kw_only=True):
    """A promise that is completed."""

    id: str
    label: str


class MessageSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``POST /v1/messages``: ``to``: a job's id, or the idempotency key it was submitted with; ``key``: sent
    again with the same one, it is there once.
    """

    to: str
    body: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    type: str = ""
    key: str | None = None


class MessageView(msgspec.Struct, frozen=True, kw_only=True):
    """To whom it was sent."""

    job: str
