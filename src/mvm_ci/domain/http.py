"""A guest's HTTP request and what came of it. Header names are lower-case."""

from typing import Final

import msgspec

from mvm_ci.domain.payload import Payload

IDEMPOTENT_METHODS: Final = frozenset({"GET", "HEAD"})
Header = tuple[str, str]


class HttpRequest(msgspec.Struct, frozen=True, array_like=True):
    """What the guest asks for.

    ``idempotent``: may be repeated after a crash (GET and HEAD unless declared otherwise).
    """

    method: str
    url: str
    headers: tuple[Header, ...]
    body: bytes
    timeout_ms: int
    idempotent: bool


class HttpResponse(msgspec.Struct, frozen=True, array_like=True, tag="response"):
    """The final answer, redirects followed. ``url``: where it came from."""

    status: int
    url: str
    headers: tuple[Header, ...]
    body: Payload


class HttpFailure(msgspec.Struct, frozen=True, array_like=True, tag="failure"):
    """No answer. ``kind``: refused (policy), dns, connect, timeout, protocol, too-large, interrupted.

    ``interrupted``: the request of an effect that is not idempotent may have been sent before a crash; it is
    not repeated.
    """

    kind: str
    message: str


HttpResult = HttpResponse | HttpFailure
