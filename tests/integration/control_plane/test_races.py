"""What crosses on its way: times that pass, cancellations, connections that are replaced, parts that die."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from mvm_ci.control_plane.plane import PartFailed
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Job, Placed
from mvm_ci.domain.outcome import Failure, FailureKind, Parked, Suspended
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import split
from mvm_ci.journal.entries import ClockRead, Entry, Placement
from mvm_ci.ports.job_queue import Report
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import Stand, submit
from tests.integration.control_plane.scripted_worker import FIRST, SECOND, ScriptedWorker

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)


async def running(stand: Stand, api: httpx.AsyncClient) -> tuple[ScriptedWorker, m.Assignment, str]:
    """A worker that runs one job."""
    worker = await stand.worker()
    await worker.welcome(credit=1)
    await worker.beat()
    (job,) = await submit(api)
    (item,) = await worker.assigned()
    return worker, item, job["id"]


async def test_a_time_that_passes_while_the_report_is_written_wakes_the_job(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, item, _ = await running(stand, api)
    report = stand.queue.report

    def slow(reports: Sequence[Report], now_ms: int) -> Any:
        written = report(reports, now_ms)
        stand.clock.jump(2_000)
        return written

    monkeypatch.setattr(stand.queue, "report", slow)
    outcome = Suspended(stand.clock.now_ms() + 1_000)
    await worker.end(item, outcome=outcome, tail=Segment(0, 2, b"entries"), credit=1)
    (again,) = await worker.assigned()
    assert again.placed.epoch == 2


async def test_a_guest_that_sleeps_on_by_its_workers_clock_is_not_placed_at_once(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, job = await running(stand, api)
    wake = stand.clock.now_ms() - 10
    await worker.end(item, outcome=Suspended(wake), credit=1)
    view = (await api.get(f"/v1/jobs/{job}")).json()
    assert (view["state"], view["wake_ms"] > stand.clock.now_ms()) == ("suspended", True)
    await stand.clock.advance(1_000)
    (again,) = await worker.assigned()
    assert again.placed.epoch == 2


async def test_a_cancellation_during_a_reconnect_is_not_lost(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, item, job = await running(stand, api)
    worker.connection.cut()  # type: ignore[attr-defined] # a fault of the network in memory
    await settle()
    get, crossed = stand.queue.get, asyncio.Event()

    async def cancelled_meanwhile(jobs: Sequence[JobId]) -> list[Job | None]:
        found: list[Job | None] = await get(jobs)
        if not crossed.is_set():
            crossed.set()
            assert (await api.post(f"/v1/jobs/{job}/cancel")).json()["cancelled"] == "stopping"
        return found

    monkeypatch.setattr(stand.queue, "get", cancelled_meanwhile)
    await worker.welcome(running=(item.placed,))
    assert (await worker.next(m.Stop)).placements == (item.placed,)


async def test_a_goodbye_is_no_loss(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await stand.worker()
    await worker.welcome()
    with capture_logs() as logs:
        await worker.send(m.Draining(), m.Goodbye())
        assert (await worker.closed())[0] == m.CLOSE_DONE
        await stand.clock.advance(20_000)
    assert "session_lost" not in {entry["event"] for entry in logs}


async def test_what_is_said_on_a_replaced_connection_gives_no_credit(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await stand.worker()
    await worker.welcome()
    session = stand.plane.sessions.of_worker(worker.endpoint.id)
    assert session is not None
    old: Any = session.link
    await worker.welcome()
    assert session.link is not old
    # What the old connection's reader still had in hand; there is no way to hold it back from outside.
    old._control(session, m.Credit(5))
    old._control(session, m.Draining())
    assert (await submit(api))[0]["state"] == "pending"
    await worker.send(m.Credit(1))
    await worker.assigned()


async def test_a_follower_of_a_paused_job_is_not_kept_waiting(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api)
    following = asyncio.create_task(api.get(f"/v1/jobs/{job}/logs", params={"follow": 1}))
    while not len(stand.plane.services.waiters):
        await settle()
    await worker.end(item, outcome=Parked(Failure(kind=FailureKind.NONDETERMINISM, message="differs")))
    async with asyncio.timeout(10):
        assert (await following).text.strip() == ""


@pytest.mark.parametrize(("first", "limit"), [(0, 10), (0, 1), (1, 10), (2, 1)])
async def test_the_first_entry_belongs_to_the_first_placement(
    stand: Stand, api: httpx.AsyncClient, first: int, limit: int
) -> None:
    worker, item, job = await running(stand, api)
    read = ClockRead(wall=True, value_ns=1)
    entries: list[Entry] = [read, Placement(1, "here", 0), read, Placement(2, "there", 0), read]
    (segment,) = split(entries, 0)
    await worker.append(item.placed, segment)
    answer = await api.get(f"/v1/jobs/{job}/journal", params={"from": first, "limit": limit})
    found = [json.loads(line) for line in answer.text.splitlines()]
    shown = [(entry["index"], entry["place"], entry["epoch"]) for entry in found]
    every = [(0, "here", 1), (1, "here", 1), (2, "here", 1), (3, "there", 2), (4, "there", 2)]
    assert shown == every[first : first + limit]


async def test_a_part_that_dies_is_told_to_whoever_runs_the_control_plane(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stand.stop()

    def broken() -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(stand.queue, "next_wake", broken)
        with capture_logs() as logs:
            await stand.start()
            with pytest.raises(PartFailed, match="waker failed: RuntimeError: a bug"):
                await stand.plane.failed()
        assert "control_plane_part_failed" in {entry["event"] for entry in logs}
    await stand.stop()
    await stand.start()


async def test_jobs_given_back_by_a_goodbye_go_to_whoever_has_credit(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, item, _ = await running(stand, api)
    other = await stand.worker()
    await other.welcome(credit=1)
    await other.beat()
    rescue, hung_up = stand.queue.rescue, asyncio.Event()

    async def slow(*args: Any) -> Any:
        rescued = await rescue(*args)
        await hung_up.wait()
        return rescued

    monkeypatch.setattr(stand.queue, "rescue", slow)
    await worker.send(m.Goodbye())
    # The control plane hangs up before it knows that the jobs are given back.
    await worker.closed()
    await settle()
    hung_up.set()
    (again,) = await other.assigned()
    assert again.placed == Placed(item.placed.job, 2)


async def test_jobs_are_given_back_even_if_the_newcomer_leaves_meanwhile(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, item, _ = await running(stand, api)
    worker.connection.cut()  # type: ignore[attr-defined]
    other = await stand.worker()
    await other.welcome(credit=1)
    await other.beat()
    rescue, asked, left = stand.queue.rescue, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any) -> Any:
        rescued = await rescue(*args)
        asked.set()
        await left.wait()
        return rescued

    monkeypatch.setattr(stand.queue, "rescue", slow)
    await worker.dial()
    await worker.send(replace(worker.hello, incarnation=SECOND, previous=FIRST))
    await asked.wait()
    worker.connection.cut()  # type: ignore[attr-defined]
    await settle()
    left.set()
    (again,) = await other.assigned()
    assert again.placed == Placed(item.placed.job, 2)


async def test_what_became_durable_is_told_of_whatever_failed_beside_it(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, item, _ = await running(stand, api)
    other = await stand.worker()
    await other.welcome(credit=1)
    await other.beat()

    async def full(*_: object) -> list[bool]:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(stand.queue, "start", full)
    outcome = Suspended(stand.clock.now_ms() + 5_000)
    end = m.EndedItem(item.placed, outcome, Segment(0, 2, b"entries"))
    await worker.send(m.Started((item.placed,)), m.Ended((end,)))
    assert (await worker.closed())[0] == m.CLOSE_DONE
    # The worker does not come back to repeat it.
    await stand.clock.advance(5_000)
    (again,) = await other.assigned()
    assert again.placed == Placed(item.placed.job, 2)
