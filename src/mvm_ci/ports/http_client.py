"""Performing a guest's HTTP request under the network policy."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import msgspec

from mvm_ci.domain.http import HttpFailure, HttpRequest


class LargeBody(Protocol):
    """The body of an answer, kept outside of memory."""

    @property
    def size(self) -> int:
        """Its bytes, counted."""
        ...

    async def read(self) -> bytes:
        """All of it, in memory. Raises ``OSError`` if it cannot be read."""
        ...

    def close(self) -> None:
        """It is not needed any more; whoever got it calls this."""
        ...


class FetchedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An answer; its body is within the client's limit. (Empty if a sink took it.)"""

    status: int
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | LargeBody


class FileBody(msgspec.Struct, frozen=True):
    """A request's body: a file that nobody changes, of ``size`` bytes."""

    path: Path
    size: int


class Sink(Protocol):
    """Takes an answer's body piece by piece."""

    async def write(self, data: bytes) -> None:
        """The next bytes. What it raises ends the request, and comes out of ``fetch``."""
        ...


class HttpClient(Protocol):
    """One request at a time, never repeated by the client itself."""

    async def fetch(
        self,
        request: HttpRequest,
        *,
        allow_hosts: tuple[str, ...],
        idempotency_key: str,
        before_send: Callable[[], Awaitable[None]] | None = None,
        body: FileBody | None = None,
        sink: Sink | None = None,
    ) -> FetchedResponse | HttpFailure:
        """Sends the request if both the job (``allow_hosts``) and the operator allow its host and address.

        Follows redirects, checking each again. Sends ``Idempotency-Key`` unless the guest set one. What fails
        is an ``HttpFailure``, not an error. ``before_send``: awaited when a hop's connection stands and
        nothing was sent yet: the last moment to hold it back. ``body``: instead of the request's own;
        ``sink``: gets the body of an answer whose status is 2xx.
        """
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...
