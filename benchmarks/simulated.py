"""Idle workers without engines, each with its own key and connection, all in one process.

``python -m benchmarks.simulated COUNT TICKET JOIN_TOKEN``: prints ``connected`` when all have a session, then
keeps them alive until its stdin ends.
"""

import asyncio
import resource
import secrets
import sys
from typing import Final, NamedTuple

import uvloop

from mvm_ci.adapters.iroh import IrohTransport
from mvm_ci.adapters.system import SystemClock
from mvm_ci.domain.ids import Incarnation
from mvm_ci.journal.entries import FORMAT_VERSION
from mvm_ci.peer.pulse import Pulse
from mvm_ci.ports.transport import Connection, Endpoint, Stream
from mvm_ci.wire import messages as m
from mvm_ci.wire.frames import encode, from_control_plane
from mvm_ci.wire.session import WorkerSession

AT_ONCE: Final = 16
"""Dials under way: a control plane refuses too many handshakes at once."""
_CREDIT: Final = 3
_DIAL_S: Final = 30.0
_CLOCK: Final = SystemClock()


class Joined(NamedTuple):
    """A session that stands."""

    connection: Connection
    stream: Stream
    pulse: Pulse


class IdleWorker:
    """A worker that has free slots and is given nothing."""

    def __init__(self, name: str, endpoint: Endpoint) -> None:
        self._name = name
        self._endpoint = endpoint
        self._wire = WorkerSession()
        self._reader = from_control_plane()

    async def join(self, ticket: str, token: str) -> "Joined":
        """Connects and gets a session."""
        connection = await self._endpoint.connect(ticket, timeout_s=_DIAL_S)
        stream = await connection.open()
        sent_ms = _CLOCK.lease_ms()
        hello = m.Hello(
            oldest=m.OLDEST_PROTOCOL,
            newest=m.PROTOCOL,
            version="simulated",
            incarnation=Incarnation(secrets.token_hex(16)),
            previous=None,
            join_token=token,
            name=self._name,
            platform="simulated",
            slots=1,
            journal_format=FORMAT_VERSION,
        )
        self._wire.sent(hello)
        await stream.write(encode(hello))
        messages = await self._receive(stream)
        welcome = messages[0]
        if not isinstance(welcome, m.Welcome):
            raise SystemExit(f"{self._name} got {welcome}")
        credit = m.Credit(_CREDIT)
        self._wire.sent(credit)
        await stream.write(encode(credit))
        return Joined(connection, stream, Pulse(sent_ms, welcome.lease_ms, welcome.heartbeat_ms))

    async def live(self, joined: "Joined", share: float) -> None:
        """Heartbeats for ever, as a worker's session does; the first ones come a share of their interval
        late, as if it had joined at another time.
        """
        connection, stream, pulse = joined
        await asyncio.sleep(share * pulse.heartbeat_ms / 1000)
        rest_ms = await self._beat(stream, pulse)
        await asyncio.sleep(share * rest_ms / 1000)
        await self._beat(stream, pulse)
        while True:
            await asyncio.sleep(pulse.wait_ms(_CLOCK.lease_ms()) / 1000)
            if pulse.resting:
                pulse.noted(connection.heard(), _CLOCK.lease_ms())
            if pulse.due(_CLOCK.lease_ms()):
                await self._beat(stream, pulse)

    async def _beat(self, stream: Stream, pulse: Pulse) -> int:
        beat = self._wire.next_heartbeat(0)
        pulse.sent(beat.number, _CLOCK.lease_ms())
        await stream.write(encode(beat))
        (answer,) = await self._receive(stream)
        assert isinstance(answer, m.Beat)
        pulse.answered(answer.number, answer.rest_ms)
        return answer.rest_ms

    async def _receive(self, stream: Stream) -> list[m.FromControlPlane]:
        messages: list[m.FromControlPlane] = []
        while not messages:
            data = await stream.read()
            if not data:
                raise SystemExit(f"{self._name} was hung up on")
            messages = self._reader.feed(data)
        for message in messages:
            self._wire.received(message)
        return messages


async def _run(count: int, ticket: str, token: str) -> None:
    transport, slots = IrohTransport(), asyncio.Semaphore(AT_ONCE)
    lives: list[asyncio.Task[None]] = []

    async def one(number: int) -> None:
        async with slots:
            endpoint = await transport.bind(
                secret_key=secrets.token_bytes(32), address="127.0.0.1:0", alpns=[m.ALPN]
            )
            worker = IdleWorker(f"idle-{number}", endpoint)
            joined = await worker.join(ticket, token)
        lives.append(asyncio.create_task(worker.live(joined, number / count)))

    await asyncio.gather(*(one(number) for number in range(count)))
    print("connected", flush=True)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait({ended, *lives}, return_when=asyncio.FIRST_COMPLETED)
    for life in lives:
        if life.done():
            life.result()


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(_run(int(sys.argv[1]), *sys.argv[2:4]))
