"""A guest's HTTP request and what came of it. Header names are lower-case."""

from typing import Final

import msgspec

from mvm_ci.domain.payload import BlobRef, Payload

IDEMPOTENT_METHODS: Final = frozenset({"GET", "HEAD"})
Header = tuple[str, str]


class HttpRequest(msgspec.Struct, frozen=True, array_like=True):
    """What the guest asks for.

    ``idempotent``: may be repeated after a crash (GET and HEAD unless declared otherwise).
    ``from_artifact``: its body is this blob, instead of ``body``. ``to_artifact``: the name of the artifact
    that the answer's body becomes, if its status is 2xx: then that is a reference to a blob.
    """

    method: str
    url: str
    headers: tuple[Header, ...]
    body: bytes
    timeout_ms: int
    idempotent: bool
    from_artifact: BlobRef | None = None
    to_artifact: str = ""


class HttpResponse(msgspec.Struct, frozen=True, array_like=True, tag="response"):
    """The final answer, redirects followed. ``url``: where it came from."""

    status: int
    url: str
    headers: tuple[Header, ...]
    body: Payload

    @property
    def succeeded(self) -> bool:
        """Whether its status is 2xx."""
        return 200 <= self.status < 300


class HttpFailure(msgspec.Struct, frozen=True, array_like=True, tag="failure"):
    """No answer. ``kind``: refused (policy), dns, connect, timeout, protocol, too-large, interrupted,
    not-kept.

    ``interrupted``: the request of an effect that is not idempotent may have been sent before a crash; it is
    not repeated. ``not-kept``: it was made, but its answer could not be kept as an artifact.
    """

    kind: str
    message: str


HttpResult = HttpResponse | HttpFailure
