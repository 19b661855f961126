"""One connection to the control plane, from its first byte to its last."""

import asyncio
from typing import Final

import structlog

from mvm_ci.domain.errors import ProtocolError, Refused, Unavailable
from mvm_ci.domain.job import Placed
from mvm_ci.peer.deadline import within
from mvm_ci.peer.holder import Holder
from mvm_ci.peer.intake import Intake
from mvm_ci.peer.lease import SessionLease
from mvm_ci.peer.pulse import Pulse
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.transport import Connection, Stream
from mvm_ci.wire import messages as m
from mvm_ci.wire.frames import FrameReader, encode, from_control_plane
from mvm_ci.wire.session import Phase, WorkerSession

WELCOME_MS: Final = 10_000
"""Longest wait for the answer to ``Hello``."""
CLOCKS_DIFFER_MS: Final = 2_000
"""By so much the wall clock may differ from the control plane's before that is told."""
WRITE_BYTES: Final = 1 << 20
"""Frames are joined into writes of about this size."""

log = structlog.get_logger()


class NotNow(Unavailable):
    """The control plane refused the session, but may take it later."""


class Session:
    """A session on one connection: ``greet`` once, then ``run`` until it ends."""

    def __init__(self, connection: Connection, clock: Clock, lease: SessionLease, holdings: Holder) -> None:
        self.connection = connection
        self._clock = clock
        self._lease = lease
        self._holdings = holdings
        self._outbox = holdings.outbox
        self._wire = WorkerSession()
        self._reader: FrameReader[m.FromControlPlane] = from_control_plane()
        self._early: list[m.FromControlPlane] = []
        self._kept: frozenset[Placed] = frozenset()
        self._greeted: Pulse | None = None
        self._stream: Stream | None = None

    async def greet(self, hello: m.Hello) -> m.Welcome:
        """Says hello; the session stands on return.

        Raises ``Refused`` (for good), ``NotNow``, ``Unavailable`` or ``ProtocolError``.
        """
        self._wire.sent(hello)
        # The lease counts from before the Hello leaves: what the control plane counts begins later.
        sent_at, sent_ms = self._clock.lease_ms(), self._clock.now_ms()
        welcome = await within(self._clock, WELCOME_MS, self._exchange(hello), "the control plane's welcome")
        self._kept = frozenset(welcome.keep)
        self._greeted = Pulse(sent_at, welcome.lease_ms, welcome.heartbeat_ms)
        self._lease.renew(sent_at, welcome.lease_ms)
        if welcome.clock_ms:
            compare_clocks(sent_ms, welcome.clock_ms, self._clock.now_ms())
        return welcome

    async def run(self, intake: Intake) -> None:
        """Speaks until the connection ends. Always raises: ``Unavailable``, ``ProtocolError`` or
        ``Refused``.
        """
        pulse, stream = self._pulse, self._stream
        if stream is None:
            raise RuntimeError("greet comes first")
        intake.drop([placed for placed in self._holdings.all() if placed not in self._kept])
        self._outbox.attach(self._wire, self._holdings.told)
        self._holdings.attached()
        if self._holdings.draining:
            self._outbox.post(m.Draining())
        tasks = [
            asyncio.create_task(self._read(stream, intake), name="session-read"),
            asyncio.create_task(self._write(stream), name="session-write"),
            asyncio.create_task(self._keep_alive(pulse), name="session-heartbeat"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # The reader knows best why: the writer sees only that the connection is gone.
            await next(task for task in tasks if task in done)
        finally:
            self._outbox.detach()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _pulse(self) -> Pulse:
        if self._greeted is None:
            raise RuntimeError("greet comes first")
        return self._greeted

    async def _exchange(self, hello: m.Hello) -> m.Welcome:
        self._stream = stream = await self.connection.open()
        await stream.write(encode(hello))
        while True:
            messages = await self._receive(stream)
            if messages:
                break
        first, *self._early = messages
        self._wire.received(first)
        if isinstance(first, m.Welcome):
            return first
        raise _refusal(first)

    async def _receive(self, stream: Stream) -> list[m.FromControlPlane]:
        data = await stream.read()
        if not data:
            raise Unavailable("the control plane ended the stream")
        return self._reader.feed(data)

    async def _read(self, stream: Stream, intake: Intake) -> None:
        messages, self._early = self._early, []
        while True:
            for message in messages:
                self._wire.received(message)
                if self._wire.phase is Phase.OPEN or isinstance(message, m.Refused):
                    self._obey(message, intake)
            messages = await self._receive(stream)

    def _obey(  # noqa: C901, PLR0912 (one line a message)
        self, message: m.FromControlPlane, intake: Intake
    ) -> None:
        match message:
            case m.Assign(items=items):
                intake.assign(items)
                if self._pulse.resting:
                    self._beat()  # the lease of a worker that rested may be over, and effects wait for it
            case m.Granted(grants=grants):
                intake.granted(grants)
                if self._pulse.resting:
                    self._beat()
            case m.Appended(results=results):
                self._outbox.answered(results)
            case m.Recorded(placements=placements):
                self._outbox.recorded(placements)
            case m.Beat(number=number, rest_ms=rest_ms):
                self._renew(number, rest_ms)
            case m.Answered(number=number, answer=answer):
                self._outbox.asks.answered(number, answer)
            case m.Stop(placements=placements, cancel=cancel):
                intake.stop(placements, cancel=cancel)
            case m.Drop(placements=placements):
                intake.drop(placements)
            case m.Drain(running=running):
                intake.give_back(running=running)
            case m.Resume():
                intake.resume()
            case m.Ping(number=number):
                self._outbox.post(m.Pong(number))
            case m.Refused():
                raise _refusal(message)
            case m.Welcome():
                raise ProtocolError("a second Welcome")

    def _renew(self, number: int, rest_ms: int) -> None:
        sent_at = self._pulse.answered(number, 0 if self._holdings.all() else rest_ms)
        self._lease.renew(sent_at, self._pulse.lease_ms)

    def _beat(self) -> None:
        beat = self._wire.next_heartbeat(len(self._holdings.running), self._holdings.runners())
        self._pulse.sent(beat.number, self._clock.lease_ms())
        self._outbox.post(beat)

    async def _write(self, stream: Stream) -> None:
        while True:
            await self._outbox.until_ready()
            holdings = self._holdings
            frames = self._outbox.take(holdings.wanted(self._wire.credit), holdings.extra())
            for data in _joined(frames):
                await stream.write(data)

    async def _keep_alive(self, pulse: Pulse) -> None:
        while True:
            await self._clock.sleep(pulse.wait_ms(self._clock.lease_ms()))
            if self._wire.phase is not Phase.OPEN:
                # Goodbye is said: the control plane hangs up.
                await self._clock.sleep(pulse.heartbeat_ms)
                continue
            now = self._clock.lease_ms()
            if pulse.resting:
                pulse.noted(self.connection.heard(), now)
            silent_ms = pulse.silent_ms(now)
            if silent_ms is not None:
                raise Unavailable(f"the control plane has not answered for {silent_ms} ms")
            # Of a worker that rests the control plane believes that it has runners.
            if pulse.due(now) or (pulse.resting and not self._holdings.runners()):
                self._beat()


def _refusal(message: m.FromControlPlane) -> Exception:
    if not isinstance(message, m.Refused):
        return ProtocolError(f"a {type(message).__name__} in place of a Welcome")
    text = f"the control plane refuses this worker: {message.message} ({message.code})"
    return Refused(text) if message.final else NotNow(text)


def _joined(frames: list[bytes]) -> list[bytes]:
    writes: list[bytes] = []
    batch: list[bytes] = []
    size = 0
    for frame in frames:
        if batch and size + len(frame) > WRITE_BYTES:
            writes.append(b"".join(batch))
            batch, size = [], 0
        batch.append(frame)
        size += len(frame)
    if batch:
        writes.append(b"".join(batch))
    return writes


def compare_clocks(sent_ms: int, plane_ms: int, received_ms: int) -> None:
    """Says so if the wall clocks differ: sleeps are longer or shorter by that, leases are not."""
    ahead_ms = max(sent_ms - plane_ms, 0) + min(received_ms - plane_ms, 0)
    if abs(ahead_ms) < CLOCKS_DIFFER_MS:
        return
    way = "ahead of" if ahead_ms > 0 else "behind"
    error = (
        f"this machine's clock is {abs(ahead_ms) / 1000:.0f} s {way} the control plane's: a guest that "
        "sleeps long wakes too late or too early; set both clocks (NTP), leases are not affected"
    )
    log.warning("clocks_differ", error=error)
