"""One transfer of an artifact on one stream: from a file, or into one, with a piece of it in memory."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any, Final

from mvm_ci.domain.artifact import MAX_ARTIFACT
from mvm_ci.domain.errors import NotFound, ProtocolError, Unavailable
from mvm_ci.domain.payload import BlobRef
from mvm_ci.peer.deadline import within
from mvm_ci.peer.transfer import first_answer, unexpected
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.transport import Connection, Stream
from mvm_ci.wire import blobs as w
from mvm_ci.wire.frames import encode

IDLE_MS: Final = 30_000
"""A transfer in which nothing moves for so long is given up."""
ANSWER_MS: Final = 120_000
"""Longest time for an answer: others may be served before, and 4 GiB be written to a slow disk."""
PIECE: Final = 256 << 10
_LAST_WORD_MS: Final = 2_000


async def fetch_file(
    connection: Connection, ref: BlobRef, clock: Clock, take: Callable[[bytes], Awaitable[None]]
) -> None:
    """Gives all bytes to ``take``, piece by piece; whether their digest is right is for the caller to see.

    Raises ``NotFound``, ``Answered``, ``Unavailable`` or ``ProtocolError``.
    """
    stream = await connection.open()
    await stream.write(encode(w.GetBlob(ref.digest)))
    await stream.finish()
    answer, piece = await within(clock, ANSWER_MS, first_answer(stream), "an artifact")
    if isinstance(answer, w.Missing):
        raise NotFound(f"the control plane does not have the artifact {ref.digest}")
    if not isinstance(answer, w.Follows):
        raise unexpected(answer)
    if answer.size != ref.size or answer.size > MAX_ARTIFACT:
        raise NotFound(f"the artifact {ref.digest} has {answer.size} bytes, not {ref.size}")
    missing = answer.size
    while True:
        missing -= len(piece)
        if missing < 0:
            raise ProtocolError("more than the announced bytes of an artifact")
        await take(piece)
        if not missing:
            return
        piece = await within(clock, IDLE_MS, stream.read(PIECE), "an artifact")
        if not piece:
            raise Unavailable(f"an artifact ended {missing} bytes too early")


async def offer_file(
    connection: Connection, request: w.PutArtifact, clock: Clock, pieces: Callable[[], AsyncGenerator[bytes]]
) -> None:
    """Returns when the control plane has the bytes for good.

    Raises ``Answered``, ``Unavailable`` (the placement is over, too) or ``ProtocolError``.
    """
    stream = await connection.open()
    await stream.write(encode(request))
    answer, _ = await within(clock, ANSWER_MS, first_answer(stream), "an artifact")
    if isinstance(answer, w.Wanted):
        answer = await _send(stream, clock, pieces())
    else:
        await stream.finish()
    if isinstance(answer, w.Missing):
        raise Unavailable("the control plane does not know the placement that puts an artifact")
    if not isinstance(answer, w.Stored):
        raise unexpected(answer)


async def _send(stream: Stream, clock: Clock, pieces: AsyncGenerator[bytes]) -> w.BlobAnswer:
    """The answer, which may come before all is sent: then it says why that is not wanted."""
    answering = asyncio.ensure_future(first_answer(stream))
    try:
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    if answering.done():
                        break
                    await within(clock, IDLE_MS, _unless(answering, stream.write(piece)), "an artifact")
            if not answering.done():
                await within(clock, IDLE_MS, stream.finish(), "an artifact")
        except Unavailable:
            # The last word may be under way.
            with suppress(Unavailable):
                return (await within(clock, _LAST_WORD_MS, _of(answering), "an answer"))[0]
            raise
        return (await within(clock, ANSWER_MS, _of(answering), "an answer"))[0]
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


async def _unless(answering: asyncio.Future[tuple[w.BlobAnswer, bytes]], writing: Awaitable[None]) -> None:
    """Returns when it is written, or will not be because the answer is here."""
    task = asyncio.ensure_future(writing)
    both: set[asyncio.Future[Any]] = {task, answering}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _of(answering: asyncio.Future[tuple[w.BlobAnswer, bytes]]) -> tuple[w.BlobAnswer, bytes]:
    return await answering
