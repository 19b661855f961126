"""What runners ask for in the name of their guests: requests, payloads, what the control plane does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

import msgspec
import structlog
from msgspec.structs import replace

from mvm_ci.domain.artifact import PUT, media_of
from mvm_ci.domain.errors import NotFound, Unavailable
from mvm_ci.domain.http import HttpFailure, HttpResponse, HttpResult
from mvm_ci.domain.payload import INLINE_LIMIT, BlobRef, Payload
from mvm_ci.engine.artifact_desk import ArtifactDesk, Screen
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
    ReadArtifact,
    Reply,
    SpoolData,
    Spooled,
)
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import ControlPlane, Lease, NotKept, PayloadStore, Spool
from mvm_ci.ports.http_client import FileBody, HttpClient, LargeBody

T = TypeVar("T")

_log = structlog.get_logger(__name__)
_encode: Final = msgspec.json.Encoder().encode
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
        self,
        lease: Lease,
        http: HttpClient,
        plane: ControlPlane,
        payloads: PayloadStore,
        desk: ArtifactDesk,
        clock: Clock,
    ) -> None:
        self._lease = lease
        self._plane = plane
        self._http = http
        self._payloads = payloads
        self._desk = desk
        self._clock = clock
        self._storing = asyncio.Semaphore(WHOLE)
        self._fetching = asyncio.Semaphore(WHOLE)

    @contextlib.asynccontextmanager
    async def served(self, live: Live, question: Question) -> AsyncIterator[Reply]:
        """The answer to ``question``; a large one has its place in memory until the block ends."""
        if isinstance(question, HttpCall):
            yield HttpAnswer(question.call, await self._perform(live, question))
        elif isinstance(question, AskCall):
            yield AskAnswer(question.call, await self._ask(live, question))
        elif isinstance(question, PutBlob):
            yield BlobStored(question.call, await self._put(question.data))
        elif isinstance(question, SpoolData):
            await self._desk.spool(live, question.name, question.offset, question.data)
            yield Spooled(question.call)
        elif isinstance(question, ReadArtifact):
            yield BlobBytes(question.call, await self._part(live, question))
        elif question.ref.size <= _LARGE:
            yield BlobBytes(question.call, await self._get(question.ref))
        else:
            async with self._fetching:
                yield BlobBytes(question.call, await self._get(question.ref))

    async def _ask(self, live: Live, question: AskCall) -> bytes:
        if question.name == PUT:
            try:
                await self._desk.keep(live, msgspec.json.decode(question.argument)["name"])
            except NotKept as error:
                return _encode({"error": {"kind": error.kind, "message": str(error)}})
        await self._lease.wait_valid(live.placed)
        return await self._plane.ask(live.placed, question.name, question.key, question.argument)

    async def _perform(self, live: Live, asked: HttpCall) -> HttpResult:
        source = asked.request.from_artifact
        if source is None:
            return await self._fetch(live, asked, None)
        try:
            path = await self._until_there(partial(self._desk.hold, source))
        except NotFound:
            return HttpFailure("refused", f"the artifact {source.digest} is not stored any more")
        try:
            return await self._fetch(live, asked, FileBody(path, source.size))
        finally:
            self._desk.release(source)

    async def _fetch(self, live: Live, asked: HttpCall, body: FileBody | None) -> HttpResult:
        # The last moment at which an effect can be held back: what follows leaves the machine.
        permitted = partial(self._lease.wait_valid, live.placed)
        await permitted()
        spool = self._desk.begin() if asked.request.to_artifact else None
        screen = Screen(spool, live.placement.secrets) if spool is not None and asked.whole else None
        try:
            answer = await self._http.fetch(
                asked.request,
                allow_hosts=live.placement.spec.allow_hosts,
                idempotency_key=asked.idempotency_key,
                before_send=permitted,
                body=body,
                sink=screen or spool,
            )
            if isinstance(answer, HttpFailure):
                return answer
            result = HttpResponse(answer.status, answer.url, answer.headers, b"")
            if spool is not None and result.succeeded:
                media = media_of(answer.headers)
                if screen is not None:
                    screen.check(media.encode())
                return replace(result, body=await self._keep(live, asked, media, spool))
        except NotKept as error:
            return HttpFailure("not-kept", str(error))
        except Exception as error:  # noqa: BLE001 - it may have been sent: the guest has to learn so
            _log.exception("http_client_failed")
            return HttpFailure("protocol", f"error in the HTTP client: {type(error).__name__}")
        finally:
            if spool is not None:
                spool.discard()
        # The request was made: its answer must not be lost because a store is away.
        kept = await (self._whole(answer.body) if asked.whole else self._kept(answer.body))
        return replace(result, body=kept)

    async def _keep(self, live: Live, asked: HttpCall, media: str, spool: Spool) -> BlobRef:
        """The answer's body becomes the artifact that the request names. Raises ``NotKept``."""
        ref = await spool.upload(live.placed)
        name = asked.request.to_artifact
        put = {"name": name, "digest": ref.digest, "size": ref.size, "media": media}
        await self._lease.wait_valid(live.placed)
        said = await self._plane.ask(live.placed, PUT, asked.idempotency_key, _encode(put))
        error = msgspec.json.decode(said).get("error")
        if error is not None:
            raise NotKept(error["kind"], error["message"])
        return ref

    async def _part(self, live: Live, asked: ReadArtifact) -> bytes | None:
        return await self._found(partial(self._desk.read, live, asked.ref, asked.offset, asked.size))

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
        return await self._until_there(partial(self._payloads.put, data))

    async def _get(self, ref: BlobRef) -> bytes | None:
        return await self._found(partial(self._payloads.get, ref))

    async def _found(self, attempt: Callable[[], Awaitable[bytes]]) -> bytes | None:
        try:
            return await self._until_there(attempt)
        except NotFound:
            return None

    async def _until_there(self, attempt: Callable[[], Awaitable[T]]) -> T:
        tries = 0
        while True:
            try:
                return await attempt()
            except Unavailable as error:
                await self._pause(tries, error)
                tries += 1

    async def _pause(self, tries: int, error: Unavailable) -> None:
        _log.warning("payloads_unavailable", error=str(error))
        await self._clock.sleep(_AGAIN_MS[min(tries, len(_AGAIN_MS) - 1)])
