"""One transfer on one stream."""

import asyncio
from typing import Final

from mvm_ci.domain.errors import NotFound, ProtocolError, Unavailable
from mvm_ci.ports.transport import Connection, Stream
from mvm_ci.wire import blobs as w
from mvm_ci.wire.frames import encode

_CHUNK: Final = 256 << 10


class Answered(Unavailable):
    """The control plane said that the transfer failed: ``reason``, ``message``. ``final``: it will always."""

    def __init__(self, answer: w.TransferFailed) -> None:
        super().__init__(f"{answer.message} ({answer.code})")
        self.reason = answer.code
        self.message = answer.message
        self.final = answer.code != Unavailable.code


async def fetch(connection: Connection, request: w.GetBlob | w.GetJournal) -> bytes:
    """The verified bytes. Raises ``NotFound``, ``Answered``, ``Unavailable`` or ``ProtocolError``."""
    stream = await connection.open()
    await stream.write(encode(request))
    await stream.finish()
    answer, rest = await first_answer(stream)
    if isinstance(answer, w.Missing):
        raise NotFound(f"the control plane does not have what {request} names")
    if not isinstance(answer, w.Follows):
        raise unexpected(answer)
    receiving = w.Receiving(answer.size, request.digest if isinstance(request, w.GetBlob) else None)
    receiving.feed(rest)
    while receiving.missing:
        data = await stream.read(_CHUNK)
        if not data:
            break
        receiving.feed(data)
    return await asyncio.to_thread(receiving.result)


async def offer(connection: Connection, request: w.PutBlob, data: bytes) -> None:
    """Returns when the control plane has the bytes for good. Raises as ``fetch`` does."""
    stream = await connection.open()
    await stream.write(encode(request))
    answer, _ = await first_answer(stream)
    if isinstance(answer, w.Wanted):
        for begin in range(0, len(data), _CHUNK):
            await stream.write(data[begin : begin + _CHUNK])
        await stream.finish()
        answer, _ = await first_answer(stream)
    else:
        await stream.finish()
    if not isinstance(answer, w.Stored):
        raise unexpected(answer)


async def first_answer(stream: Stream) -> tuple[w.BlobAnswer, bytes]:
    """The control plane's next answer, and the bytes behind it. Raises ``Unavailable``, ``ProtocolError``."""
    reader = w.answer_reader()
    while True:
        data = await stream.read()
        if not data:
            raise Unavailable("the control plane ended a transfer without an answer")
        first = reader.feed_one(data)
        if first is not None:
            return first


def unexpected(answer: w.BlobAnswer) -> Exception:
    """The error for an answer that is not the one hoped for."""
    if isinstance(answer, w.TransferFailed):
        return Answered(answer)
    return ProtocolError(f"a {type(answer).__name__} does not answer this request")
