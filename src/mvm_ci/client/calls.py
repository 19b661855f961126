"""What the client's methods are made of."""

from abc import ABC, abstractmethod
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from mvm_ci.wire import api

T = TypeVar("T")
CONNECT_S: Final = 5.0
ANSWER_S: Final = 30.0
_JSON: Final = {"content-type": "application/json"}


class Calls(ABC):
    """The base of the classes, one a topic, that have one method for each route; ``AsyncClient`` is all of
    them.
    """

    _http: httpx.AsyncClient

    @abstractmethod
    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        """One request and its good answer. Raises ``MvmCiError``."""

    @abstractmethod
    def _decode(self, answer: httpx.Response, kind: type[T]) -> T:
        """The answer's value. Raises ``ProtocolError``."""

    async def _get(self, path: str, kind: type[T], **options: Any) -> T:  # noqa: ANN401 - httpx's own
        return self._decode(await self._send("GET", path, **options), kind)

    async def _post(
        self,
        path: str,
        kind: type[T],
        body: msgspec.Struct | None = None,
        **options: Any,  # noqa: ANN401 - httpx's own
    ) -> T:
        if body is not None:
            options |= {
                "content": msgspec.json.encode(body),
                "headers": {**_JSON, **options.get("headers", {})},
            }
        return self._decode(await self._send("POST", path, **options), kind)


def part(text: str) -> str:
    """A name as one part of a path: nothing in it leads elsewhere."""
    return quote(text, safe="")


def job_path(job: str, below: str = "") -> str:
    """The path of a job."""
    return f"/v1/jobs/{part(job)}{below}"


def within(wait_s: float) -> httpx.Timeout:
    """Time for an answer that may take ``wait_s``."""
    return httpx.Timeout(ANSWER_S + min(wait_s, api.MAX_WAIT_S), connect=CONNECT_S)
