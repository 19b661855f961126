"""Engines elsewhere, as the control plane sees them: a worker holds the placement, an engine gets the job."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import pytest
from msgspec.structs import replace

from mvm_ci.domain.grant import Grant, PeerRole, seal
from mvm_ci.domain.ids import Incarnation, JobId, SessionId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Released
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.lifecycle.sessions import PROBE_MS
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import Stand, submit
from tests.integration.control_plane.scripted_worker import FIRST, SECOND, ScriptedWorker
from tests.integration.control_plane.test_fleet import becomes, job_of

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)

BEAT_MS, LEASE_MS = 5_000, 15_000
SEGMENT = Segment(first=0, count=1, data=b"entry")
T = TypeVar("T")


async def peer(stand: Stand, role: PeerRole, incarnation: str = FIRST) -> ScriptedWorker:
    """One of a role, not connected yet."""
    made = await stand.worker()
    made.hello = replace(made.hello, role=role, incarnation=Incarnation(incarnation), name=role.value)
    return made


class Pair:
    """A follower and an engine that are connected."""

    def __init__(self, stand: Stand, follower: ScriptedWorker, engine: ScriptedWorker) -> None:
        self.stand = stand
        self.follower = follower
        self.engine = engine

    async def granted(self, count: int = 1) -> tuple[Grant, ...]:
        """Grants for so many jobs."""
        grants: tuple[Grant, ...] = ()
        while len(grants) < count:
            grants += (await self.follower.next(m.Granted)).grants
        return grants

    async def redeem(self, *grants: Grant) -> list[m.Assignment]:
        """What the engine gets for them."""
        await self.engine.send(m.Redeem(grants))
        return await self.engine.assigned(len(grants))

    async def running(self, api: httpx.AsyncClient, **fields: Any) -> tuple[Grant, str]:
        """A job that runs at the engine."""
        await self.follower.send(m.Credit(1))
        await self.follower.beat()
        (job,) = await submit(api, **fields)
        (grant,) = await self.granted()
        await self.redeem(grant)
        await self.follower.send(m.Started((grant.placed,)))
        await becomes(api, job["id"], "in_progress")
        return grant, job["id"]

    async def pass_time(self, ms: int, *who: ScriptedWorker) -> None:
        """Time passes, in which these renew their leases."""
        for _ in range(0, ms, BEAT_MS):
            await self.stand.clock.advance(BEAT_MS)
            for one in who:
                await one.beat()


@pytest.fixture
async def pair(stand: Stand) -> Pair:
    made = Pair(stand, await peer(stand, PeerRole.FOLLOWER), await peer(stand, PeerRole.ENGINE))
    await made.follower.welcome()
    await made.engine.welcome()
    return made


def forged(placed: Placed, session: int = 1) -> Grant:
    return seal(b"another key", placed, SessionId(session))


class Held:
    """Calls of one method of a store that wait until they may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, store: Any, name: str) -> None:
        self.under_way = asyncio.Event()
        self.go_on = asyncio.Event()
        self._original: Callable[..., Awaitable[Any]] = getattr(store, name)
        monkeypatch.setattr(store, name, self._call)

    async def _call(self, *args: Any) -> Any:
        # Read first: what is answered later is what was so before.
        answer = await self._original(*args)
        self.under_way.set()
        await self.go_on.wait()
        return answer


# -------------------------------------------------------------------- what an engine gets


async def test_a_follower_holds_the_job_and_an_engine_gets_it(pair: Pair, api: httpx.AsyncClient) -> None:
    await pair.follower.send(m.Credit(1))
    await pair.follower.beat()
    (job,) = await submit(api)
    (grant,) = await pair.granted()
    (item,) = await pair.redeem(grant)
    assert (item.placed, item.attempt, item.spec.input) == (grant.placed, 1, b'{"n":0}')
    await pair.follower.send(m.Started((grant.placed,)))
    await becomes(api, job["id"], "in_progress")
    assert (await pair.engine.append(grant.placed, SEGMENT)).results == (Append.DONE,)
    await pair.follower.end(item)
    await becomes(api, job["id"], "completed")
    assert (await pair.engine.next(m.Drop)).placements == (grant.placed,)
    assert not pair.follower.received


async def test_one_that_waited_and_one_that_goes_on(pair: Pair, api: httpx.AsyncClient) -> None:
    await submit(api)
    await pair.follower.send(m.Credit(1))
    (grant,) = await pair.granted()
    (item,) = await pair.redeem(grant)
    assert (item.journal, item.entries) == ((), 0)
    await pair.engine.append(grant.placed, SEGMENT)
    await pair.follower.end(item, outcome=Released(), credit=1)
    (again,) = await pair.granted()
    assert again.placed == Placed(grant.placed.job, 2)
    (item,) = await pair.redeem(again)
    assert (item.journal, item.entries, item.attempt) == ((SEGMENT,), 1, 1)


async def test_one_that_is_not_durable_yet(
    stand: Stand, pair: Pair, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.follower.send(m.Credit(1))
    await pair.follower.beat()
    held = Held(monkeypatch, stand.queue, "submit")
    submitting = asyncio.create_task(submit(api))
    (grant,) = await pair.granted()
    (item,) = await pair.redeem(grant)
    assert item.spec.input == b'{"n":0}'
    assert not submitting.done()
    held.go_on.set()
    await submitting


async def test_secrets_are_for_the_engine_alone(pair: Pair, api: httpx.AsyncClient) -> None:
    await api.put("/v1/secrets/TOKEN", json={"value": "hidden value", "modules": ["*"]})
    await submit(api, secrets=["TOKEN"])
    await pair.follower.send(m.Credit(1))
    granted = await pair.follower.next(m.Granted)
    assert b"hidden" not in b"".join(grant.seal for grant in granted.grants)
    (item,) = await pair.redeem(*granted.grants)
    assert [(one.name, one.value) for one in item.secrets] == [("TOKEN", "hidden value")]
    assert not pair.follower.received


async def test_many_at_once_are_answered_one_by_one(pair: Pair, api: httpx.AsyncClient) -> None:
    await pair.follower.send(m.Credit(3))
    await pair.follower.beat()
    await submit(api, 3)
    grants = await pair.granted(3)
    await pair.engine.send(m.Redeem((*grants[:2], forged(grants[2].placed))))
    assert {item.placed for item in await pair.engine.assigned(2)} == {one.placed for one in grants[:2]}
    assert (await pair.engine.next(m.Drop)).placements == (grants[2].placed,)
    # The forgery cost nobody anything.
    assert [item.placed for item in await pair.redeem(grants[2])] == [grants[2].placed]


async def refuses(pair: Pair, grant: Grant) -> None:
    await pair.engine.send(m.Redeem((grant,)))
    assert (await pair.engine.next(m.Drop)).placements == (grant.placed,)
    assert not [one for one in pair.engine.received if isinstance(one, m.Assign)]


async def test_grants_that_nobody_made_are_refused(pair: Pair, api: httpx.AsyncClient) -> None:
    grant, _ = await pair.running(api)
    other = Placed(grant.placed.job, 2)
    for bad in (
        forged(grant.placed),
        Grant(other, grant.seal),
        replace(grant, seal=b""),
        Grant(Placed(JobId(-1), 1), grant.seal),
        Grant(Placed(JobId((1 << 64) - 1), 1), grant.seal),
    ):
        await refuses(pair, bad)
    assert (await pair.engine.append(grant.placed, SEGMENT)).results == (Append.DONE,)


async def test_a_grant_is_worth_nothing_once_its_placement_is_over(
    pair: Pair, api: httpx.AsyncClient
) -> None:
    grant, _ = await pair.running(api)
    await pair.follower.send(m.Ended((m.EndedItem(grant.placed, Released(), None),)))
    await pair.follower.next(m.Recorded)
    assert (await pair.engine.next(m.Drop)).placements == (grant.placed,)
    await refuses(pair, grant)
    assert (await pair.engine.append(grant.placed, SEGMENT)).results == (Append.STALE,)


async def test_an_engine_writes_for_what_it_was_given_and_no_more(pair: Pair, api: httpx.AsyncClient) -> None:
    await pair.follower.send(m.Credit(1))
    await pair.follower.beat()
    await submit(api)
    (grant,) = await pair.granted()
    assert (await pair.engine.append(grant.placed, SEGMENT)).results == (Append.STALE,)
    await pair.redeem(grant)
    assert (await pair.engine.append(grant.placed, SEGMENT)).results == (Append.DONE,)


# -------------------------------------------------------------------- what is over


async def test_a_follower_that_is_lost_takes_what_it_held_from_the_engine(
    pair: Pair, api: httpx.AsyncClient
) -> None:
    grant, job = await pair.running(api)
    await pair.pass_time(LEASE_MS, pair.engine)
    assert (await pair.engine.next(m.Drop)).placements == (grant.placed,)
    await becomes(api, job, "pending")
    assert (await job_of(api, job))["losses"] == 1


async def test_an_engine_whose_session_ran_out_keeps_what_the_follower_holds(
    pair: Pair, api: httpx.AsyncClient
) -> None:
    grant, _ = await pair.running(api)
    await pair.pass_time(LEASE_MS, pair.follower)
    assert (await pair.engine.closed())[0] == m.CLOSE_SILENT
    welcome = await pair.engine.welcome(running=(grant.placed,), grants=(grant,))
    assert welcome.keep == (grant.placed,)
    assert (await pair.engine.append(grant.placed, SEGMENT)).results == (Append.DONE,)


async def test_an_engine_that_connects_anew_keeps_what_is_not_over(
    pair: Pair, api: httpx.AsyncClient
) -> None:
    kept, _ = await pair.running(api)
    over, _ = await pair.running(api)
    pair.engine.connection.cut()  # type: ignore[attr-defined] # a fault of the network in memory
    await settle()
    await pair.follower.send(m.Ended((m.EndedItem(over.placed, Released(), None),)))
    await pair.follower.next(m.Recorded)
    both = (over, kept, forged(Placed(JobId(7), 1)))
    welcome = await pair.engine.welcome(running=tuple(grant.placed for grant in both), grants=both)
    assert welcome.keep == (kept.placed,)


async def test_the_newest_engine_that_shows_a_grant_has_it(
    stand: Stand, pair: Pair, api: httpx.AsyncClient
) -> None:
    grant, _ = await pair.running(api)
    other = Pair(stand, pair.follower, await peer(stand, PeerRole.ENGINE))
    await other.engine.welcome()
    await other.redeem(grant)
    assert (await pair.engine.next(m.Drop)).placements == (grant.placed,)
    assert (await pair.engine.append(grant.placed, SEGMENT)).results == (Append.STALE,)
    assert (await other.engine.append(grant.placed, SEGMENT)).results == (Append.DONE,)


async def test_what_ends_while_its_grant_is_looked_at_is_not_given(
    stand: Stand, pair: Pair, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await submit(api)
    await pair.follower.send(m.Credit(1))
    (grant,) = await pair.granted()
    held = Held(monkeypatch, stand.queue, "get")
    await pair.engine.send(m.Redeem((grant,)))
    await held.under_way.wait()
    await pair.follower.send(m.Ended((m.EndedItem(grant.placed, Released(), None),)))
    await settle()
    held.go_on.set()
    assert (await pair.engine.next(m.Drop)).placements == (grant.placed,)
    assert not [one for one in pair.engine.received if isinstance(one, m.Assign)]


async def test_what_is_lost_by_a_follower_that_comes_back_while_its_grant_is_looked_at_is_not_given(
    stand: Stand, pair: Pair, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = await submit(api)
    await pair.follower.send(m.Credit(1))
    (grant,) = await pair.granted()
    pair.follower.connection.cut()  # type: ignore[attr-defined] # a fault of the network in memory
    await settle()
    held = Held(monkeypatch, stand.queue, "held")
    await pair.engine.send(m.Redeem((grant,)))
    await held.under_way.wait()
    back = asyncio.create_task(pair.follower.welcome())  # it has forgotten the job
    await becomes(api, job["id"], "pending")
    held.go_on.set()
    await back
    assert (await pair.engine.next(m.Drop)).placements == (grant.placed,)
    assert not [one for one in pair.engine.received if isinstance(one, m.Assign)]


async def test_what_ends_while_an_engine_comes_back_is_not_kept(
    stand: Stand, pair: Pair, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant, job = await pair.running(api)
    for one in (pair.follower, pair.engine):
        one.connection.cut()  # type: ignore[attr-defined] # a fault of the network in memory
    await settle()
    held = Held(monkeypatch, stand.queue, "held")
    coming = asyncio.create_task(pair.engine.welcome(running=(grant.placed,), grants=(grant,)))
    await held.under_way.wait()
    back = asyncio.create_task(pair.follower.welcome())  # it has forgotten the job
    await becomes(api, job, "pending")
    held.go_on.set()
    await back
    assert (await coming).keep == ()
    assert (await pair.engine.append(grant.placed, SEGMENT)).results == (Append.STALE,)


# -------------------------------------------------------------------- restarts of the control plane


@pytest.mark.parametrize("first", ["engine", "follower"])
async def test_after_a_restart_both_keep_what_runs_whoever_is_back_first(
    stand: Stand, pair: Pair, api: httpx.AsyncClient, first: str
) -> None:
    grant, job = await pair.running(api)
    await stand.stop()
    await stand.start()
    engine: dict[str, Any] = {"running": (grant.placed,), "grants": (grant,)}
    if first == "engine":
        assert (await pair.engine.welcome(**engine)).keep == (grant.placed,)
        assert (await pair.follower.welcome(running=(grant.placed,))).keep == (grant.placed,)
    else:
        assert (await pair.follower.welcome(running=(grant.placed,))).keep == (grant.placed,)
        assert (await pair.engine.welcome(**engine)).keep == (grant.placed,)
    await pair.follower.send(m.Started((grant.placed,)))
    assert (await pair.engine.append(grant.placed, SEGMENT)).results == (Append.DONE,)
    async with stand.client() as again:
        await becomes(again, job, "in_progress")


async def test_after_a_restart_the_engine_loses_what_the_follower_does_not_have_any_more(
    stand: Stand, pair: Pair, api: httpx.AsyncClient
) -> None:
    grant, _ = await pair.running(api)
    await stand.stop()
    await stand.start()
    assert (await pair.engine.welcome(running=(grant.placed,), grants=(grant,))).keep == (grant.placed,)
    await pair.follower.welcome()
    assert (await pair.engine.next(m.Drop)).placements == (grant.placed,)


async def test_after_a_restart_with_another_key_engines_lose_what_they_run(
    stand: Stand, pair: Pair, api: httpx.AsyncClient
) -> None:
    grant, _ = await pair.running(api)
    await stand.stop()
    stand.grant_key = b"h" * 32
    await stand.start()
    assert (await pair.engine.welcome(running=(grant.placed,), grants=(grant,))).keep == ()


# -------------------------------------------------------------------- a follower that was started again


async def test_a_follower_started_again_takes_over_once_the_engine_has_let_go(
    stand: Stand, pair: Pair, api: httpx.AsyncClient
) -> None:
    grant, job = await pair.running(api)
    coming = asyncio.create_task(
        pair.follower.welcome(incarnation=SECOND, previous=FIRST, previous_over=True)
    )
    assert (await pair.engine.next(m.Drop)).placements == (grant.placed,)
    ping = await pair.engine.next(m.Ping)
    # The engine may not have read it yet: its guest still has the lease of the process that is gone.
    assert (await job_of(api, job))["state"] == "in_progress"
    assert not coming.done()
    await pair.engine.send(m.Pong(ping.number))
    await coming
    await becomes(api, job, "pending")


async def test_a_follower_started_again_waits_for_its_lease_if_the_engine_does_not_answer(
    stand: Stand, pair: Pair, api: httpx.AsyncClient
) -> None:
    grant, job = await pair.running(api)
    again: dict[str, Any] = {"incarnation": SECOND, "previous": FIRST, "previous_over": True}
    sleeping = stand.clock.sleeping
    asking = asyncio.create_task(pair.follower.say_hello(**again))
    await pair.engine.next(m.Ping)
    await stand.clock.until_sleeping(sleeping + 1)
    await stand.clock.advance(PROBE_MS)
    answer = await asking
    assert isinstance(answer, m.Refused)
    assert (answer.code, answer.final) == (m.REFUSED_KEY_IN_USE, False)
    pair.engine.connection.cut()  # type: ignore[attr-defined] # a fault of the network in memory
    await settle()
    assert isinstance(await pair.follower.say_hello(**again), m.Refused)
    assert (await job_of(api, job))["state"] == "in_progress"
    await stand.clock.advance(LEASE_MS)
    await becomes(api, job, "pending")
    await pair.follower.welcome(**again)
    assert grant.placed.epoch == 1


async def test_after_a_restart_a_follower_started_again_waits_for_the_engine_to_be_back(
    stand: Stand, pair: Pair, api: httpx.AsyncClient
) -> None:
    grant, _ = await pair.running(api)
    await stand.stop()
    await stand.start()
    again: dict[str, Any] = {"incarnation": SECOND, "previous": FIRST, "previous_over": True}
    assert isinstance(await pair.follower.say_hello(**again), m.Refused)
    await pair.engine.welcome(running=(grant.placed,), grants=(grant,))
    coming = asyncio.create_task(pair.follower.welcome(**again))
    ping = await pair.engine.next(m.Ping)
    await pair.engine.send(m.Pong(ping.number))
    await coming


async def test_a_follower_without_jobs_takes_over_at_once(stand: Stand, pair: Pair) -> None:
    await pair.follower.welcome(incarnation=SECOND, previous=FIRST, previous_over=True)


# -------------------------------------------------------------------- who may say what


async def test_an_engine_cannot_end_a_job(pair: Pair, api: httpx.AsyncClient) -> None:
    grant, job = await pair.running(api)
    await pair.engine.send(m.Ended((m.EndedItem(grant.placed, Released(), None),)))
    code, reason = await pair.engine.closed()
    assert (code, reason) == (m.CLOSE_PROTOCOL, "an Ended on the connection of an engine")
    assert (await job_of(api, job))["state"] == "in_progress"


async def test_a_follower_cannot_write_for_a_job(pair: Pair, api: httpx.AsyncClient) -> None:
    grant, _ = await pair.running(api)
    await pair.follower.send(m.Append((m.AppendItem(grant.placed, SEGMENT),)))
    code, reason = await pair.follower.closed()
    assert code == m.CLOSE_PROTOCOL
    assert reason == "an Append on the connection of a worker whose engine is elsewhere"


@pytest.mark.parametrize("role", [PeerRole.WORKER, PeerRole.FOLLOWER])
async def test_only_an_engine_shows_grants_when_it_comes(
    stand: Stand, pair: Pair, api: httpx.AsyncClient, role: PeerRole
) -> None:
    grant, _ = await pair.running(api)
    other = await peer(stand, role)
    await other.dial()
    await other.send(replace(other.hello, running=(grant.placed,), grants=(grant,)))
    assert (await other.closed())[0] == m.CLOSE_PROTOCOL


async def test_a_peer_does_not_change_its_role_within_a_session(stand: Stand, pair: Pair) -> None:
    await pair.follower.dial()
    await pair.follower.send(replace(pair.follower.hello, role=PeerRole.ENGINE))
    code, reason = await pair.follower.closed()
    assert (code, reason) == (m.CLOSE_PROTOCOL, "a process whose role was follower and is now engine")
    # Another process with that key may.
    again = await pair.follower.welcome(
        role=PeerRole.ENGINE, incarnation=SECOND, previous=FIRST, previous_over=True
    )
    assert again.keep == ()


async def test_a_worker_with_its_own_engine_redeems_nothing(
    stand: Stand, pair: Pair, api: httpx.AsyncClient
) -> None:
    grant, _ = await pair.running(api)
    other = await peer(stand, PeerRole.WORKER)
    await other.welcome()
    await other.send(m.Redeem((grant,)))
    assert (await other.closed())[0] == m.CLOSE_PROTOCOL


async def test_a_revoked_engine_gets_nothing_and_its_jobs_are_the_follower_s_to_give_back(
    pair: Pair, api: httpx.AsyncClient
) -> None:
    grant, job = await pair.running(api)
    assert (await api.post(f"/v1/workers/{pair.engine.endpoint.id}/revoke")).status_code == 200
    assert (await pair.engine.closed())[0] == m.CLOSE_REFUSED
    answer = await pair.engine.say_hello(running=(grant.placed,), grants=(grant,))
    assert isinstance(answer, m.Refused)
    assert answer.final
    await pair.follower.send(m.Ended((m.EndedItem(grant.placed, Released(), None),)), m.Credit(1))
    (again,) = await pair.granted()
    assert again.placed == Placed(grant.placed.job, 2)
    assert "losses" not in await job_of(api, job)


async def test_an_operator_drains_an_engine_and_lets_it_go_on(pair: Pair, api: httpx.AsyncClient) -> None:
    path = f"/v1/workers/{pair.engine.endpoint.id}"
    assert (await api.post(f"{path}/drain")).status_code == 200
    assert not (await pair.engine.next(m.Drain)).running
    # It learns so on each connection, for it forgets with each.
    await pair.engine.welcome()
    await pair.engine.next(m.Drain)
    assert (await api.post(f"{path}/resume")).status_code == 200
    await pair.engine.next(m.Resume)
