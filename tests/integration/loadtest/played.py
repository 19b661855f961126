"""A cluster that is played: an API with jobs in memory, and a fleet that only remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import msgspec

from mvm_ci.capacity.results import Loss, Result
from mvm_ci.domain.errors import MvmCiError
from mvm_ci.loadtest import steps
from mvm_ci.loadtest.asked import Asked, Load
from mvm_ci.loadtest.fleet import Api, Sample
from mvm_ci.loadtest.profiles import profile
from mvm_ci.loadtest.run import LoadTest, Run, Started
from mvm_ci.loadtest.soak import Soaking
from mvm_ci.serving.exchange import Exchange
from mvm_ci.serving.problems import PROBLEM, problem
from mvm_ci.serving.server import ApiServer
from mvm_ci.testing.slow_api import BEARER, Silent
from mvm_ci.wire import api

_TURN_S = 1e-7
QUEUE = "loadtest-of-the-tests"
ENDS = ("completed", "failed", "cancelled", "dead")


class Plane:
    """``service_s``: of a job; ``ahead_ms``: of its clock. The others are what goes wrong: ``loses``,
    ``doubles``, ``fails``, ``holds``, ``errs``: so many jobs are forgotten, made once more, fail, never end,
    have a wrong result;
    ``silent``: so many requests that are no submissions are refused.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, api.JobView] = {}
        self.modules: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.asked: list[str] = []
        """Of fleet and API, in order: what changes something."""
        self.service_s = 0.05
        self.loses = self.doubles = self.fails = self.holds = self.errs = 0
        self.silent = 0
        self.ahead_ms = 0.0
        self._made = 0
        self.server = ApiServer(self._answer, "127.0.0.1", 0, 0.0)

    async def _answer(self, exchange: Exchange) -> None:
        body = await exchange.body(1 << 20)
        what = f"{exchange.method} {exchange.path}"
        self.calls[what] += 1
        if what == "POST /v1/jobs":
            exchange.reply(200, msgspec.json.encode(await self._submit(body)), b"application/json")
            return
        if self.silent:
            self.silent -= 1
            exchange.reply(503, problem(503, "unavailable", "busy with something else"), PROBLEM)
            return
        exchange.reply(200, msgspec.json.encode(self._others(exchange, what, body)), b"application/json")

    async def _submit(self, body: bytes) -> api.Submitted:
        asked = msgspec.json.decode(body, type=api.SubmitJobs)
        made = [(self._new(job.queue), _turns(job)) for job in asked.jobs]
        if asked.wait_s:
            await asyncio.sleep(self.service_s + sum(turns for _, turns in made) * _TURN_S)
        return api.Submitted(jobs=tuple(self._ended(job, turns) for job, turns in made))

    def end_all(self) -> None:
        """What was held ends."""
        for job, view in self.jobs.items():
            if view.state not in ENDS:
                self.jobs[job] = msgspec.structs.replace(view, state="completed")

    def _new(self, queue: str) -> str:
        self._made += 1
        job = f"{self._made:014d}"
        created_ms = round(time.time() * 1000 + self.ahead_ms)
        self.jobs[job] = api.JobView(id=job, state="in_progress", queue=queue, created_ms=created_ms)
        return job

    def _ended(self, job: str, turns: int) -> api.JobView:
        view = self.jobs.get(job)
        if view is None:
            return api.JobView(id=job, state="cancelled")
        ours = view.queue == QUEUE
        if ours and self.holds:
            self.holds -= 1
            return view
        if ours and self.fails:
            self.fails -= 1
            failure = api.FailureView(kind="trap", message="it trapped")
            view = msgspec.structs.replace(view, state="failed", failure=failure)
        else:
            result = steps.result((steps.Step("c", turns),) if turns else (), 1)
            if ours and self.errs:
                self.errs -= 1
                result = "f" * 16
            raw = msgspec.Raw(msgspec.json.encode(result))
            view = msgspec.structs.replace(view, state="completed", result=raw, result_size=18)
        self.jobs[job] = view
        if ours and self.loses:
            self.loses -= 1
            del self.jobs[job]
        if ours and self.doubles:
            self.doubles -= 1
            again = self._new(view.queue)
            self.jobs[again] = msgspec.structs.replace(view, id=again)
        return view

    def _others(self, exchange: Exchange, what: str, body: bytes) -> Any:
        if "/v1/modules" in what:
            return self._of_modules(exchange.method)
        if what == "GET /v1/status":
            return api.Status(
                version="9.9", started_ms=0, jobs={}, workers=0, connected=0, slots=0, stale_refused=0
            )
        if what == "GET /v1/jobs":
            queue = parse_qs(exchange.query.decode())["queue"][0]
            return api.JobList(jobs=tuple(view for view in self.jobs.values() if view.queue == queue))
        if what in {"POST /v1/jobs/cancel", "POST /v1/jobs/delete"}:
            return self._many(what.rpartition("/")[2], msgspec.json.decode(body, type=api.BulkRequest))
        return self.jobs[exchange.path.rpartition("/")[2]]

    def _of_modules(self, method: str) -> api.ModuleView | api.ModuleList:
        if method == "GET":
            return api.ModuleList(modules=(_module(),) if self.modules else ())
        if method == "POST":
            self.modules.add("guest")
        else:
            self.asked.append("module removed")
            self.modules.clear()
        return _module()

    def _many(self, verb: str, which: api.BulkRequest) -> api.BulkResult:
        queue = None if which.filter is None else which.filter.queue
        chosen = [one for one in self.jobs.values() if one.id in which.ids or one.queue == queue]
        done = 0
        for view in chosen:
            if verb == "delete" and view.state in ENDS:
                del self.jobs[view.id]
                done += 1
            elif verb == "cancel" and view.state not in ENDS:
                self.jobs[view.id] = msgspec.structs.replace(view, state="cancelled")
                done += 1
        if done and which.filter is not None:
            self.asked.append(f"{verb} jobs")
        return api.BulkResult(counts={"done": done} if done else {}, jobs=(), complete=True)


class Fleet:
    """``Fleet``. ``fails``, ``kill_fails``: what it raises when it is looked at, or to kill; ``told``: how it
    has changed; ``cores``: that the process of all workers uses.
    """

    def __init__(self, plane: Plane, *, ours: bool = True, simulated: bool = False) -> None:
        self.plane = plane
        self.ours = ours
        self.simulated = simulated
        self.option: int | None = 4
        self.slots = 1
        self.sizes: list[int] = []
        self.killed = 0
        self.told = ""
        self.cores = 0.0
        self.fails: MvmCiError | None = None
        self.kill_fails: MvmCiError | None = None
        self.killing_s = 5.0

    @property
    def api(self) -> Api:
        return Api(url=self.plane.server.url, token=BEARER)

    async def scale(self, workers: int) -> None:
        self.plane.asked.append(f"scale {workers}")
        self.sizes.append(workers)

    async def changed(self) -> str:
        return self.told

    async def samples(self) -> tuple[Sample, ...]:
        if self.fails is not None:
            raise self.fails
        at = asyncio.get_running_loop().time()
        return (Sample(part="workers", processes=1, cpu_s=self.cores * at, memory_mb=50.0),)

    async def kill(self) -> Loss:
        if self.kill_fails is not None:
            raise self.kill_fails
        await asyncio.sleep(self.killing_s)
        self.killed += 1
        return Loss(worker=f"worker-{self.killed}", at_s=0.0, back_s=self.killing_s)

    async def close(self) -> None:
        self.plane.asked.append("close")


class Kept:
    """Whoever writes results down. ``after``: what had been asked before each."""

    def __init__(self, plane: Plane) -> None:
        self.results: list[Result] = []
        self.after: list[list[str]] = []
        self._plane = plane

    async def __call__(self, result: Result) -> None:
        self.after.append(list(self._plane.asked))
        # What is written must be what can be read.
        self.results.append(msgspec.json.decode(msgspec.json.encode(result), type=Result))


@contextlib.asynccontextmanager
async def played() -> AsyncIterator[Plane]:
    """One that listens until the block ends."""
    made = Plane()
    await made.server.start()
    try:
        yield made
    finally:
        await made.server.stop()


def as_started(fleet: Fleet) -> Started:
    @contextlib.asynccontextmanager
    async def started() -> AsyncIterator[Fleet]:
        try:
            yield fleet
        finally:
            await fleet.close()

    return started


def asked(**fields: Any) -> Asked:
    """A closed loop of two at once for each of one worker and then two, for a second each."""
    values: dict[str, Any] = {
        "profiles": ("noop",),
        "workers": (1, 2),
        "loads": (Load(per_worker=2),),
        "repetitions": 1,
        "warm_up_s": 0.0,
        "measure_s": 2.0,
    }
    return Asked(**values | fields)


def run(**fields: Any) -> Run:
    wanted = fields.pop("asked", None) or asked()
    values: dict[str, Any] = {
        "command": "mvm-ci loadtest",
        "address": "there",
        "shared": True,
        "queue": QUEUE,
        "asked": wanted,
        "profiles": {name: profile(name) for name in wanted.profiles},
        "objective": None,
        "stub": "",
        "stub_latency": "fixed:1ms",
    }
    return Run(**values | fields)


def soak_of(seconds: float, kill_every_s: float | None = None, **fields: Any) -> Run:
    """Of ten requests a second."""
    one = asked(workers=(2,), loads=(Load(rate=10.0),), **fields)
    return run(asked=one, soaking=Soaking(duration_s=seconds, kill_every_s=kill_every_s))


class Test:
    """A load test of fleets, with all that it says."""

    __test__ = False

    def __init__(self, what: Run, *fleets: Fleet) -> None:
        self.progress = Silent()
        self.kept = Kept(fleets[0].plane)
        self.fleets: list[Started] = [as_started(fleet) for fleet in fleets]
        self._test = LoadTest(what, self.progress, self.kept)

    async def result(self) -> Result:
        return await self._test.run(self.fleets)


def _turns(job: api.SubmitJob) -> int:
    """Of the guest's loop, for a job that only computes, if at all."""
    return int(msgspec.json.decode(job.input, type=str).removeprefix("c") or 0)


def _module() -> api.ModuleView:
    return api.ModuleView(digest="d" * 64, name="", kind="module", size=1, created_ms=0, allow_hosts=())
