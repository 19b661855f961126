"""Large payloads and modules: from the cache, or from the control plane over streams of their own."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import structlog

from mvm_ci.domain.errors import BadInput, NotFound, TooLarge, Unavailable
from mvm_ci.domain.ids import Digest, is_digest
from mvm_ci.domain.job import Placed
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.segment import Segment
from mvm_ci.peer.cache import BlobCache
from mvm_ci.peer.deadline import within
from mvm_ci.peer.transfer import Answered, fetch, offer
from mvm_ci.peer.transfers import Attempt, Transfers
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.guest import CompiledModule, ModuleCompiler
from mvm_ci.ports.transport import Connection
from mvm_ci.wire import blobs as w

TRANSFER_MS: Final = 120_000
"""Longest time for one transfer: 64 MiB at 4.5 Mbit/s."""
TRANSFERS: Final = 8
"""Transfers at once; more wait."""

log = structlog.get_logger()
Result = TypeVar("Result")


class Payloads:
    """``ports.engine.PayloadStore`` of a worker. ``connection``: waits for and gives the present
    connection.
    """

    def __init__(
        self,
        cache: BlobCache,
        compiler: ModuleCompiler,
        clock: Clock,
        connection: Callable[[], Awaitable[Connection]],
    ) -> None:
        self._cache = cache
        self._compiler = compiler
        self._clock = clock
        self._transfers = Transfers(clock, connection, TRANSFERS)
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="blob-cache")
        self._gets: dict[Digest, asyncio.Task[bytes]] = {}

    async def put(self, data: bytes) -> BlobRef:
        if len(data) > w.MAX_BLOB:
            raise TooLarge(f"a payload of {len(data)} bytes; at most {w.MAX_BLOB} are allowed")
        digest = Digest(await self._on_disk_thread(lambda: hashlib.sha256(data).hexdigest()))
        await self._transfer(lambda connection: offer(connection, w.PutBlob(digest, len(data)), data))
        await self._keep(digest, data)
        return BlobRef(digest, len(data))

    async def get(self, ref: BlobRef) -> bytes:
        data = await self._bytes(ref.digest)
        if len(data) != ref.size:
            raise NotFound(f"the blob {ref.digest} has {len(data)} bytes, not {ref.size}")
        return data

    async def module(self, digest: str) -> CompiledModule:
        key = Digest(digest)
        await self._on_disk_thread(lambda: self._cache.pin(key))
        try:
            path = await self._on_disk_thread(lambda: self._cache.path(key))
            if path is None:
                await self._bytes(key)
                path = await self._on_disk_thread(lambda: self._cache.path(key))
            if path is None:
                raise Unavailable(f"the module {digest} could not be kept in the cache")
            # Not remembered here: who asks again has found that the machine code is gone.
            return await self._compiler.compile(path, digest)
        finally:
            await asyncio.shield(self._on_disk_thread(lambda: self._cache.unpin(key)))

    async def journal(self, placed: Placed) -> tuple[Segment, ...]:
        """All durable segments of a placement's execution. Raises ``NotFound`` if the placement is over."""
        return w.decode_journal(
            await self._transfer(lambda connection: fetch(connection, w.GetJournal(placed)))
        )

    async def close(self) -> None:
        """Ends the transfers that nobody waits for any more."""
        tasks = list(self._gets.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._disk.shutdown(wait=False, cancel_futures=True)

    async def _bytes(self, digest: Digest) -> bytes:
        if not is_digest(digest):
            raise NotFound(f"not a digest: {digest[:70]!r}")
        task = self._gets.get(digest)
        if task is None:
            task = asyncio.create_task(self._get(digest), name="get-blob")
            self._gets[digest] = task
            task.add_done_callback(lambda done: self._forget(digest, done))
        # Who asked first may be dropped; the others still want the bytes.
        return await asyncio.shield(task)

    def _forget(self, digest: Digest, done: asyncio.Task[bytes]) -> None:
        del self._gets[digest]
        if not done.cancelled() and done.exception() is not None:
            log.info("blob_not_fetched", digest=digest, error=str(done.exception()))

    async def _get(self, digest: Digest) -> bytes:
        cached = await self._on_disk_thread(lambda: self._cache.get(digest))
        if cached is not None:
            return cached
        data = await self._transfer(lambda connection: fetch(connection, w.GetBlob(digest)))
        await self._keep(digest, data)
        return data

    async def _keep(self, digest: Digest, data: bytes) -> None:
        try:
            await self._on_disk_thread(lambda: self._cache.put(digest, data))
        except Unavailable as error:
            # The bytes are here and the control plane has them: a full disk costs only the next transfer.
            log.warning("blob_not_cached", digest=digest, error=str(error))

    async def _transfer(self, attempt: Attempt[Result]) -> Result:
        async def in_time(connection: Connection) -> Result:
            return await within(self._clock, TRANSFER_MS, attempt(connection), "a transfer")

        try:
            return await self._transfers.run(in_time)
        except Answered as error:
            raise BadInput(str(error)) from error

    async def _on_disk_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)
