"""Clusters as a load test has them: on this machine, simulated, and one that runs already."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from mvm_ci.client import ApiClient
from mvm_ci.domain.errors import Unavailable
from mvm_ci.loadtest.commands import CORES, Commands, Local
from mvm_ci.loadtest.fleet import Api, Sample
from mvm_ci.loadtest.local import LocalFleet
from mvm_ci.loadtest.running import RunningFleet
from mvm_ci.loadtest.simulated_engine import RESULT
from mvm_ci.testing.cluster import Cluster
from mvm_ci.wire import api

pytestmark = pytest.mark.timeout(240)
SIMULATED = 50


@asynccontextmanager
async def started(directory: Path, **local: object) -> AsyncIterator[tuple[LocalFleet, ApiClient]]:
    """A fleet, which leaves nothing behind."""
    fleet = await LocalFleet.start(msgspec.convert({"directory": directory, **local}, Local))
    pids = processes_of(fleet)
    try:
        async with ApiClient(fleet.api.url, fleet.api.token) as client:
            yield fleet, client
            pids |= processes_of(fleet)
    finally:
        await fleet.close()
    assert await asyncio.to_thread(left, directory, pids) == []


def left(directory: Path, pids: set[int]) -> list[Path]:
    return [*directory.iterdir(), *(path for pid in pids if (path := Path(f"/proc/{pid}")).exists())]


def processes_of(fleet: LocalFleet) -> set[int]:
    workers = [*fleet._workers, *([] if fleet._crowd is None else [fleet._crowd.child])]
    return {child.pid for child in (*fleet._servers.values(), *workers)}


async def connected(client: ApiClient) -> list[str]:
    views = await client.workers()
    return sorted(view.name for view in views if view.connected and view.role != "engine")


async def parts(fleet: LocalFleet) -> dict[str, Sample]:
    return {sample.part: sample for sample in await fleet.samples()}


async def run(client: ApiClient, noop: str, jobs: int) -> tuple[api.JobView, ...]:
    module = await client.push_module(await asyncio.to_thread(Path(noop).read_bytes))
    one = api.SubmitJob(module=module.digest, input=msgspec.Raw(b"1"))
    return await client.submit([one] * jobs, wait_s=60)


@pytest.mark.parametrize("option", [1, 2, 4])
async def test_a_cluster_on_this_machine(option: int, tmp_path: Path, noop: str) -> None:
    async with started(tmp_path, option=option) as (fleet, client):
        await fleet.scale(1)
        before = await parts(fleet)
        assert before.keys() == {"control-plane", "workers"}
        # Runners are where the engine is.
        assert before["workers"].processes == (2 if option == 1 else 1)
        assert (before["control-plane"].processes > 1) == (option != 1)
        await fleet.scale(3)
        assert await connected(client) == ["worker-1", "worker-2", "worker-3"]
        assert {job.state for job in await run(client, noop, 50)} == {"completed"}
        after = await parts(fleet)
        assert after["workers"].processes == 3 * before["workers"].processes
        for part, sample in after.items():
            assert sample.cpu_s > before[part].cpu_s
            assert sample.memory_mb > 10
            assert sample.files > 10
            assert sample.disk_mb > 0
        await fleet.scale(2)
        assert await connected(client) == ["worker-1", "worker-2"]
        fewer = await parts(fleet)
        assert fewer["workers"].cpu_s >= after["workers"].cpu_s
        assert fewer["workers"].processes < after["workers"].processes
        session = {view.name: view.session for view in await client.workers()}
        loss = await fleet.kill()
        assert loss.back_s is not None
        assert {view.name: view.session for view in await client.workers()}[loss.worker] != session[
            loss.worker
        ]
        assert await connected(client) == ["worker-1", "worker-2"]
        assert (await parts(fleet))["workers"].cpu_s >= fewer["workers"].cpu_s
        assert {job.state for job in await run(client, noop, 50)} == {"completed"}


async def test_fifty_simulated_workers_idle_and_at_work(tmp_path: Path, noop: str) -> None:
    async with started(tmp_path, simulated=True, service_ms=1.0) as (fleet, client):
        await fleet.scale(SIMULATED)
        assert len(await connected(client)) == SIMULATED
        idle = await parts(fleet)
        assert idle["workers"].processes == 1
        jobs = await run(client, noop, 1000)
        assert {(job.state, bytes(job.result or b"")) for job in jobs} == {("completed", RESULT)}
        assert (await parts(fleet))["workers"].cpu_s > idle["workers"].cpu_s
        with pytest.raises(Unavailable, match="share a process"):
            await fleet.kill()
        await fleet.scale(5)
        assert len(await connected(client)) == 5
        assert {job.state for job in await run(client, noop, 50)} == {"completed"}


@pytest.mark.parametrize("option", [2, 4])
async def test_simulated_workers_share_a_real_engine(option: int, tmp_path: Path, noop: str) -> None:
    async with started(tmp_path, simulated=True, option=option) as (fleet, client):
        await fleet.scale(10)
        jobs = await run(client, noop, 100)
        assert {job.state for job in jobs} == {"completed"}
        assert RESULT not in {bytes(job.result or b"") for job in jobs}
        assert (await parts(fleet))["workers"].processes == 1


async def test_a_cluster_that_dies_is_told(tmp_path: Path) -> None:
    async with started(tmp_path) as (fleet, _):
        fleet._servers["control-plane"].kill()
        await fleet._servers["control-plane"].ended(30.0)
        with pytest.raises(Unavailable, match="the control-plane of this load test has ended"):
            await fleet.samples()


async def test_a_worker_that_dies_by_itself_is_told(tmp_path: Path) -> None:
    async with started(tmp_path) as (fleet, _):
        await fleet.scale(2)
        assert await fleet.changed() == ""
        fleet._workers[1].kill()
        await fleet._workers[1].ended(30.0)
        for look in (fleet.samples, fleet.changed):
            with pytest.raises(Unavailable, match="the worker-2 of this load test has ended"):
                await look()


async def test_a_simulated_worker_that_ends_by_itself_is_told(tmp_path: Path) -> None:
    async with started(tmp_path, simulated=True) as (fleet, client):
        await fleet.scale(3)
        assert await fleet.changed() == ""
        await client.revoke_worker((await client.workers())[0].id)
        with pytest.raises(Unavailable, match=r"a simulated worker ended: .* was revoked"):
            await until_changed(fleet)
        with pytest.raises(Unavailable, match="a simulated worker ended"):
            await fleet.scale(2)


async def until_changed(fleet: LocalFleet) -> None:
    async with asyncio.timeout(60):
        while not await fleet.changed():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.1)


async def test_one_worker_that_cannot_start_ends_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Commands.worker
    monkeypatch.setattr(
        Commands,
        "worker",
        lambda self, name: ("worker", "--no") if name == "worker-2" else worker(self, name),
    )
    async with started(tmp_path) as (fleet, _):
        with pytest.raises(Unavailable, match=r"worker-2 ended with 2: .*--no"):
            await fleet.scale(3 * CORES)
        begun = [child.name for child in fleet._workers]
        assert len(begun) < 3 * CORES
        await asyncio.sleep(1)
        assert [child.name for child in fleet._workers] == begun


async def test_interrupted_while_workers_start_nothing_is_left(tmp_path: Path) -> None:
    async with started(tmp_path) as (fleet, _):
        scaling = asyncio.create_task(fleet.scale(4))
        while not fleet._workers:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        scaling.cancel()
        await asyncio.gather(scaling, return_exceptions=True)


async def test_a_cluster_that_runs_already(control: Cluster, tmp_path: Path) -> None:
    await asyncio.to_thread(control.workers, ["one", "two", "three"])
    known = json.loads(await asyncio.to_thread(control.credentials.read_text))
    given = Api(url=known["url"], token=known["token"])
    killed = {process.name: process.popen.pid for process in control.processes}
    command = f"kill -9 $(python3 -c 'print({json.dumps(killed)}[\"'$MVM_CI_WORKER'\"])')"
    async with ApiClient(given.url, given.token) as client:
        fleet = await RunningFleet.of(client, given, command)
        assert (fleet.option, fleet.slots) == (1, 1)
        try:
            await fleet.scale(1)
            assert await states(client) == {"one": "active", "three": "draining", "two": "draining"}
            await fleet.scale(2)
            assert sorted((await states(client)).values()) == ["active", "active", "draining"]
            (sample,) = await fleet.samples()
            assert sample.cpu_s > 0
            assert sample.memory_mb > 10
            killing = asyncio.create_task(fleet.kill())
            await asyncio.to_thread(control.until, ended(control), "one is killed")
            name = next(one.name for one in control.processes if one.popen.poll() is not None)
            await asyncio.to_thread(control.worker_process, name, token="")
            loss = await killing
            assert loss.worker == name
            assert loss.back_s is not None
        finally:
            await fleet.close()
        assert set((await states(client)).values()) == {"active"}


def ended(cluster: Cluster) -> Callable[[], bool]:
    return lambda: any(one.popen.poll() is not None for one in cluster.processes)


async def sessions(client: ApiClient) -> dict[str, int | None]:
    return {view.name: view.session for view in await client.workers()}


async def states(client: ApiClient) -> dict[str, str]:
    return {view.name: view.state for view in await client.workers()}
