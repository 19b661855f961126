"""A fleet that is ready to be loaded: the guest is there, and the stub; how fast its workers compute."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

import msgspec

from mvm_ci.capacity.results import Repetition
from mvm_ci.client import ApiClient
from mvm_ci.client.removal import remove_jobs
from mvm_ci.domain.errors import MvmCiError
from mvm_ci.loadtest import steps, stub_process
from mvm_ci.loadtest.channel import Channel
from mvm_ci.loadtest.fleet import Fleet, Sample
from mvm_ci.loadtest.jobs import WAIT_S, Jobs
from mvm_ci.loadtest.machine import allow_open_files
from mvm_ci.loadtest.preparation import calibrate, prime, push_guest
from mvm_ci.loadtest.profiles import Profile
from mvm_ci.loadtest.stub_process import StubProcess
from mvm_ci.loadtest.verdict import BUSY_CORES
from mvm_ci.ports.progress import Progress
from mvm_ci.wire import api

ANSWER_S: Final = WAIT_S + 10
OPEN_CONNECTIONS: Final = 2_000
"""Of an open loop: so many requests may be under way."""
_CLEAN_S: Final = 60.0
_CLEAN_OURS_S: Final = 30.0
"""At most, for a cluster that is gone soon anyway."""
C = TypeVar("C", bound=Channel)


class Clock(msgspec.Struct, frozen=True):
    """How far the control plane's clock is ahead of the one here, give or take ``uncertain_ms``."""

    ahead_ms: float
    uncertain_ms: float


class Bench:
    """One fleet. ``module``: the guest's digest; ``queue``: of all jobs of this load test."""

    def __init__(
        self, fleet: Fleet, client: ApiClient, queue: str, module: str, stub: StubProcess | None
    ) -> None:
        self.fleet = fleet
        self.client = client
        self.queue = queue
        self._module = module
        self._stub = stub
        self.clock = Clock(0.0, 0.0)
        self._aside = f"{queue}-before"
        """The queue of jobs that come before a load, and are none of it."""
        self._turns_per_ms = 0.0

    def channel(self, connections: int, kind: type[C]) -> C:
        """For so many requests at once, or as many as this process may have open files for."""
        return kind(self.fleet.api, connections=connections, answer_s=ANSWER_S)

    async def samples(self) -> Sequence[Sample]:
        """What the fleet uses, and the stub."""
        found = await self.fleet.samples()
        return found if self._stub is None else (*found, await self._stub.sample())

    def judged(self, found: Repetition) -> Repetition:
        """It, with a word on processes of the load test's own that were the limit."""
        single = {stub_process.PART: "the stub"}
        if self.fleet.simulated:
            single["workers"] = "the process of the simulated workers"
        busy = [
            f"{single[used.part]} used {used.cpu_cores:.2f} cores, and one is about all it can use"
            for used in found.usage
            if used.part in single and used.cpu_cores >= BUSY_CORES
        ]
        told = "; ".join(filter(None, (found.bottleneck, *busy)))
        return msgspec.structs.replace(found, bottleneck=told)

    async def calibrated(self, profile: Profile) -> str:
        """Finds out how fast workers compute, if a profile needs that and nobody did: words on it."""
        if self._turns_per_ms or not profile.computes:
            return ""
        async with self.channel(1, Channel) as channel:
            self._turns_per_ms = await calibrate(channel, self._module, self._aside)
        return f"a worker computes {self._turns_per_ms:,.0f} turns of the guest's loop in a millisecond"

    async def primed(self, workers: int) -> None:
        """Every worker has run jobs."""
        async with self.channel(OPEN_CONNECTIONS, Channel) as channel:
            await prime(channel, self._module, self._aside, workers)

    def jobs(self, channel: Channel, profile: Profile, batch: int) -> Jobs:
        """Those of a profile."""
        return Jobs(
            channel,
            profile,
            self._module,
            batch=batch,
            turns_per_ms=self._turns_per_ms,
            stub="" if self._stub is None else self._stub.url,
            queue=self.queue,
        )

    async def compare_clocks(self) -> None:
        """The control plane notes when a job was made, which was between our request and its answer."""
        began, began_ms = time.perf_counter(), time.time_ns() / 1e6
        job = api.SubmitJob(module=self._module, input=msgspec.Raw(b'""'), queue=self._aside)
        (made,) = await self.client.submit([job])
        took_ms = (time.perf_counter() - began) * 1000
        view = await self.client.job(made.id)
        # Its time is cut to whole milliseconds.
        self.clock = Clock(view.created_ms + 0.5 - (began_ms + took_ms / 2), took_ms / 2 + 0.5)

    async def clean(self) -> str:
        """Removes all jobs, so that no load finds what one before it has left; what remains, or nothing."""
        left = ""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLEAN_OURS_S if self.fleet.ours else None):
                for queue in (self.queue, self._aside):
                    why = await remove_jobs(self.client, api.JobSelection(queue=queue), _CLEAN_S)
                    left = "; ".join(filter(None, (left, why)))
        return left


@asynccontextmanager
async def benched(
    fleet: Fleet, queue: str, stub: StubProcess | None, progress: Progress, left: list[str]
) -> AsyncIterator[Bench]:
    """The fleet with all that is needed. What was there before is there after the block, and nothing else, if
    somebody else uses the cluster, too; what could not be removed is added to ``left``. Raises ``MvmCiError``
    if it cannot be loaded.
    """
    allow_open_files()
    digest = steps.digest()
    async with ApiClient(fleet.api.url, fleet.api.token, namespace=fleet.api.namespace) as client:
        known = bool(await client.modules(prefix=digest))
        async with Channel(fleet.api, connections=1, answer_s=ANSWER_S) as channel:
            module = await push_guest(channel)
        bench = Bench(fleet, client, queue, module, stub)
        try:
            yield bench
        finally:
            if not fleet.ours:
                # First of all, others have their workers again: the rest may take long. Whoever made the
                # fleet ends it once more, and hears then of what could not be done.
                with suppress(MvmCiError):
                    await fleet.close()
                progress.phase("removing its jobs", 0)
                left += [why] if (why := await bench.clean()) else []
                left += [why] if not known and (why := await _removed(client, module)) else []


async def _removed(client: ApiClient, module: str) -> str:
    try:
        await client.delete_module(module)
    except MvmCiError as error:
        return f"the module {module[:12]} of the load test: {error}"
    return ""
