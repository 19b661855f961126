"""What the worker has to tell the control plane, kept until it is answered.

There is one outbox for the life of the process. What gathers while the last write is under way is the next
write. After a reconnect everything that was not answered goes out again, in the old order; the control plane
knows repetitions.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from mvm_ci.domain.errors import TooLarge
from mvm_ci.domain.histogram import LAG_S, Histogram
from mvm_ci.domain.ids import format_job_id
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Failed, Failure, FailureKind
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.peer.asks import Asks
from mvm_ci.wire import messages as m
from mvm_ci.wire.frames import encode, encode_batches
from mvm_ci.wire.session import WorkerSession

MAX_UNANSWERED: Final = 32 << 20
"""Bytes of journal that may be sent and not answered; further segments wait for that."""
MAX_SEGMENT: Final = 256 << 10
"""Bytes of one segment, as ``domain.segment`` has it."""
MAX_UNRECORDED: Final = 4096
"""Ends that may wait for an answer before the worker asks for no more jobs."""

log = structlog.get_logger()


class _Pending:
    """One append under way."""

    __slots__ = ("answer", "came_s", "item")

    def __init__(self, item: m.AppendItem, answer: asyncio.Future[Append], came_s: float) -> None:
        self.item = item
        self.answer = answer
        self.came_s = came_s


class Outbox:
    """``ports.engine.JournalSink`` and the queue of the main stream.

    ``lost``: told of each placement whose append was refused: it belongs to somebody else. ``asks``: what
    guests ask of the control plane. ``lag_s``: how long journal entries waited, on the loop's clock, until
    they were said to be durable.
    """

    def __init__(self, lost: Callable[[Placed], None]) -> None:
        self._lost = lost
        self.lag_s = Histogram(LAG_S)
        self._wire: WorkerSession | None = None
        self._ready = asyncio.Event()
        self._settled = asyncio.Event()
        self._detached = asyncio.Event()
        self._messages: list[m.FromWorker] = []
        self._started: list[Placed] = []
        self._queued: deque[_Pending] = deque()
        self._unanswered: deque[list[_Pending]] = deque()
        self._unanswered_bytes = 0
        self._ends: dict[Placed, m.EndedItem] = {}
        self._unsent_ends: list[Placed] = []
        self.asks = Asks(self.post)

    # ------------------------------------------------------------------ from the engine

    def append(self, placed: Placed, segment: Segment) -> asyncio.Future[Append]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Append] = loop.create_future()
        size = len(segment.data)
        if size > MAX_SEGMENT:
            answer.set_exception(TooLarge(f"a segment of {size} bytes; at most {MAX_SEGMENT} are allowed"))
            return answer
        self._queued.append(_Pending(m.AppendItem(placed, segment), answer, loop.time()))
        self._wake()
        return answer

    def started(self, placements: Iterable[Placed]) -> None:
        """Guests that run now."""
        self._started += placements
        self._wake()

    def ended(self, items: Iterable[m.EndedItem]) -> None:
        """Placements that ended; kept until they are recorded."""
        for item in items:
            self._ends[item.placed] = item
            self._unsent_ends.append(item.placed)
        self._settled.clear()
        self._wake()

    # ------------------------------------------------------------------ from the session

    @property
    def unrecorded(self) -> Iterable[Placed]:
        """Placements whose end is not answered yet."""
        return self._ends.keys()

    @property
    def full(self) -> bool:
        """Whether so many ends wait that no more jobs should come."""
        return len(self._ends) >= MAX_UNRECORDED

    def attach(self, wire: WorkerSession, running: Sequence[Placed]) -> None:
        """A connection stands: all that is not answered goes out (again)."""
        self._wire = wire
        self._detached.clear()
        self._messages = list(self.asks.spoken(wire.protocol))
        self._started = list(running)
        for batch in reversed(self._unanswered):
            self._queued.extendleft(reversed(batch))
        self._unanswered.clear()
        self._unanswered_bytes = 0
        self._unsent_ends = list(self._ends)
        self._wake()

    def detach(self) -> None:
        """The connection is gone."""
        self._wire = None
        self._messages = []
        self._detached.set()

    async def until_detached(self) -> None:
        """Returns when no connection stands."""
        await self._detached.wait()

    @property
    def attached(self) -> bool:
        """Whether a connection stands."""
        return self._wire is not None

    def post(self, message: m.FromWorker) -> None:
        """Sends ``message`` on this connection, before everything that is queued. Lost if there is none."""
        if self._wire is not None:
            self._messages.append(message)
            self._wake()

    def wake(self) -> None:
        """Something may be there to send: credit."""
        self._wake()

    async def until_ready(self) -> None:
        """Returns when there may be something to send."""
        await self._ready.wait()
        self._ready.clear()

    def take(self, credit: int, extra: int = 0) -> list[bytes]:
        """All frames there are to send now, noted as sent. ``credit``: jobs to ask for besides, with
        ``extra`` guests beyond the slots.
        """
        wire = self._wire
        if wire is None:
            return []
        frames = [self._note(wire, message) for message in self._messages]
        self._messages = []
        ended = [placed for placed in self._unsent_ends if placed in self._ends]
        self._unsent_ends = []
        # A short job's start is told by its end.
        over = set(ended)
        started = tuple(placed for placed in self._started if placed not in over)
        self._started = []
        if started:
            frames.append(self._note(wire, m.Started(started)))
        frames += self._take_appends(wire)
        frames += self._take_ends(wire, ended)
        if credit > 0:
            frames.append(self._note(wire, m.Credit(credit, extra)))
        return frames

    def answered(self, results: Sequence[Append]) -> None:
        """The answer to the oldest append on this connection."""
        batch, now_s = self._unanswered.popleft(), asyncio.get_running_loop().time()
        self.lag_s.add_all([now_s - pending.came_s for pending in batch])
        for pending, result in zip(batch, results, strict=True):
            self._unanswered_bytes -= len(pending.item.segment.data)
            if not pending.answer.done():
                pending.answer.set_result(result)
                if result is not Append.DONE:
                    self._lost(pending.item.placed)
        if self._queued:
            self._wake()

    def recorded(self, placements: Iterable[Placed]) -> None:
        """These ends are durable, or of no interest."""
        was_full = self.full
        for placed in placements:
            self._ends.pop(placed, None)
        if not self._ends:
            self._settled.set()
        if was_full:
            self._wake()

    def forget(self, placements: Iterable[Placed]) -> None:
        """These belong to somebody else: nothing more is said about them, and their appends are stale."""
        gone = set(placements)
        self.recorded(gone)
        self._started = [placed for placed in self._started if placed not in gone]
        for pending in (*self._queued, *(entry for batch in self._unanswered for entry in batch)):
            if pending.item.placed in gone and not pending.answer.done():
                pending.answer.set_result(Append.STALE)

    async def until_settled(self) -> None:
        """Returns when every end is recorded."""
        while self._ends:
            self._settled.clear()
            await self._settled.wait()

    def _take_ends(self, wire: WorkerSession, ended: Sequence[Placed]) -> list[bytes]:
        try:
            batches = encode_batches(m.Ended, [self._ends[placed] for placed in ended])
        except TooLarge:
            # Else the same frame would end every connection, and no other job of this worker were reported.
            for placed in ended:
                self._ends[placed] = _fitting(self._ends[placed])
            batches = encode_batches(m.Ended, [self._ends[placed] for placed in ended])
        for message, _ in batches:
            wire.sent(message)
        return [frame for _, frame in batches]

    def _take_appends(self, wire: WorkerSession) -> list[bytes]:
        waiting = []
        while self._queued and self._unanswered_bytes <= MAX_UNANSWERED:
            pending = self._queued.popleft()
            # An append whose caller is gone (dropped, cancelled) need not be sent.
            if not pending.answer.done():
                waiting.append(pending)
                self._unanswered_bytes += len(pending.item.segment.data)
        frames = []
        for message, frame in encode_batches(m.Append, [pending.item for pending in waiting]):
            wire.sent(message)
            frames.append(frame)
            self._unanswered.append(waiting[: len(message.items)])
            waiting = waiting[len(message.items) :]
        return frames

    def _note(self, wire: WorkerSession, message: m.FromWorker) -> bytes:
        # Heartbeats are noted when they are numbered.
        if not isinstance(message, m.Heartbeat):
            wire.sent(message)
        return encode(message)

    def _wake(self) -> None:
        if self._wire is not None:
            self._ready.set()


def _fitting(item: m.EndedItem) -> m.EndedItem:
    """``item``, or a failure in its place if it alone does not fit into a frame."""
    try:
        encode_batches(m.Ended, [item])
    except TooLarge as error:
        log.warning("end_too_large", job=format_job_id(item.placed.job), error=str(error))
        failure = Failure(kind=FailureKind.OUTPUT, message=f"the job's outcome cannot be reported: {error}")
        return m.EndedItem(item.placed, Failed(failure), None)
    return item
