"""What runners ask for in the name of their guests: requests and stored payloads."""

from typing import Final

import structlog

from mvm_ci.domain.errors import NotFound, Unavailable
from mvm_ci.domain.http import HttpFailure, HttpResponse, HttpResult
from mvm_ci.domain.payload import INLINE_LIMIT, BlobRef, Payload
from mvm_ci.engine.messages import BlobBytes, BlobStored, GetBlob, HttpAnswer, HttpCall, PutBlob
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import Lease, PayloadStore
from mvm_ci.ports.http_client import HttpClient

_log = structlog.get_logger(__name__)
_AGAIN_MS: Final = (100, 200, 500, 1000, 2000)
"""Pauses before a store that cannot be reached is asked again; the last one is repeated."""


class Effects:
    """Serves one question of a runner at a time. Waits for stores as long as it takes; the caller cancels."""

    def __init__(self, lease: Lease, http: HttpClient, payloads: PayloadStore, clock: Clock) -> None:
        self._lease = lease
        self._http = http
        self._payloads = payloads
        self._clock = clock

    async def serve(
        self, question: HttpCall | PutBlob | GetBlob, allow_hosts: tuple[str, ...]
    ) -> HttpAnswer | BlobStored | BlobBytes:
        """The answer to ``question``."""
        if isinstance(question, HttpCall):
            return HttpAnswer(question.call, await self._perform(question, allow_hosts))
        if isinstance(question, PutBlob):
            return BlobStored(question.call, await self._put(question.data))
        return BlobBytes(question.call, await self._get(question.ref))

    async def _perform(self, asked: HttpCall, allow_hosts: tuple[str, ...]) -> HttpResult:
        # The last moment at which an effect can be held back: what follows leaves the machine.
        await self._lease.wait_valid()
        try:
            answer = await self._http.fetch(
                asked.request, allow_hosts=allow_hosts, idempotency_key=asked.idempotency_key
            )
        except Exception as error:  # noqa: BLE001 - it may have been sent: the guest has to learn so
            _log.exception("http_client_failed")
            return HttpFailure("protocol", f"error in the HTTP client: {type(error).__name__}")
        if isinstance(answer, HttpFailure):
            return answer
        body: Payload = answer.body
        if len(answer.body) > INLINE_LIMIT and not asked.whole:
            # The request was made: its answer must not be lost because a store is away.
            body = await self._put(answer.body)
        return HttpResponse(answer.status, answer.url, answer.headers, body)

    async def _put(self, data: bytes) -> BlobRef:
        tries = 0
        while True:
            try:
                return await self._payloads.put(data)
            except Unavailable as error:
                await self._pause(tries, error)
                tries += 1

    async def _get(self, ref: BlobRef) -> bytes | None:
        tries = 0
        while True:
            try:
                return await self._payloads.get(ref)
            except NotFound:
                return None
            except Unavailable as error:
                await self._pause(tries, error)
                tries += 1

    async def _pause(self, tries: int, error: Unavailable) -> None:
        _log.warning("payloads_unavailable", error=str(error))
        await self._clock.sleep(_AGAIN_MS[min(tries, len(_AGAIN_MS) - 1)])
