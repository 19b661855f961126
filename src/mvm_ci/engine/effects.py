"""What runners ask for in the name of their guests: requests, payloads, what the control plane does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import structlog

from mvm_ci.domain.errors import NotFound, Unavailable
from mvm_ci.domain.http import HttpFailure, HttpResponse, HttpResult
from mvm_ci.domain.payload import INLINE_LIMIT, BlobRef, Payload
from mvm_ci.engine.live import Live
from mvm_ci.engine.messages import (
    AskAnswer,
    AskCall,
    BlobBytes,
    BlobStored,
    HttpAnswer,
    HttpCall,
    PutBlob,
    Question,
    Reply,
)
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import ControlPlane, Lease, PayloadStore
from mvm_ci.ports.http_client import HttpClient, LargeBody

_log = structlog.get_logger(__name__)
WHOLE: Final = 4
"""Large payloads on their way into the store, and as many out of it, that are in memory at once. (Answers of
servers are not while they come.)
"""
_LARGE: Final = 64 << 10
_AGAIN_MS: Final = (100, 200, 500, 1000, 2000)
"""Pauses before a store that cannot be reached is asked again; the last one is repeated."""


class Effects:
    """Serves one question of a runner at a time. Waits for stores as long as it takes; the caller cancels."""

    def __init__(
        self, lease: Lease, http: HttpClient, plane: ControlPlane, payloads: PayloadStore, clock: Clock
    ) -> None:
        self._lease = lease
        self._plane = plane
        self._http = http
        self._payloads = payloads
        self._clock = clock
        self._storing = asyncio.Semaphore(WHOLE)
        self._fetching = asyncio.Semaphore(WHOLE)

    @contextlib.asynccontextmanager
    async def served(self, live: Live, question: Question) -> AsyncIterator[Reply]:
        """The answer to ``question``; a large one has its place in memory until the block ends."""
        if isinstance(question, HttpCall):
            yield HttpAnswer(question.call, await self._perform(question, live.placement.spec.allow_hosts))
        elif isinstance(question, AskCall):
            await self._lease.wait_valid()
            answer = await self._plane.ask(live.placed, question.name, question.key, question.argument)
            yield AskAnswer(question.call, answer)
        elif isinstance(question, PutBlob):
            yield BlobStored(question.call, await self._put(question.data))
        elif question.ref.size <= _LARGE:
            yield BlobBytes(question.call, await self._get(question.ref))
        else:
            async with self._fetching:
                yield BlobBytes(question.call, await self._get(question.ref))

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
        # The request was made: its answer must not be lost because a store is away.
        body = await (self._whole(answer.body) if asked.whole else self._kept(answer.body))
        return HttpResponse(answer.status, answer.url, answer.headers, body)

    async def _whole(self, body: bytes | LargeBody) -> bytes:
        """It is masked before anything of it is stored."""
        if isinstance(body, bytes):
            return body
        with contextlib.closing(body):
            async with self._storing:
                return await body.read()

    async def _kept(self, body: bytes | LargeBody) -> Payload:
        if isinstance(body, bytes):
            return body if len(body) <= INLINE_LIMIT else await self._put(body)
        with contextlib.closing(body):
            async with self._storing:
                return await self._put(await body.read())

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
