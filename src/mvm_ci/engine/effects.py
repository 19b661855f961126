"""What runners ask for in the name of their guests: requests, payloads, what the control plane does."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

import msgspec
import structlog
from msgspec.structs import replace

from mvm_ci.domain.artifact import PUT, media_of
from mvm_ci.domain.errors import NotFound, Unavailable
from mvm_ci.domain.http import HttpFailure, HttpResponse, HttpResult
from mvm_ci.domain.payload import INLINE_LIMIT, BlobRef
from mvm_ci.engine.artifact_desk import ArtifactDesk
from mvm_ci.engine.live import Live
from mvm_ci.engine.messages import (
    AskAnswer,
    AskCall,
    BlobBytes,
    BlobStored,
    GetBlob,
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
from mvm_ci.ports.http_client import FileBody, HttpClient

T = TypeVar("T")

_log = structlog.get_logger(__name__)
_encode: Final = msgspec.json.Encoder().encode
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

    async def serve(self, live: Live, question: Question) -> Reply:
        """The answer to ``question``."""
        if isinstance(question, HttpCall):
            return HttpAnswer(question.call, await self._perform(live, question))
        if isinstance(question, AskCall):
            return AskAnswer(question.call, await self._ask(live, question))
        if isinstance(question, PutBlob):
            return BlobStored(question.call, await self._put(question.data))
        if isinstance(question, SpoolData):
            await self._desk.spool(live, question.name, question.offset, question.data)
            return Spooled(question.call)
        try:
            return BlobBytes(question.call, await self._until_there(partial(self._read, live, question)))
        except NotFound:
            return BlobBytes(question.call, None)

    async def _ask(self, live: Live, question: AskCall) -> bytes:
        if question.name == PUT:
            try:
                await self._desk.keep(live, msgspec.json.decode(question.argument)["name"])
            except NotKept as error:
                return _encode({"error": {"kind": error.kind, "message": str(error)}})
        await self._lease.wait_valid()
        return await self._plane.ask(live.placed, question.name, question.key, question.argument)

    async def _perform(self, live: Live, question: HttpCall) -> HttpResult:
        source = question.request.from_artifact
        if source is None:
            return await self._fetch(live, question, None)
        try:
            path = await self._until_there(partial(self._desk.hold, source))
        except NotFound:
            return HttpFailure("refused", f"the artifact {source.digest} is not stored any more")
        try:
            return await self._fetch(live, question, FileBody(path, source.size))
        finally:
            self._desk.release(source)

    async def _fetch(self, live: Live, question: HttpCall, body: FileBody | None) -> HttpResult:
        # The last moment at which an effect can be held back: what follows leaves the machine.
        await self._lease.wait_valid()
        sink = self._desk.begin() if question.request.to_artifact else None
        try:
            answer = await self._http.fetch(
                question.request,
                allow_hosts=live.placement.spec.allow_hosts,
                idempotency_key=question.idempotency_key,
                body=body,
                sink=sink,
            )
            if isinstance(answer, HttpFailure):
                return answer
            result = HttpResponse(answer.status, answer.url, answer.headers, answer.body)
            if sink is not None and result.succeeded:
                return replace(result, body=await self._keep(live, question, result, sink))
        except NotKept as error:
            return HttpFailure("not-kept", str(error))
        except Exception as error:  # noqa: BLE001 - it may have been sent: the guest has to learn so
            _log.exception("http_client_failed")
            return HttpFailure("protocol", f"error in the HTTP client: {type(error).__name__}")
        finally:
            if sink is not None:
                sink.discard()
        if len(answer.body) > INLINE_LIMIT:
            # The request was made: its answer must not be lost because a store is away.
            return replace(result, body=await self._put(answer.body))
        return result

    async def _keep(self, live: Live, question: HttpCall, answer: HttpResponse, sink: Spool) -> BlobRef:
        """The answer's body becomes the artifact that the request names. Raises ``NotKept``."""
        ref = await sink.upload(live.placed)
        name, media = question.request.to_artifact, media_of(answer.headers)
        asked = {"name": name, "digest": ref.digest, "size": ref.size, "media": media}
        await self._lease.wait_valid()
        said = await self._plane.ask(live.placed, PUT, question.idempotency_key, _encode(asked))
        error = msgspec.json.decode(said).get("error")
        if error is not None:
            raise NotKept(error["kind"], error["message"])
        return ref

    async def _read(self, live: Live, question: GetBlob | ReadArtifact) -> bytes:
        if isinstance(question, GetBlob):
            return await self._payloads.get(question.ref)
        return await self._desk.read(live, question.ref, question.offset, question.size)

    async def _put(self, data: bytes) -> BlobRef:
        return await self._until_there(partial(self._payloads.put, data))

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
