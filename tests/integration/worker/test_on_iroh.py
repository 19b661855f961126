"""A worker and a scripted control plane over real iroh, on the real clock."""

import asyncio
from pathlib import Path

from mvm_ci.adapters.iroh import IrohTransport
from mvm_ci.adapters.system import SystemClock
from mvm_ci.domain.ids import SessionId
from mvm_ci.peer.parts import Fitted, PeerParts, Surroundings
from mvm_ci.peer.settings import PeerSettings
from mvm_ci.ports.engine import EngineEvents
from mvm_ci.wire import messages as m
from mvm_ci.worker.process import Worker
from tests.integration.worker.scripted import (
    FakeCompiler,
    FakeEngine,
    Peer,
    assignment,
    placed,
)

JOBS = 1000


def worker(directory: Path, ticket: str) -> Worker:
    async def fit(parts: PeerParts, events: EngineEvents) -> Fitted:
        engine = FakeEngine(events, 2, instant=True)
        return Fitted(engine, parts.intake_of_own(engine))

    return Worker(
        PeerSettings(
            state_dir=directory / "state", name="w1", ticket=ticket, bind="127.0.0.1:0", grace_s=1.0
        ),
        Surroundings(IrohTransport(), FakeCompiler(), SystemClock()),
        fit,
    )


async def greet(peer: Peer, session: int = 1) -> m.Hello:
    hello = await peer.expect(m.Hello)
    await peer.send(m.Welcome(1, SessionId(session), 15_000, 3_000, "test", ()))
    return hello


async def run_jobs(peer: Peer, jobs: range) -> int:
    """Assigns as credit allows and records what ends; how many frames came."""
    left, ended, frames = list(jobs), 0, 0
    while ended < len(jobs):
        message = await peer.receive()
        frames += 1
        if isinstance(message, m.Ended):
            ended += len(message.items)
            await peer.send(m.Recorded(tuple(item.placed for item in message.items)))
        now, left = left[: peer.wire.assignable], left[peer.wire.assignable :]
        if now:
            await peer.send(m.Assign(tuple(assignment(job) for job in now)))
    return frames


async def test_a_thousand_jobs_a_reconnect_and_a_goodbye(tmp_path: Path) -> None:
    control = await IrohTransport().bind(secret_key=b"c" * 32, address="127.0.0.1:0", alpns=[m.ALPN])
    made = worker(tmp_path, control.ticket())
    running = asyncio.create_task(made.run())
    try:
        connection = await control.accept()
        peer = Peer(connection, await connection.accept())
        hello = await greet(peer)
        frames = await run_jobs(peer, range(JOBS))
        assert frames < JOBS, "what gathers during a write shares the next frame"

        await connection.close(m.CLOSE_DONE, "restarting")
        connection = await control.accept()
        again = Peer(connection, await connection.accept())
        second = await greet(again, session=2)
        assert second.incarnation == hello.incarnation
        assert set(second.running) <= {placed(job) for job in range(JOBS)}
        await run_jobs(again, range(JOBS, 2 * JOBS))

        made.request_stop()
        await again.expect(m.Goodbye)
        await connection.close(m.CLOSE_DONE, "bye")
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await control.close()


async def test_a_refused_worker_hears_why_over_the_network(tmp_path: Path) -> None:
    control = await IrohTransport().bind(secret_key=b"c" * 32, address="127.0.0.1:0", alpns=[m.ALPN])
    running = asyncio.create_task(worker(tmp_path, control.ticket()).run())
    try:
        connection = await control.accept()
        peer = Peer(connection, await connection.accept())
        await peer.expect(m.Hello)
        await peer.send(m.Refused(m.REFUSED_JOIN, "this join token is used up", final=True))
        (error,) = await asyncio.gather(running, return_exceptions=True)
        assert "this join token is used up (join-token)" in str(error)
    finally:
        await control.close()
