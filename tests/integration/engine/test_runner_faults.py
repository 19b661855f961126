"""Runners that die, disobey or outlive their pool: real processes, real signals."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed, Failed, FailureKind, Released, Stopped
from mvm_ci.domain.segment import Append
from mvm_ci.engine import crew
from mvm_ci.engine.messages import FromRunner, Here
from mvm_ci.engine.pool import EnginePool
from mvm_ci.engine.runner_process import RunnerProcess
from mvm_ci.engine.settings import PoolSettings
from mvm_ci.journal.entries import Slept
from tests.integration.engine.fake_guests import script
from tests.integration.engine.fakes import (
    ROOT,
    Artifacts,
    Clock,
    Events,
    Http,
    Journal,
    Lease,
    Payloads,
    Plane,
    World,
    running,
)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as world:
        yield world


def result(outcome: object) -> object:
    assert isinstance(outcome, Completed), outcome
    assert isinstance(outcome.result, bytes)
    return json.loads(outcome.result)


def kill_runner(world: World) -> None:
    os.kill(world.pool.runner_pids[0], signal.SIGKILL)


async def wait_for(event: asyncio.Event) -> None:
    async with asyncio.timeout(30):
        await event.wait()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def gone(pid: int) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 30)[0])
    finally:
        os.close(descriptor)


# ---------------------------------------------------------------- standing still


async def test_a_runner_that_stands_still_loses_what_it_runs_to_another(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "HANG_S", 1.0)
    monkeypatch.setattr(crew, "ASK_S", 0.2)
    world.http.open.clear()
    world.place(1, script(["http", "GET", "http://a/"], ["echo", 1]))
    await wait_for(world.http.asked)
    stopped = world.pool.runner_pids[0]
    os.kill(stopped, signal.SIGSTOP)
    world.http.open.set()
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [[200, 2], 1]
    assert gone(stopped)


async def test_a_runner_whose_guest_computes_says_that_it_is_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "ASK_S", 0.0)
    world.place(1, script(["spin"]))
    process = world.pool._crew.seats[0].process
    assert process is not None
    heard = asyncio.Event()
    inside = process._on_messages

    def on_messages(process: RunnerProcess, messages: list[FromRunner]) -> None:
        if any(isinstance(message, Here) for message in messages):
            heard.set()
        inside(process, messages)

    process._on_messages = on_messages
    await wait_for(heard)
    world.pool.stop(Placed(JobId(1), 1))
    assert await world.events.wait_ended(1) == [Stopped()]


# ---------------------------------------------------------------- killed in each phase


async def test_killed_while_idle(world: World) -> None:
    kill_runner(world)
    world.place(1, script(["echo", 1]))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [1]


async def test_killed_while_a_guest_computes(world: World, tmp_path: Path) -> None:
    world.place(1, script(["http", "POST", "http://a/"], ["die", str(tmp_path / "deaths"), 2], ["echo", 1]))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [[200, 2], "alive", 1]
    assert len(world.http.requests) == 1


async def test_killed_while_a_request_that_may_be_repeated_is_under_way(world: World) -> None:
    world.http.open.clear()
    world.place(1, script(["http", "GET", "http://a/"]))
    await wait_for(world.http.asked)
    kill_runner(world)
    world.http.open.set()
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [[200, 2]]
    assert len(set(world.http.keys)) == 1


async def test_killed_while_a_request_that_must_not_be_repeated_is_under_way(world: World) -> None:
    world.http.open.clear()
    world.place(1, script(["http", "POST", "http://a/"], ["http", "POST", "http://b/"]))
    await wait_for(world.http.asked)
    kill_runner(world)
    await wait_for(world.http.cut_off)
    world.http.open.set()
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == ["interrupted", [200, 2]]
    assert [request.url for request in world.http.requests] == ["http://a/", "http://b/"]


async def test_killed_while_it_waits_for_its_journal(world: World) -> None:
    world.journal.open.clear()
    world.place(1, script(["log", "once"], ["http", "POST", "http://a/"]))
    await wait_for(world.journal.asked)
    kill_runner(world)
    world.journal.open.set()
    [outcome] = await world.events.wait_ended(1)
    # The intent may have become durable: then nobody knows whether the request was sent, and it is not sent
    # again.
    assert result(outcome) in ([None, "interrupted"], [None, [200, 2]])
    assert len(world.http.requests) <= 1


async def test_killed_while_it_sleeps(world: World) -> None:
    world.place(1, script(["http", "POST", "http://a/"], ["sleep", 300], ["echo", 1]))
    async with asyncio.timeout(30):
        await world.journal.wait_for(1, Slept)
    kill_runner(world)
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [[200, 2], None, 1]
    assert len(world.http.requests) == 1


async def test_a_guest_that_kills_its_runner_every_time_fails(world: World, tmp_path: Path) -> None:
    deaths = tmp_path / "deaths"
    world.place(1, script(["die", str(deaths)]))
    world.place(2, script(["echo", 2]))
    first, second = await world.events.wait_ended(1, 2)
    assert isinstance(first, Failed)
    assert first.failure.kind is FailureKind.ENGINE
    assert "SIGKILL" in first.failure.message
    assert deaths.read_text() == "xxxx"
    assert result(second) == [2]


async def test_others_of_the_same_hand_over_are_run_again(world: World, tmp_path: Path) -> None:
    for job in range(1, 6):
        world.place(job, script(["echo", job]))
    await world.events.wait_ended(*range(1, 6))
    world.pool.place(
        [world.placement(job, script(["die", str(tmp_path / "deaths"), 1] if job == 15 else ["echo", job]))
         for job in range(10, 40)]
    )  # fmt: skip
    outcomes = await world.events.wait_ended(*range(10, 40))
    assert [result(outcome) for outcome in outcomes] == [
        ["alive"] if job == 15 else [job] for job in range(10, 40)
    ]


async def test_a_guest_that_kills_its_runner_takes_no_neighbour_with_it(world: World, tmp_path: Path) -> None:
    deaths = tmp_path / "deaths"
    neighbours = range(1, 41)
    world.http.open.clear()
    world.pool.place([world.placement(job, script(["http", "GET", f"http://a/{job}"])) for job in neighbours])
    while len(world.http.requests) < len(neighbours):
        await world.events.changed()
    # All are with the one runner, and wait: it dies under all of them.
    world.place(99, script(["die", str(deaths)]))
    [poison] = await world.events.wait_ended(99)
    assert isinstance(poison, Failed)
    assert "SIGKILL" in poison.failure.message
    # Once with all others; then the one that computed has a runner to itself, until it is sure.
    assert len(deaths.read_text()) == 1 + 4
    world.http.open.set()
    assert [result(outcome) for outcome in await world.events.wait_ended(*neighbours)] == [[[200, 2]]] * 40


async def test_a_guest_that_waits_for_a_store_that_is_away_can_be_ended_beside_others(world: World) -> None:
    before = world.pool.runner_pids
    world.http.open.clear()
    world.place(1, script(["http", "GET", "http://a/"]))
    await wait_for(world.http.asked)
    world.payloads.unavailable = 1 << 30
    world.place(2, script(["big", 9000]), timeout_ms=100)
    [outcome] = await world.events.wait_ended(2)
    assert isinstance(outcome, Failed)
    assert outcome.failure.kind is FailureKind.TIME
    world.http.open.set()
    world.payloads.unavailable = 0
    await world.events.wait_ended(1)
    assert world.pool.runner_pids == before


async def test_a_runner_killed_for_one_guest_casts_no_doubt_on_the_others(world: World) -> None:
    world.http.open.clear()
    world.pool.place([world.placement(job, script(["http", "GET", "http://a/"])) for job in range(1, 4)])
    while len(world.http.requests) < 3:
        await world.events.changed()
    placed = world.place(99, script(["disobey"]))
    await world.events.wait_started(99)
    neighbours = list(world.pool._lives.values())[:3]
    world.pool.stop(placed)
    assert await world.events.wait_ended(99) == [Stopped()]
    assert [live.doubts for live in neighbours] == [(), (), ()]
    world.http.open.set()
    assert [result(outcome) for outcome in await world.events.wait_ended(1, 2, 3)] == [[[200, 2]]] * 3


# ---------------------------------------------------------------- guests that do not obey


async def test_a_runner_that_does_not_obey_is_killed(world: World) -> None:
    before = world.pool.runner_pids
    placed = world.place(1, script(["disobey"]))
    await world.events.wait_started(1)
    world.pool.stop(placed)
    assert await world.events.wait_ended(1) == [Stopped()]
    world.place(2, script(["echo", 2]))
    await world.events.wait_ended(2)
    assert world.pool.runner_pids != before
    assert all(gone(pid) for pid in before)


async def test_others_of_a_hand_over_do_not_wait_for_a_guest_that_computes(world: World) -> None:
    # The module is known to be quick, so many are handed over at once; then one of them is not.
    for job in range(1, 6):
        world.place(job, script(["echo", job]))
    await world.events.wait_ended(*range(1, 6))
    world.pool.place(
        [world.placement(job, script(["spin"] if job == 10 else ["echo", job])) for job in range(10, 70)]
    )
    outcomes = await world.events.wait_ended(*range(11, 70))
    assert [result(outcome) for outcome in outcomes] == [[job] for job in range(11, 70)]
    world.pool.stop(Placed(JobId(10), 1))
    assert await world.events.wait_ended(10) == [Stopped()]


async def test_what_waits_for_a_slot_can_be_stopped_and_released(world: World) -> None:
    world.place(10, script(["spin"]))
    await world.events.wait_started(10)
    world.pool.place([world.placement(job, script(["echo", job])) for job in range(11, 20)])
    world.pool.stop(Placed(JobId(15), 1))
    assert await world.events.wait_ended(15) == [Stopped()]
    world.pool.release_waiting()
    rest = [job for job in range(11, 20) if job != 15]
    assert await world.events.wait_ended(*rest) == [Released()] * len(rest)
    assert Placed(JobId(10), 1) not in world.events.ends


async def test_an_error_in_the_execution_costs_one_job(world: World) -> None:
    world.place(1, script(["bug"]))
    world.place(2, script(["echo", 2]))
    first, second = await world.events.wait_ended(1, 2)
    assert isinstance(first, Failed)
    assert first.failure.kind is FailureKind.ENGINE
    assert result(second) == [2]


# ---------------------------------------------------------------- the journal says no


@pytest.mark.parametrize("answer", [Append.STALE, Append.GAP])
async def test_a_refused_journal_drops_the_guest(world: World, answer: Append) -> None:
    world.journal.refuse = answer
    world.place(1, script(["http", "POST", "http://a/"]))
    world.place(2, script(["echo", 2]))
    await world.events.wait_ended(2)
    assert set(world.events.ends) == {Placed(JobId(2), 1)}
    assert world.http.requests == []


async def test_a_broken_journal_gives_the_job_back(world: World) -> None:
    world.journal.broken = True
    world.place(1, script(["http", "POST", "http://a/"]))
    assert await world.events.wait_ended(1) == [Released()]
    assert world.tail(1) is None
    assert world.http.requests == []


async def test_draining_does_not_wait_for_a_journal_that_is_away(world: World) -> None:
    world.journal.open.clear()
    world.place(1, script(["http", "POST", "http://a/"]))
    await wait_for(world.journal.asked)
    await world.pool.drain(0)
    assert await world.events.wait_ended(1) == [Released()]
    assert world.tail(1) is None


# ---------------------------------------------------------------- nothing is left behind


async def test_closing_leaves_nothing_behind(tmp_path: Path) -> None:
    descriptors = open_descriptors()
    world = World(tmp_path, slots=2)
    await world.pool.start()
    pids = world.pool.runner_pids
    assert len(pids) == 2
    world.http.open.clear()
    world.place(1, script(["spin"]))
    world.place(2, script(["http", "GET", "http://a/"]))
    world.place(3, script(["echo", 3]))
    await wait_for(world.http.asked)
    await world.pool.close()
    await world.pool.close()
    assert all(gone(pid) for pid in pids)
    assert world.events.ends == {}
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    await asyncio.sleep(0)
    assert open_descriptors() <= descriptors + 3  # the loop's own pipes may have come


async def test_runners_that_cannot_start_are_reported(tmp_path: Path) -> None:
    pool = EnginePool(
        PoolSettings(worker="w", directory=tmp_path, slots=1, runtime="no.such.module:thing"),
        journal=Journal(),
        plane=Plane(Journal()),
        lease=Lease(),
        payloads=Payloads(tmp_path),
        artifacts=Artifacts(tmp_path),
        http=Http(),
        events=Events(),
        clock=Clock(),
    )
    with pytest.raises(Unavailable):
        await pool.start()
    assert pool.runner_pids == []


PARENT = """
import asyncio, sys
from pathlib import Path
from tests.integration.engine.fakes import World
from tests.integration.engine.fake_guests import script

async def main():
    world = World(Path(sys.argv[1]), slots=2)
    await world.pool.start()
    world.place(1, script(["log", "x"], ["spin"]))
    await world.events.wait_started(1)
    print(*world.pool.runner_pids, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_runners_die_with_their_pool(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        pids = [int(word) for word in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)
