"""A cluster that runs already: workers are drained for a while, so that there are fewer."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from mvm_ci.adapters.shell import kill_worker
from mvm_ci.capacity.results import Loss
from mvm_ci.client import ApiClient
from mvm_ci.domain.errors import BadInput, MvmCiError, NotFound, Refused, Unavailable
from mvm_ci.domain.grant import PeerRole
from mvm_ci.loadtest.fleet import Api, Sample
from mvm_ci.wire.api import WorkerView

DRAINED_S: Final = 60.0
"""For a drained worker to have nothing left."""
HAND_OVER_S: Final = 10.0
"""After so long a worker that is drained hands over what it still runs."""
BACK_S: Final = 180.0
"""For a worker to come back, once another was killed."""
_LOST_S: Final = 60.0
_LOOK_S: Final = 0.2
_MIB: Final = 1 << 20
_ACTIVE: Final = "active"


class RunningFleet:
    """``Fleet``; ``of`` makes one. ``kill``: command for the shell that kills the worker which its
    environment names; empty: there is none.
    """

    def __init__(self, client: ApiClient, api: Api, workers: tuple[WorkerView, ...], kill: str = "") -> None:
        self._client = client
        self._api = api
        self._command = kill
        self._drained: set[str] = set()
        """Ids of those that are drained because of us, or about to be."""
        self._told = True
        self._wanted = 0
        """Workers that ``scale`` left."""
        roles = {view.role for view in workers}
        self._option = 1 if roles == {PeerRole.WORKER} else None
        slots = Counter(view.slots for view in workers if view.role != PeerRole.ENGINE)
        self._slots = slots.most_common(1)[0][0] if slots else 1

    @classmethod
    async def of(cls, client: ApiClient, api: Api, kill: str = "") -> "RunningFleet":
        """As it is now. Raises what the client raises."""
        workers = tuple(view for view in await client.workers() if view.connected)
        return cls(client, api, workers, kill)

    @property
    def option(self) -> int | None:
        return self._option

    @property
    def slots(self) -> int:
        """Of most of its workers."""
        return self._slots

    @property
    def ours(self) -> bool:
        return False

    @property
    def simulated(self) -> bool:
        return False

    async def connected(self) -> int:
        """Workers that take jobs."""
        return len(await self._there())

    @property
    def api(self) -> Api:
        return self._api

    async def scale(self, workers: int) -> None:
        """As the protocol says; raises ``BadInput`` if not so many are connected, ``Refused`` if the token
        may not drain.
        """
        there = await self._there()
        active = [view for view in there if view.id not in self._drained]
        if workers > len(there):
            raise BadInput(
                f"{len(there)} workers are connected and take jobs, and not {workers}: start more, or ask "
                "for fewer"
            )
        idle = [view for view in there if view.id in self._drained]
        for view in active[workers:]:
            await self._drain(view.id, len(there), workers)
        for view in idle[: max(0, workers - len(active))]:
            await self._client.resume_worker(view.id)
            self._drained.discard(view.id)
        await self._until(self._settled, DRAINED_S, "the drained workers have nothing left")
        self._wanted = workers

    async def changed(self) -> str:
        try:
            found = sum(view.id not in self._drained for view in await self._there())
        except Unavailable:
            return ""  # whoever loads it hears of that, too
        if found == self._wanted:
            return ""
        return f"{found} workers took jobs at the end of a load for {self._wanted}"

    async def samples(self) -> tuple[Sample, ...]:
        """Of the control plane's process alone, and only if the token may see that."""
        if not self._told:
            return ()
        try:
            text = await self._client.metrics()
        except Refused:
            self._told = False
            return ()
        except Unavailable:
            return ()  # one look less; whoever loads the cluster hears if it is gone
        # Of a large cluster there is much else: parsing that would keep the load waiting.
        of_process = b"\n".join(line for line in text.splitlines() if line.startswith(b"process_"))
        found = {
            sample.name: sample.value
            for family in text_string_to_metric_families(of_process.decode())
            for sample in family.samples
        }
        if "process_cpu_seconds_total" not in found:
            return ()
        return (
            Sample(
                part="control-plane",
                processes=1,
                cpu_s=found["process_cpu_seconds_total"],
                memory_mb=found.get("process_resident_memory_bytes", 0.0) / _MIB,
                files=round(found.get("process_open_fds", 0)),
            ),
        )

    async def kill(self) -> Loss:
        if not self._command:
            raise Unavailable("nobody said how to kill a worker: give --kill")
        there = [view for view in await self._there() if view.id not in self._drained]
        if not there:
            raise Unavailable("no worker is connected that could be killed")
        victim = max(there, key=lambda view: view.jobs)
        began_s = time.monotonic()
        await kill_worker(self._command, name=victim.name, worker=victim.id)

        async def lost() -> bool:
            return not any(view.session == victim.session for view in await self._there())

        async def back() -> bool:
            return len([view for view in await self._there() if view.id not in self._drained]) >= len(there)

        await self._until(lost, _LOST_S, f"{victim.name} is gone, which was to be killed")
        try:
            await self._until(back, BACK_S, "one in its place")
        except Unavailable:
            return Loss(worker=victim.name, at_s=0.0)
        return Loss(worker=victim.name, at_s=0.0, back_s=time.monotonic() - began_s)

    async def close(self) -> None:
        """Resumes what was drained here, also if it is interrupted meanwhile. Raises ``Unavailable``, which
        names those that could not be resumed.
        """
        resuming = asyncio.ensure_future(self._resume())
        try:
            await asyncio.shield(resuming)
        except asyncio.CancelledError:
            await resuming
            raise

    async def _resume(self) -> None:
        left = []
        for worker in sorted(self._drained):
            try:
                await self._client.resume_worker(worker)
            except NotFound:
                pass  # it is gone, and forgotten
            except MvmCiError as error:
                left.append(f"mvm-ci worker resume {worker} ({error})")
                continue
            self._drained.discard(worker)
        if left:
            raise Unavailable("workers that were drained for the load test still are: run " + ", ".join(left))

    async def _there(self) -> list[WorkerView]:
        """Those that take jobs, or would but for us; by name, so that the same ones are drained each time."""
        views = [
            view
            for view in await self._client.workers()
            if view.connected
            and view.role != PeerRole.ENGINE
            and (view.state == _ACTIVE or view.id in self._drained)
        ]
        return sorted(views, key=lambda view: (view.name, view.id))

    async def _settled(self) -> bool:
        """Whether what is drained has no job any more."""
        return not any(view.jobs for view in await self._there() if view.id in self._drained)

    async def _drain(self, worker: str, there: int, workers: int) -> None:
        self._drained.add(worker)  # before: if it is interrupted here it is resumed, too
        try:
            await self._client.drain_worker(worker, HAND_OVER_S)
        except Refused as error:
            self._drained.discard(worker)
            raise Refused(
                f"{there} workers are connected, and this token may not drain some, so that {workers} are "
                f"left ({error}): take a token of the role operator, or leave out --workers"
            ) from None

    async def _until(self, fact: Callable[[], Awaitable[bool]], within_s: float, what: str) -> None:
        deadline = time.monotonic() + within_s
        while not await fact():
            if time.monotonic() > deadline:
                raise Unavailable(f"not within {within_s:g} s: {what}")
            await asyncio.sleep(_LOOK_S)
