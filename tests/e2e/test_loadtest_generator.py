"""The load generator on a real cluster with one worker: every profile runs, and its results are right."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from mvm_ci.loadtest.channel import Channel
from mvm_ci.loadtest.delays import Delays
from mvm_ci.loadtest.fleet import Api
from mvm_ci.loadtest.jobs import Jobs, check
from mvm_ci.loadtest.measure import Measurement, Shape, Timing
from mvm_ci.loadtest.preparation import calibrate, push_guest
from mvm_ci.loadtest.profiles import NAMES, Kind, Profile, profile
from mvm_ci.loadtest.steps import Step, parse
from mvm_ci.loadtest.stub import Stub
from mvm_ci.testing.cluster import Cluster
from mvm_ci.testing.slow_api import Silent, no_samples


@contextlib.asynccontextmanager
async def channel(cluster: Cluster) -> AsyncIterator[Channel]:
    known = json.loads(cluster.credentials.read_text())
    api = Api(url=known["url"], token=known["token"])
    async with Channel(api, connections=50, answer_s=70) as made:
        yield made


@pytest.mark.parametrize("name", NAMES)
async def test_a_profile(shared: Cluster, name: str) -> None:
    stub = Stub(Delays("lognormal:5ms,p99=20ms", 1))
    await stub.start()
    async with channel(shared) as one:
        module = await push_guest(one)
        used = profile(name)
        # 50 ms are fewer turns than they may be: how fast this machine is, is another test's matter.
        jobs = Jobs(one, used, module, batch=2, turns_per_ms=1000, stub=stub.url)
        timing = Timing(warm_up_s=0.5, measure_s=2.0)
        shape = Shape(rate=5.0)
        found = await Measurement(
            one, jobs, shape, timing, samples=no_samples, progress=Silent(), seed=2
        ).run()
    await stub.stop()
    assert (found.failed, found.reasons) == (0, {})
    assert found.jobs > 0
    assert found.latency.p50 > (100 if name == "wait" else 0)
    counts = stub.effects.counts
    assert (counts.repeated, counts.doubled) == (0, 0)
    assert (counts.requests > 0) == used.asks
    if name == "flow":
        assert counts.effects == counts.requests >= 5 * found.jobs


async def test_calibrated_work_takes_about_as_long_as_it_says(shared: Cluster) -> None:
    async with channel(shared) as one:
        module = await push_guest(one)
        turns = await calibrate(one, module, "aside")
        took: dict[int, float] = {}
        for cpu_ms in (0, 200):
            kind = Kind(1, (Step("c", cpu_ms),) if cpu_ms else ())
            work = Jobs(one, Profile(name="cpu", kinds=(kind,)), module, turns_per_ms=turns).next()
            took[cpu_ms] = min([await timed(one, work.request) for _ in range(5)])
    # On a machine with other work; a wrong unit would be a factor of 1,000.
    assert 0.05 < took[200] - took[0] < 2


async def timed(one: Channel, request: bytes) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert b'"completed"' in await one.send(request)
    return loop.time() - began


async def test_a_stub_that_guests_may_not_reach_is_told(shared: Cluster) -> None:
    async with channel(shared) as one:
        module = await push_guest(one)
        work = Jobs(one, profile("flow"), module, stub="http://192.168.0.1:80").next()
        found = check(work, await one.send(work.request))
    assert found.failed == 1
    assert '"kind":"refused"' in found.why


async def test_all_steps_of_a_job_in_any_order(shared: Cluster) -> None:
    stub = Stub(Delays("fixed:0ms", 1))
    await stub.start()
    async with channel(shared) as one:
        module = await push_guest(one)
        steps = parse("p2 c3 m1 w1 d2 g3 m2 p1 c1")
        jobs = Jobs(one, Profile(name="all", kinds=(Kind(1, steps),)), module, turns_per_ms=10, stub=stub.url)
        work = jobs.next()
        found = check(work, await one.send(work.request))
    await stub.stop()
    assert (found.completed, found.why) == (1, "")
    assert (stub.effects.counts.effects, stub.effects.counts.requests) == (3, 6)
