"""A cluster that runs already, played by a client that only remembers."""

import asyncio
from collections.abc import Sequence
from typing import cast
from unittest import mock

import pytest

from mvm_ci.client import ApiClient
from mvm_ci.domain.errors import BadInput, NotFound, Refused, Unavailable
from mvm_ci.loadtest.fleet import Api, Sample
from mvm_ci.loadtest.running import RunningFleet
from mvm_ci.wire.api import WorkerView

API = Api(url="http://there", token="t")
METRICS = b"""\
process_cpu_seconds_total 12.5
process_resident_memory_bytes 1.048576e+08
process_open_fds 30.0
mvm_ci_jobs_total 7.0
"""


class Plane:
    """``held``: requests wait for it; ``refuses``, ``lost``: what is answered with that error."""

    def __init__(self, roles: Sequence[str]) -> None:
        self.states = {f"id-{number}": "active" for number in range(1, len(roles) + 1)}
        self.roles = dict(zip(self.states, roles, strict=True))
        self.gone: set[str] = set()
        self.asked: list[str] = []
        self.held = asyncio.Event()
        self.held.set()
        self.arrived = asyncio.Event()
        self.refuses = False
        self.away = False

    async def workers(self) -> tuple[WorkerView, ...]:
        if self.away:
            raise Unavailable("nobody answers")
        return tuple(
            WorkerView(
                id=one, name=one, state=state, connected=one not in self.gone, slots=2, role=self.roles[one]
            )
            for one, state in self.states.items()
        )

    async def drain_worker(self, worker: str, deadline_s: float | None = None) -> None:
        assert deadline_s is not None
        await self._set(worker, "draining")

    async def resume_worker(self, worker: str) -> None:
        await self._set(worker, "active")

    async def metrics(self) -> bytes:
        self.asked.append("metrics")
        if self.refuses:
            raise Refused("no")
        if self.away:
            raise Unavailable("nobody answers")
        return METRICS

    async def _set(self, worker: str, state: str) -> None:
        if self.refuses:
            raise Refused("your role is submitter")
        if self.away:
            raise Unavailable("nobody answers")
        if worker not in self.states:
            raise NotFound("no such worker")
        self.asked.append(f"{worker} {state}")
        self.states[worker] = state
        self.arrived.set()
        # Cancelled here, the request was carried out, and nobody heard.
        await self.held.wait()

    @property
    def active(self) -> list[str]:
        return [worker for worker, state in self.states.items() if state == "active"]


async def fleet_of(plane: Plane) -> RunningFleet:
    return await RunningFleet.of(cast("ApiClient", plane), API)


def plane_of(count: int) -> Plane:
    return Plane(["worker"] * count)


async def test_workers_are_drained_and_come_back() -> None:
    plane = plane_of(4)
    fleet = await fleet_of(plane)
    await fleet.scale(1)
    assert plane.active == ["id-1"]
    await fleet.scale(3)
    assert len(plane.active) == 3
    await fleet.scale(2)
    assert len(plane.active) == 2
    await fleet.close()
    assert len(plane.active) == 4


async def test_nothing_is_asked_if_there_are_so_many() -> None:
    plane = plane_of(2)
    fleet = await fleet_of(plane)
    await fleet.scale(2)
    await fleet.close()
    assert plane.asked == []


async def test_more_than_there_are_is_bad_input() -> None:
    plane = plane_of(2)
    plane.gone.add("id-2")
    fleet = await fleet_of(plane)
    with pytest.raises(BadInput, match="1 workers are connected and take jobs, and not 2"):
        await fleet.scale(2)


async def test_a_token_that_may_not_drain_is_told_what_it_needs() -> None:
    plane = plane_of(2)
    fleet = await fleet_of(plane)
    plane.refuses = True
    with pytest.raises(Refused, match=r"2 workers are connected, .*role operator"):
        await fleet.scale(1)
    await fleet.close()  # there is nothing to resume


async def test_what_others_drained_is_left_alone() -> None:
    plane = plane_of(3)
    plane.states["id-3"] = "draining"
    fleet = await fleet_of(plane)
    await fleet.scale(1)
    await fleet.close()
    assert plane.active == ["id-1", "id-2"]


async def test_an_engine_is_no_worker() -> None:
    plane = Plane(["engine", "follower", "follower"])
    fleet = await fleet_of(plane)
    await fleet.scale(1)
    assert plane.active == ["id-1", "id-2"]


async def test_interrupted_while_it_drains_all_is_resumed() -> None:
    plane = plane_of(3)
    fleet = await fleet_of(plane)
    plane.held.clear()
    scaling = asyncio.create_task(fleet.scale(1))
    await plane.arrived.wait()
    scaling.cancel()
    await asyncio.gather(scaling, return_exceptions=True)
    assert scaling.cancelled()
    assert len(plane.active) == 2
    plane.held.set()
    await fleet.close()
    assert len(plane.active) == 3


async def test_interrupted_while_it_resumes_all_is_resumed() -> None:
    plane = plane_of(3)
    fleet = await fleet_of(plane)
    await fleet.scale(1)
    plane.held.clear()
    plane.arrived.clear()
    closing = asyncio.create_task(fleet.close())
    await plane.arrived.wait()
    closing.cancel()
    plane.held.set()
    await asyncio.gather(closing, return_exceptions=True)
    assert closing.cancelled()
    assert len(plane.active) == 3


async def test_what_could_not_be_resumed_is_named() -> None:
    plane = plane_of(2)
    fleet = await fleet_of(plane)
    await fleet.scale(1)
    plane.away = True
    with pytest.raises(Unavailable, match=r"run mvm-ci worker resume id-2 \(nobody answers\)"):
        await fleet.close()


async def test_a_drained_worker_that_was_forgotten_is_no_matter() -> None:
    plane = plane_of(2)
    fleet = await fleet_of(plane)
    await fleet.scale(1)
    del plane.states["id-2"]
    await fleet.close()


@pytest.mark.parametrize(
    ("roles", "option"),
    [(["worker", "worker"], 1), (["engine", "follower"], None), (["worker", "follower"], None)],
)
async def test_the_option_is_told_by_the_roles(roles: list[str], option: int | None) -> None:
    fleet = await fleet_of(Plane(roles))
    assert (fleet.option, fleet.slots, fleet.simulated, fleet.api) == (option, 2, False, API)


async def test_samples_are_the_control_plane_s_metrics() -> None:
    fleet = await fleet_of(plane_of(1))
    expected = Sample(part="control-plane", processes=1, cpu_s=12.5, memory_mb=100.0, files=30)
    assert await fleet.samples() == (expected,)


async def test_a_token_that_may_not_see_metrics_is_asked_once() -> None:
    plane = plane_of(1)
    fleet = await fleet_of(plane)
    plane.refuses = True
    assert [await fleet.samples() for _ in range(3)] == [(), (), ()]
    assert plane.asked == ["metrics"]


async def test_one_look_that_fails_is_no_matter() -> None:
    plane = plane_of(1)
    fleet = await fleet_of(plane)
    plane.away = True
    assert await fleet.samples() == ()
    plane.away = False
    assert len(await fleet.samples()) == 1


async def test_of_all_metrics_only_those_of_the_process_are_read() -> None:
    fleet = await fleet_of(plane_of(1))
    with mock.patch(f"{__name__}.METRICS", b'mvm_ci_jobs{state="\xff} is no metric\n' + METRICS):
        assert [one.cpu_s for one in await fleet.samples()] == [12.5]


async def test_workers_that_went_or_came_since_are_told() -> None:
    plane = plane_of(4)
    fleet = await fleet_of(plane)
    await fleet.scale(3)
    assert await fleet.changed() == ""
    plane.gone.add("id-1")
    assert await fleet.changed() == "2 workers took jobs at the end of a load for 3"
    plane.gone.clear()
    plane.states["id-5"] = "active"
    plane.roles["id-5"] = "worker"
    assert await fleet.changed() == "4 workers took jobs at the end of a load for 3"
    plane.away = True
    assert await fleet.changed() == ""


async def test_without_a_command_nothing_can_be_killed() -> None:
    fleet = await fleet_of(plane_of(1))
    with pytest.raises(Unavailable, match="--kill"):
        await fleet.kill()


async def test_a_command_that_fails_is_told() -> None:
    plane = plane_of(1)
    fleet = await RunningFleet.of(cast("ApiClient", plane), API, "echo $MVM_CI_WORKER_ID; exit 3")
    with pytest.raises(Unavailable, match="kills id-1 ended with 3, and said: id-1"):
        await fleet.kill()
