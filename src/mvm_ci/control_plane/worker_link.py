"""One connection of one worker: its frames, its messages in and out, and its end."""

import asyncio
from typing import Final

import structlog

from mvm_ci.control_plane.asking import Asking
from mvm_ci.control_plane.transfers import Transfers
from mvm_ci.domain.errors import MvmCiError, ProtocolError, Unavailable
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.engine_grants import EngineGrants
from mvm_ci.lifecycle.guest_asks import GuestAsks
from mvm_ci.lifecycle.record import Batch, Recorder, Recording
from mvm_ci.lifecycle.session import Session
from mvm_ci.lifecycle.sessions import Sessions
from mvm_ci.ports.transport import Connection, PathKind, Stream
from mvm_ci.wire import messages as m
from mvm_ci.wire.frames import encode, from_worker
from mvm_ci.wire.session import ControlSession, Phase

log = structlog.get_logger(__name__)

HELLO_S: Final = 5.0
"""For the first stream and the whole Hello on it."""
WRITE_S: Final = 15.0
"""For one write: a worker that reads nothing for so long is as good as gone."""
WRITE_BYTES: Final = 1 << 20
"""Of one write: a slow network gets the time for each of them."""
LINGER_S: Final = 1.0
"""For the worker to read why it is refused, before the connection is closed under it."""
MAX_QUEUED: Final = 64 << 20
"""Bytes in line for one worker; one that lets more pile up is cut off."""
MAX_RECORDINGS: Final = 256
"""Reads of one connection whose writes are under way; then its next bytes wait."""
TRANSFERS: Final = 4
"""Transfers of one connection at once."""
_REASON: Final = 200


class WorkerLink:
    """A ``Link``. ``run`` holds the conversation and returns when the connection is over."""

    def __init__(
        self,
        connection: Connection,
        sessions: Sessions,
        dispatcher: Dispatcher,
        recorder: Recorder,
        asks: GuestAsks,
        transfers: Transfers,
        grants: EngineGrants,
    ) -> None:
        self._connection = connection
        self._sessions = sessions
        self._dispatcher = dispatcher
        self._recorder = recorder
        self._asking = Asking(asks, self.send, self._store_failed)
        self._transfers = transfers
        self._grants = grants
        self._wire = ControlSession()
        self._frames = from_worker()
        self._out: list[bytes] = []
        self._queued = 0
        self._wake = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self._recordings: asyncio.Queue[Recording | None] = asyncio.Queue(MAX_RECORDINGS)
        self._transfer_slots = asyncio.Semaphore(TRANSFERS)
        self._transferring: asyncio.Task[None] | None = None

    def send(self, message: m.FromControlPlane) -> None:
        if self._closing is not None or self._wire.phase is Phase.OVER:
            return
        try:
            self._wire.sent(message)
            frame = encode(message)
        except MvmCiError as error:
            # Our own mistake, not the worker's: without this message the two no longer agree.
            log.exception("message_not_sent", message=type(message).__name__)
            self.close(m.CLOSE_DONE, f"the control plane failed: {error}")
            return
        self._out.append(frame)
        self._queued += len(frame)
        self._wake.set()
        if self._queued > MAX_QUEUED:
            self.close(m.CLOSE_SILENT, "too much is in line; connect again")

    def close(self, code: int, reason: str) -> None:
        if self._closing is None:
            self._closing = (code, reason[:_REASON])
            self._wake.set()
            if code == m.CLOSE_REFUSED and self._transferring is not None:
                # It may stay a moment to read why, but gets nothing any more.
                self._transferring.cancel()

    def path(self) -> PathKind | None:
        return self._connection.path()

    async def run(self) -> None:
        """The whole life of the connection. Raises nothing; cancelling it closes the connection."""
        try:
            stream = await self._opened()
        except (Unavailable, TimeoutError):
            await self._connection.close(m.CLOSE_SILENT, "no Hello in time")
            return
        except asyncio.CancelledError:
            await self._connection.close(m.CLOSE_DONE, "the control plane stops")
            raise
        reader = asyncio.create_task(self._read(stream))
        recorder = asyncio.create_task(self._record())
        reader.add_done_callback(lambda _: self._wake.set())
        recorder.add_done_callback(lambda _: self.close(m.CLOSE_DONE, "the control plane failed"))
        try:
            await self._write(stream, reader)
        finally:
            await self._end(reader, recorder)

    async def _opened(self) -> Stream:
        async with asyncio.timeout(HELLO_S):
            return await self._connection.accept()

    async def _end(self, reader: asyncio.Task[None], recorder: asyncio.Task[None]) -> None:
        code, reason = self._closing or (m.CLOSE_DONE, "the control plane stops")
        self._closing = (code, reason)
        if code == m.CLOSE_REFUSED:
            await asyncio.wait({reader}, timeout=LINGER_S)
        await self._connection.close(code, reason)
        reader.cancel()
        await asyncio.wait({reader})
        await self._asking.close()
        # What was handed to the queue is finished all the same: others wait for it.
        if not recorder.done():
            await self._recordings.put(None)
        await asyncio.wait({recorder})
        for task in (reader, recorder):
            if not task.cancelled():
                task.result()

    async def _write(self, stream: Stream, reader: asyncio.Task[None]) -> None:
        """Sends what gathers while the last write is under way as the next one; returns when it is over."""
        try:
            while self._out or (self._closing is None and not reader.done()):
                if not self._out:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                data = b"".join(self._out)
                self._out.clear()
                self._queued = 0
                for at in range(0, len(data), WRITE_BYTES):
                    async with asyncio.timeout(WRITE_S):
                        await stream.write(data[at : at + WRITE_BYTES])
            if self._closing is not None:
                await stream.finish()
        except (Unavailable, TimeoutError):
            self.close(m.CLOSE_SILENT, "the connection is gone, or too slow")

    async def _read(self, stream: Stream) -> None:
        session: Session | None = None
        try:
            hello, rest = await self._hello(stream)
            session = await self._sessions.hello(self._connection.peer, hello, self)
            if session is None:
                self.close(m.CLOSE_REFUSED, "refused")
                # Until the worker, which has read why, closes its side.
                while await stream.read():
                    pass
                return
            self._transferring = asyncio.create_task(self._accept_transfers(session))
            await self._handle(session, rest)
            await self._converse(session, stream)
        except ProtocolError as error:
            self._break(str(error))
        except TimeoutError:
            self.close(m.CLOSE_SILENT, "no Hello in time")
        except Unavailable as error:
            self.close(m.CLOSE_DONE, str(error))
        finally:
            if session is not None:
                self._sessions.disconnected(session, self)
            if self._transferring is not None:
                self._transferring.cancel()
                await asyncio.wait({self._transferring})

    async def _converse(self, session: Session, stream: Stream) -> None:
        while data := await stream.read():
            await self._handle(session, self._frames.feed(data))
        if self._frames.partial:
            raise ProtocolError("the stream ended within a frame")
        self.close(m.CLOSE_DONE, "the worker ended its stream")

    async def _hello(self, stream: Stream) -> tuple[m.Hello, list[m.FromWorker]]:
        async with asyncio.timeout(HELLO_S):
            messages: list[m.FromWorker] = []
            while not messages:
                data = await stream.read()
                if not data:
                    raise ProtocolError("the stream ended before a Hello")
                messages = self._frames.feed(data)
        first = messages[0]
        self._wire.received(first)
        if not isinstance(first, m.Hello):
            raise ProtocolError(f"a {type(first).__name__} instead of a Hello")
        return first, messages[1:]

    async def _handle(self, session: Session, messages: list[m.FromWorker]) -> None:
        batch = Batch()
        leaves = False
        for message in messages:
            self._wire.received(message)
            match message:
                case m.Ended(items=ended):
                    batch.ended += ended
                case m.Append():
                    batch.appends.append(message)
                case m.Started(placements=placements):
                    batch.started += placements
                case m.Goodbye():
                    leaves = True
                case _:
                    self._control(session, message)
        if batch:
            await self._recordings.put(self._recorder.begin(session.id, session.placements, batch))
        if leaves:
            # What was reported before is in the queue's hands, and calls to the queue keep their order.
            await self._sessions.goodbye(session)

    def _control(self, session: Session, message: m.FromWorker) -> None:
        if session.link is not self:
            return  # said on a connection that was replaced: the newer one has credit and beats of its own
        match message:
            case m.Credit(more=more, extra=extra):
                self._dispatcher.credit(session.id, more, extra)
            case m.Heartbeat():
                self._sessions.heartbeat(session, self, message)
            case m.Ask():
                self._asking.ask(message, session.placements)
            case m.Tell():
                self._asking.tell(message, session.placements)
            case m.Redeem(grants=grants):
                self._grants.redeem(session, self, grants)
            case m.Pong(number=number):
                self._sessions.pong(session, number)
            case m.Draining():
                self._sessions.leaving(session)
            case _:
                raise ProtocolError(f"a {type(message).__name__} in an open session")

    async def _record(self) -> None:
        """Finishes recordings in order, and answers them in that order."""
        while (recording := await self._recordings.get()) is not None:
            try:
                for answer in await self._recorder.finish(recording):
                    self.send(answer)
            except MvmCiError as error:
                log.warning("reports_not_stored", error=str(error))
                self._store_failed()

    def _store_failed(self) -> None:
        self.close(m.CLOSE_DONE, "the control plane's store is not available; connect again")

    async def _accept_transfers(self, session: Session) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                await self._transfer_slots.acquire()
                try:
                    stream = await self._connection.accept()
                except Unavailable:
                    return
                group.create_task(self._transfer(stream, session))

    async def _transfer(self, stream: Stream, session: Session) -> None:
        try:
            await self._transfers.serve(stream, session.placements)
        except ProtocolError as error:
            self._break(str(error))
        except Unavailable as error:
            log.info("transfer_given_up", worker=self._connection.peer, error=str(error))
        except Exception:  # it costs this transfer, not the others
            log.exception("transfer_broke", worker=self._connection.peer)
        finally:
            self._transfer_slots.release()

    def _break(self, reason: str) -> None:
        """The worker broke the protocol: this connection ends, nothing else."""
        log.warning("worker_broke_protocol", worker=self._connection.peer, reason=reason)
        self._out.clear()
        self.close(m.CLOSE_PROTOCOL, reason)
