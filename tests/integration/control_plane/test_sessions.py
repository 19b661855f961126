"""Who may hold jobs: hello, reconnect, takeover, loss, restart, drain, revoke."""

import asyncio

import httpx
import pytest

from mvm_ci.domain.ids import Incarnation
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed
from mvm_ci.domain.tokens import TokenKind, format_token
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import JOIN, Stand, submit
from tests.integration.control_plane.scripted_worker import FIRST, SECOND, ScriptedWorker

THIRD = Incarnation("3" * 32)

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)


async def refused(worker: ScriptedWorker, **hello: object) -> m.Refused:
    answer = await worker.say_hello(**hello)
    assert isinstance(answer, m.Refused)
    assert (await worker.closed())[0] == m.CLOSE_REFUSED
    return answer


async def holding(
    stand: Stand, api: httpx.AsyncClient
) -> tuple[ScriptedWorker, m.Welcome, m.Assignment, str]:
    """A worker that runs one job."""
    worker = await stand.worker()
    welcome = await worker.welcome(credit=1)
    await worker.beat()
    (job,) = await submit(api)
    (item,) = await worker.assigned()
    await worker.send(m.Started((item.placed,)))
    await becomes(api, job["id"], "in_progress", 0)
    return worker, welcome, item, job["id"]


async def becomes(api: httpx.AsyncClient, job: str, state: str, losses: int) -> None:
    """Waits until the job is so, durably."""
    async with asyncio.timeout(10):
        seen: tuple[str, int] | None = None
        while seen != (state, losses):
            view = (await api.get(f"/v1/jobs/{job}")).json()
            seen = (view["state"], view.get("losses", 0))


async def test_a_worker_joins_once_and_is_its_key_from_then_on(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await stand.worker()
    welcome = await worker.welcome()
    assert (welcome.lease_ms, welcome.heartbeat_ms, welcome.keep) == (15_000, 5_000, ())
    await worker.send(m.Goodbye())
    assert (await worker.closed())[0] == m.CLOSE_DONE
    again = await worker.welcome(join_token=None, incarnation=SECOND)
    assert again.session > welcome.session
    (token,) = (await api.get("/v1/join-tokens")).json()["tokens"]
    assert (token["uses_left"], "token" in token) == (9_999, False)


@pytest.mark.parametrize("token", [None, "mvm_join_short", format_token(TokenKind.JOIN, b"x" * 32)])
async def test_a_stranger_is_refused_for_good(stand: Stand, token: str | None) -> None:
    answer = await refused(await stand.worker(), join_token=token)
    assert (answer.code, answer.final) == (m.REFUSED_JOIN, True)


async def test_a_join_token_runs_out(stand: Stand, api: httpx.AsyncClient) -> None:
    created = (await api.post("/v1/join-tokens", json={"uses": 1, "ttl_s": 60})).json()
    await (await stand.worker(join_token=created["token"])).welcome()
    used_up = await refused(await stand.worker(join_token=created["token"]))
    assert "used up" in used_up.message
    fresh = (await api.post("/v1/join-tokens", json={"uses": 1, "ttl_s": 1})).json()
    await stand.clock.advance(1_000)
    expired = await refused(await stand.worker(join_token=fresh["token"]))
    assert ("expired" in expired.message, expired.final) == (True, True)


@pytest.mark.parametrize("change", [{"oldest": 4, "newest": 5}, {"journal_format": 99}])
async def test_another_version_is_refused_for_good(stand: Stand, change: dict[str, int]) -> None:
    answer = await refused(await stand.worker(), **change)
    assert (answer.code, answer.final) == (m.REFUSED_VERSION, True)


async def test_the_same_process_connects_anew_and_keeps_what_both_know(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, welcome, item, job = await holding(stand, api)
    old = worker.connection
    await worker.send(m.Credit(1))
    await worker.beat()
    (lost,) = await submit(api)
    (unknown,) = await worker.assigned()
    again = await worker.welcome(running=(item.placed, Placed(item.placed.job, 9)))
    assert (again.session, again.keep) == (welcome.session, (item.placed,))
    await becomes(api, job, "in_progress", 0)
    await becomes(api, lost["id"], "pending", 0)
    assert old.closed_by_peer() == (m.CLOSE_REPLACED, "the same worker has a newer connection")
    await worker.send(m.Credit(1))
    (next_one,) = await worker.assigned()
    assert next_one.placed == Placed(unknown.placed.job, 2)
    await worker.end(item)
    await becomes(api, job, "completed", 0)


async def test_a_cancellation_reaches_a_worker_that_was_away(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, _, item, job = await holding(stand, api)
    worker.connection.cut()  # type: ignore[attr-defined] # a fault of the network in memory
    await settle()
    assert (await api.post(f"/v1/jobs/{job}/cancel")).json()["cancelled"] == "stopping"
    await worker.welcome(running=(item.placed,))
    assert (await worker.next(m.Stop)).placements == (item.placed,)


async def test_a_restarted_worker_takes_over_when_its_old_process_is_silent(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, welcome, _, job = await holding(stand, api)
    # Half open: the control plane still believes in the connection, but nobody answers there.
    worker.connection.other.lose_peer()  # type: ignore[attr-defined]
    asking = asyncio.create_task(worker.welcome(incarnation=SECOND, previous=FIRST))
    await stand.clock.until_sleeping(2)
    while not asking.done():
        await stand.clock.advance(100)
    assert (await asking).session > welcome.session
    await becomes(api, job, "pending", 1)


async def test_a_restarted_worker_that_knows_its_old_process_to_be_dead_takes_over_without_a_wait(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, welcome, _, job = await holding(stand, api)
    # The control plane still believes in the connection.
    worker.connection.other.lose_peer()  # type: ignore[attr-defined]
    taken = await worker.welcome(incarnation=SECOND, previous=FIRST, previous_over=True)
    assert taken.session > welcome.session
    await becomes(api, job, "pending", 1)


async def test_a_restarted_worker_takes_over_at_once_when_nobody_is_connected(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, welcome, _, job = await holding(stand, api)
    worker.connection.cut()  # type: ignore[attr-defined]
    await settle()
    assert (await worker.welcome(incarnation=SECOND, previous=FIRST)).session > welcome.session
    await becomes(api, job, "pending", 1)


async def test_a_second_process_is_refused_while_the_first_answers(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, _, item, job = await holding(stand, api)
    twin = ScriptedWorker(worker.endpoint, stand.endpoint.ticket())

    async def answer() -> None:
        await worker.send(m.Pong((await worker.next(m.Ping)).number))

    refusal, _ = await asyncio.gather(refused(twin, incarnation=SECOND, previous=FIRST), answer())
    assert (refusal.code, refusal.final) == (m.REFUSED_KEY_IN_USE, False)
    await worker.end(item)
    await becomes(api, job, "completed", 0)


@pytest.mark.parametrize("previous", [None, THIRD])
async def test_a_second_process_that_proves_nothing_waits_for_the_end_of_the_lease(
    stand: Stand, api: httpx.AsyncClient, previous: Incarnation | None
) -> None:
    worker, _, _, job = await holding(stand, api)
    worker.connection.cut()  # type: ignore[attr-defined]
    twin = ScriptedWorker(worker.endpoint, stand.endpoint.ticket())
    refusal = await refused(twin, incarnation=SECOND, previous=previous)
    assert (refusal.code, refusal.final) == (m.REFUSED_KEY_IN_USE, False)
    await stand.clock.advance(15_000)
    await becomes(api, job, "pending", 1)
    await twin.welcome(incarnation=SECOND, previous=previous)


async def test_a_silent_worker_loses_its_session_and_its_jobs_go_on_elsewhere(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, _, item, job = await holding(stand, api)
    other = await stand.worker()
    await other.welcome(credit=1)
    await stand.clock.advance(5_000)
    await other.beat()
    await stand.clock.advance(10_000)
    assert await worker.closed() == (m.CLOSE_SILENT, "the lease has run out")
    (again,) = await other.assigned()
    assert again.placed == Placed(item.placed.job, 2)
    views = {view["id"]: view for view in (await api.get("/v1/workers")).json()["workers"]}
    assert views[worker.endpoint.id]["connected"] is False
    assert views[other.endpoint.id]["connected"] is True
    # The late comer's report is about a placement that is over.
    await worker.welcome(running=(item.placed,))
    await worker.end(item)
    await other.end(again, outcome=Completed(b"2"))
    assert (await api.get(f"/v1/jobs/{job}")).json()["result"] == 2
    assert (await api.get("/v1/status")).json()["stale_refused"] == 1


async def test_a_job_that_loses_its_worker_too_often_is_dead(stand: Stand) -> None:
    await stand.stop()
    await stand.start(max_losses=1)
    async with stand.client() as api:
        worker, _, _, job = await holding(stand, api)
        await stand.clock.advance(15_000)
        await worker.welcome(credit=1)
        (item,) = await worker.assigned()
        await worker.send(m.Started((item.placed,)))
        await worker.beat()
        waiting = asyncio.create_task(api.get(f"/v1/jobs/{job}/wait"))
        while not len(stand.plane.services.waiters):
            await settle()
        await stand.clock.advance(15_000)
        assert (await waiting).json()["state"] == "dead"


async def test_a_restart_of_the_control_plane_stops_nobody(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, welcome, item, job = await holding(stand, api)
    await stand.stop()
    stand.clock.jump(3_600_000)
    await stand.start()
    async with stand.client() as anew:
        await stand.clock.advance(14_999)
        await becomes(anew, job, "in_progress", 0)
        again = await worker.welcome(running=(item.placed,))
        assert (again.session, again.keep) == (welcome.session, (item.placed,))
        await worker.end(item)
        await becomes(anew, job, "completed", 0)


async def test_who_does_not_come_back_after_a_restart_is_lost_after_one_lease(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    _, _, _, job = await holding(stand, api)
    await stand.stop()
    await stand.start()
    async with stand.client() as anew:
        await stand.clock.advance(15_000)
        await becomes(anew, job, "pending", 1)
        assert (await anew.get("/v1/workers")).json()["workers"][0]["connected"] is False


async def test_a_control_plane_that_stood_still_blames_nobody(stand: Stand, api: httpx.AsyncClient) -> None:
    _, _, _, job = await holding(stand, api)
    stand.clock.jump(60_000)
    await stand.clock.advance(0)
    await becomes(api, job, "in_progress", 0)
    await stand.clock.advance(15_000)
    await becomes(api, job, "pending", 1)


async def test_a_drain_lasts_until_it_is_ended(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await stand.worker()
    await worker.welcome(credit=1)
    view = (await api.post(f"/v1/workers/{worker.endpoint.id}/drain")).json()
    assert (view["state"], view["connected"]) == ("draining", True)
    await worker.next(m.Drain)
    assert (await submit(api))[0]["state"] == "pending"
    await worker.welcome()
    await worker.next(m.Drain)
    await worker.send(m.Draining(), m.Goodbye())
    await worker.closed()
    await worker.welcome(incarnation=SECOND, previous=FIRST, credit=1)
    await worker.next(m.Drain)
    assert (await api.get("/v1/workers")).json()["workers"][0]["state"] == "draining"
    # The credit that it gave meanwhile counts from then on.
    view = (await api.post(f"/v1/workers/{worker.endpoint.id}/resume")).json()
    assert view["state"] == "active"
    await worker.assigned()


async def test_a_revoked_worker_is_out_at_once_and_for_good(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, _, _, job = await holding(stand, api)
    view = (await api.post(f"/v1/workers/{worker.endpoint.id}/revoke")).json()
    assert (view["state"], view["connected"]) == ("revoked", False)
    await becomes(api, job, "pending", 1)
    assert (await worker.next(m.Refused)).code == m.REFUSED_REVOKED
    assert (await worker.closed())[0] == m.CLOSE_REFUSED
    for token in (None, JOIN):
        answer = await refused(worker, join_token=token)
        assert (answer.code, answer.final) == (m.REFUSED_REVOKED, True)


async def test_a_goodbye_gives_jobs_back_without_a_loss_of_reports(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, _, item, job = await holding(stand, api)
    await worker.send(m.Ended((m.EndedItem(item.placed, Completed(b"1"), None),)), m.Goodbye())
    await worker.closed()
    await becomes(api, job, "completed", 0)
