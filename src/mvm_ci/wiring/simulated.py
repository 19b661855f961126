"""Simulated workers: many in one process, each with its own key, endpoint and session.

``python -m mvm_ci.wiring.simulated``: what a load test starts; ``loadtest.simulation`` says what it reads and
prints. They are workers in all but their engine, which is simulated, or elsewhere; a thread for each of them
there is not.
"""

import asyncio
import gc
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Final

import msgspec
import structlog
import uvloop

from mvm_ci.adapters.iroh import IrohTransport
from mvm_ci.adapters.system import SystemClock
from mvm_ci.config.processes import EngineElsewhere, SecretSource
from mvm_ci.domain.grant import PeerRole
from mvm_ci.loadtest.machine import allow_open_files
from mvm_ci.loadtest.simulated_engine import SimulatedEngine
from mvm_ci.loadtest.simulation import Simulation, Standing, Wanted
from mvm_ci.logs import configure_logs
from mvm_ci.peer.parts import Fitted, PeerParts, Surroundings
from mvm_ci.peer.settings import PeerSettings
from mvm_ci.ports.engine import EngineEvents
from mvm_ci.ports.supervisor import Unsupervised
from mvm_ci.wiring.remote_engine import NoCompiler, RemoteEngines
from mvm_ci.wiring.saying import say
from mvm_ci.worker.process import Fit, Worker

AT_ONCE: Final = 16
"""Workers that join at once: a control plane refuses too many handshakes."""
JOIN_S: Final = 60.0
"""For so long one that joins keeps others waiting."""
GRACE_S: Final = 2.0
_TELL_S: Final = 0.1

log = structlog.get_logger()


class _Joined(Unsupervised):
    """``Supervisor`` of one worker: it has joined, and has an engine."""

    def __init__(self) -> None:
        self.joined = asyncio.Event()

    def ready(self, status: str) -> None:  # noqa: ARG002
        self.joined.set()


class _Life:
    """One worker, and the task in which it runs."""

    def __init__(self, worker: Worker, supervisor: _Joined) -> None:
        self.worker = worker
        self.supervisor = supervisor
        self.task = asyncio.create_task(worker.run(), name="simulated-worker")

    @property
    def connected(self) -> bool:
        return self.worker.connected and self.supervisor.joined.is_set()


class Crowd:
    """As many workers as are wanted. ``directory``: for their state."""

    def __init__(self, simulation: Simulation, directory: Path) -> None:
        self._simulation = simulation
        self._directory = directory
        self._clock = SystemClock()
        self._transport = IrohTransport()
        self._fit = self._fitting()
        self._lives: list[_Life] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._joins = asyncio.Semaphore(AT_ONCE)
        self._number = 0
        self._ended = 0
        self._problem = ""

    def standing(self) -> Standing:
        """How many there are now."""
        for life in [life for life in self._lives if life.task.done()]:
            self._lives.remove(life)
            self._failed(life.task.exception())
        return Standing(
            workers=len(self._lives) + len(self._leaving),
            connected=sum(life.connected for life in self._lives),
            ended=self._ended,
            problem=self._problem,
        )

    async def scale(self, workers: int) -> None:
        """Returns when so many have joined, or some could not; cancelled, when it is at a standstill."""
        for life in self._lives[workers:]:
            life.worker.request_stop()
            self._leaving.add(life.task)
            life.task.add_done_callback(self._left)
        del self._lives[workers:]
        missing = workers - len(self._lives)
        async with asyncio.TaskGroup() as joining:
            for _ in range(missing):
                joining.create_task(self._join())

    async def close(self) -> None:
        """Ends all of them in good order."""
        await self.scale(0)
        if self._leaving:
            await asyncio.wait(self._leaving)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._leaving.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failed(task.exception())
        if not self._leaving:
            # Their sockets are held by cycles, which each worker that starts has frozen as if for good.
            gc.unfreeze()
            gc.collect()

    def _failed(self, error: BaseException | None) -> None:
        self._ended += 1
        self._problem = "nobody asked it to" if error is None else str(error) or type(error).__name__

    async def _join(self) -> None:
        async with self._joins:
            self._number += 1
            name, supervisor = f"simulated-{self._number}", _Joined()
            settings = PeerSettings(
                state_dir=self._directory / name,
                name=name,
                ticket_file=Path(self._simulation.ticket_file),
                join_token=self._simulation.join_token,
                bind="127.0.0.1:0",
                grace_s=GRACE_S,
                ephemeral=True,
                role=PeerRole.WORKER if self._simulation.engine is None else PeerRole.FOLLOWER,
            )
            around = Surroundings(self._transport, NoCompiler(), self._clock, supervisor)
            life = _Life(Worker(settings, around, self._fit), supervisor)
            self._lives.append(life)
            waiting = asyncio.ensure_future(supervisor.joined.wait())
            try:
                # One that cannot join goes on trying, or ends; either way it is told.
                await asyncio.wait({waiting, life.task}, timeout=JOIN_S, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()

    def _fitting(self) -> Fit:
        simulation = self._simulation
        if simulation.engine is None:
            return self._simulated
        token = SecretSource(
            file=Path(simulation.engine_token_file) if simulation.engine_token_file else None
        )
        url = None if simulation.engine == "p2p" else simulation.engine
        return RemoteEngines(EngineElsewhere(url, token, None), simulation.slots, self._clock)

    async def _simulated(self, parts: PeerParts, events: EngineEvents) -> Fitted:
        engine = SimulatedEngine(
            slots=self._simulation.slots,
            service_s=self._simulation.service_ms / 1000,
            events=events,
            clock=self._clock,
        )
        return Fitted(engine, parts.intake_of_own(engine))


async def _live(simulation: Simulation, wishes: "asyncio.Queue[int | None]") -> None:
    """Keeps as many workers as was wished last, until None is."""
    with tempfile.TemporaryDirectory(prefix="simulated-", dir=simulation.directory) as directory:
        crowd = Crowd(simulation, Path(directory))
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(_tell(crowd))
            wish = await wishes.get()
            while wish is not None:
                scaling = tasks.create_task(crowd.scale(wish))
                wish = await wishes.get()
                scaling.cancel()
                await asyncio.wait({scaling})
            await crowd.close()
            telling.cancel()


async def _tell(crowd: Crowd) -> None:
    told: Standing | None = None
    while True:
        if (standing := crowd.standing()) != told:
            told = standing
            say(msgspec.json.encode(standing).decode())
        await asyncio.sleep(_TELL_S)


def _work(runner: asyncio.Runner, simulation: Simulation, wishes: "asyncio.Queue[int | None]") -> None:
    try:
        runner.run(_live(simulation, wishes))
    except BaseException:
        log.exception("simulated_workers_failed")
        os._exit(1)  # the main thread waits for its stdin


def main() -> None:
    """Reads on the main thread, and works on another: signals are none of these workers' business."""
    configure_logs("error", "json")  # what becomes of the workers is printed
    allow_open_files()
    simulation = msgspec.json.decode(sys.stdin.readline(), type=Simulation)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop = runner.get_loop()
        wishes: asyncio.Queue[int | None] = asyncio.Queue()
        working = threading.Thread(target=_work, args=(runner, simulation, wishes))
        working.start()
        for line in sys.stdin:
            wanted = msgspec.json.decode(line, type=Wanted)
            loop.call_soon_threadsafe(wishes.put_nowait, wanted.workers)
        loop.call_soon_threadsafe(wishes.put_nowait, None)
        working.join()


if __name__ == "__main__":
    main()
