"""A cluster of processes on this machine, for one load test: on loopback, in a temporary directory."""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from mvm_ci.capacity.results import Loss
from mvm_ci.client.api import AsyncClient
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.grant import PeerRole
from mvm_ci.loadtest.children import Child, Readiness
from mvm_ci.loadtest.commands import CORES, Commands, Local
from mvm_ci.loadtest.crowd import Crowd
from mvm_ci.loadtest.fleet import Api, Sample
from mvm_ci.loadtest.proc import Usage
from mvm_ci.loadtest.together import together

START_S: Final = 120.0
LEAVE_S: Final = 15.0
"""For a worker to give back what it has."""
TOKEN_S: Final = 86_400
TOKEN_USES: Final = 10_000
_STARTS: Final = 2 * CORES
"""Workers that start at once."""
_LOOK_S: Final = 0.1
_ENDED_S: Final = 10.0


class _Credentials(msgspec.Struct):
    url: str
    token: str


class LocalFleet:
    """``Fleet``; ``start`` makes one. To be used on one thread, which outlives it: else its processes end."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._temporary = tempfile.TemporaryDirectory(
            prefix="mvm-ci-loadtest-", dir=local.directory, ignore_cleanup_errors=True
        )
        self._directory = Path(self._temporary.name)
        self._commands = Commands(local, self._directory)
        self._usage = Usage()
        self._sampling = asyncio.Lock()
        self._starting = asyncio.Semaphore(_STARTS)
        self._servers: dict[str, Child] = {}
        """By part of ``results.Usage``: the control plane, and an engine in a process of its own."""
        self._workers: list[Child] = []
        self._crowd: Crowd | None = None
        self._api = Api(url="", token="")
        self._client = AsyncClient("", "")
        self._join_token = ""

    @classmethod
    async def start(cls, local: Local) -> "LocalFleet":
        """One with no workers yet. Raises ``Unavailable``; then nothing is left of it."""
        fleet = cls(local)
        try:
            await fleet._start()
        except BaseException:
            await fleet.close()
            raise
        return fleet

    @property
    def option(self) -> int | None:
        return self._local.option

    @property
    def slots(self) -> int:
        return self._local.slots

    @property
    def ours(self) -> bool:
        return True

    @property
    def simulated(self) -> bool:
        return self._local.simulated

    @property
    def api(self) -> Api:
        return self._api

    async def scale(self, workers: int) -> None:
        self._check()
        if self._crowd is not None:
            await self._crowd.scale(workers)
        else:
            await self._scale_processes(workers)
        await self._until_connected(workers)

    async def changed(self) -> str:
        self._check()
        return ""

    async def samples(self) -> tuple[Sample, ...]:
        self._check()
        return await self._sample()

    async def kill(self) -> Loss:
        if self._crowd is not None:
            raise Unavailable("simulated workers cannot be killed: they share a process")
        if not self._workers:
            raise Unavailable("there is no worker to be killed")
        await self._sample()  # what it used is not lost with it
        killed = self._workers.pop(0)
        began_s = time.monotonic()
        killed.kill()
        await killed.ended(_ENDED_S)
        await self._worker(killed.name)
        return Loss(worker=killed.name, at_s=0.0, back_s=time.monotonic() - began_s)

    async def close(self) -> None:
        children = [*self._workers, *self._servers.values()]
        if self._crowd is not None:
            children.append(self._crowd.child)
        for child in children:
            child.kill()
        try:
            await asyncio.gather(*(child.ended(_ENDED_S) for child in children))
            await self._client.close()
        finally:
            self._workers.clear()
            await asyncio.to_thread(self._temporary.cleanup)

    # ------------------------------------------------------------------

    async def _start(self) -> None:
        commands = self._commands
        plane = await self._server("control-plane", commands.control_plane())
        found = msgspec.json.decode(commands.credentials.read_bytes(), type=_Credentials)
        self._api = Api(url=found.url, token=found.token)
        self._client = AsyncClient(found.url, found.token)
        token = await self._client.create_join_token(TOKEN_USES, TOKEN_S, "loadtest")
        self._join_token = token.token or ""
        if self._local.option == 3:
            await self._find_engine(await self._server("engine", commands.engine()))
        elif self._local.option == 4:
            await self._find_engine(plane)
        if self._local.simulated:
            simulation = commands.simulation(self._join_token)
            self._crowd = Crowd(simulation, self._directory, commands.environment(os.environ))

    async def _find_engine(self, host: Child) -> None:
        """Where it says that it listens."""

        def told() -> bool:
            for line in host.said.read_text().splitlines():
                if line.startswith("engine: "):
                    self._commands.engine_url = line.removeprefix("engine: ")
            return bool(self._commands.engine_url)

        await host.until(told, "its engine listens", START_S)

    async def _scale_processes(self, workers: int) -> None:
        leaving = self._workers[workers:]
        if leaving:
            await self._sample()  # what they used is not lost with them
            await together(*(child.stop(LEAVE_S) for child in leaving))
            del self._workers[workers:]
        names = {child.name for child in self._workers}
        free = [f"worker-{number}" for number in range(1, workers + 1)]
        missing = [name for name in free if name not in names][: workers - len(names)]
        await together(*map(self._worker, missing))

    async def _worker(self, name: str) -> None:
        """Starts one that had left, or a new one; returns when it has joined."""
        async with self._starting:
            await self._ready(name, self._commands.worker(name), self._workers.append)

    async def _server(self, part: str, arguments: Sequence[str]) -> Child:
        return await self._ready(part, arguments, lambda child: self._servers.update({part: child}))

    async def _ready(self, name: str, arguments: Sequence[str], started: Callable[[Child], None]) -> Child:
        """A process that does what it is for. ``started``: is told of it before that, so that it ends with
        the rest whatever happens.
        """
        environ = self._commands.environment(os.environ) | {"MVM_CI_JOIN_TOKEN": self._join_token}
        with Readiness() as readiness:
            command = ("-m", "mvm_ci", *arguments)
            child = Child(name, command, self._directory, environ | readiness.environ)
            started(child)
            await child.until(readiness.heard, "it is ready", START_S)
        return child

    async def _until_connected(self, workers: int) -> None:
        deadline = time.monotonic() + START_S
        while True:
            views = await self._client.workers()
            found = sum(view.connected for view in views if view.role != PeerRole.ENGINE)
            if found == workers:
                return
            self._check()
            if time.monotonic() > deadline:
                raise Unavailable(f"{found} workers are connected after {START_S:g} s, and not {workers}")
            await asyncio.sleep(_LOOK_S)

    async def _sample(self) -> tuple[Sample, ...]:
        parts = {part: [child.pid] for part, child in self._servers.items()}
        workers = self._workers if self._crowd is None else [self._crowd.child]
        parts["workers"] = [child.pid for child in workers if child.running]
        async with self._sampling:
            return await asyncio.to_thread(self._usage.samples, parts, self._commands.directories())

    def _check(self) -> None:
        """Raises ``Unavailable`` if a part of it has ended by itself."""
        crowd = [] if self._crowd is None else [self._crowd.child]
        for child in (*self._servers.values(), *self._workers, *crowd):
            if not child.running:
                raise Unavailable(f"the {child.name} of this load test has ended: {child.last_words()}")
        if self._crowd is not None:
            self._crowd.check()
