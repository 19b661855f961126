"""Reading an artifact: reconnects, and goes on after the last byte that was seen."""

import hashlib
from collections.abc import AsyncIterator
from typing import Final

import httpx

from mvm_ci.client.calls import ANSWER_S, CONNECT_S
from mvm_ci.client.patience import Patience
from mvm_ci.client.problems import error_of
from mvm_ci.domain.errors import Conflict, ProtocolError, Unavailable

_PART: Final = 206


class Download:
    """Reads what is at ``path`` once."""

    def __init__(self, http: httpx.AsyncClient, path: str) -> None:
        self._http = http
        self._path = path
        self._patience = Patience(http.base_url)
        self._hashing = hashlib.sha256()
        self._etag = ""
        self._size = -1
        self._seen = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        """All bytes. Raises ``Unavailable`` when the connection stays lost, ``Conflict``, ``ProtocolError``,
        and what the API answers.
        """
        while self._seen != self._size:
            try:
                async for piece in self._read():
                    yield piece
                continue
            except (httpx.TransportError, Unavailable) as error:
                self._patience.lost(error)
            await self._patience.pause()
        if self._etag != f'"{self._hashing.hexdigest()}"':
            raise ProtocolError(f"{self._http.base_url}: the bytes of the artifact are damaged")

    async def _read(self) -> AsyncIterator[bytes]:
        headers = {"range": f"bytes={self._seen}-", "if-range": self._etag} if self._seen else {}
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        async with self._http.stream("GET", self._path, headers=headers, timeout=timeout) as answer:
            if answer.status_code >= 400:
                raise error_of(answer, await answer.aread(), str(self._http.base_url))
            self._begin(answer)
            async for piece in answer.aiter_bytes():
                self._patience.rewarded()
                self._hashing.update(piece)
                self._seen += len(piece)
                yield piece

    def _begin(self, answer: httpx.Response) -> None:
        if self._seen:
            if answer.status_code != _PART:
                raise Conflict("another artifact was put under this name while it was read: read it again")
            return
        self._etag = answer.headers.get("etag", "")
        length = answer.headers.get("content-length", "")
        if not self._etag or not length.isdecimal():
            raise ProtocolError(f"{self._http.base_url} answered without a digest and a length")
        self._size = int(length)
