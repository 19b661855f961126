"""What an engine's service has of its clients, from the grant to the end."""

import asyncio
from collections.abc import Collection, Iterable, Sequence

import pytest

from mvm_ci.domain.errors import NotFound, QueueFull, Refused
from mvm_ci.domain.grant import Grant, PeerRole
from mvm_ci.domain.ids import Digest, Incarnation, JobId, SessionId
from mvm_ci.domain.job import JobSpec, Placed
from mvm_ci.domain.outcome import Completed, Outcome, Released, Stopped
from mvm_ci.domain.segment import Segment
from mvm_ci.engine.service.client import Client
from mvm_ci.engine.service.desk import Desk
from mvm_ci.engine.service.guests import FORGET_MS, MAX_CLIENTS, REAP_MS, Guests, State
from mvm_ci.peer.intake import Intake
from mvm_ci.ports.engine import Ended, Placement
from mvm_ci.testing.clock import FakeClock, settle
from mvm_ci.wire import engine as w
from mvm_ci.wire import messages as m
from mvm_ci.wire.frames import from_worker
from mvm_ci.wire.session import WorkerSession

SPEC = JobSpec(module=Digest("0" * 64), input=b"{}")


def grant(job: int, epoch: int = 1) -> Grant:
    return Grant(Placed(JobId(job), epoch), bytes(24))


class Pool:
    """An engine without guests: keeps what was ordered."""

    slots, extra, capacity, runners = 1, 0, 3, 1

    def __init__(self) -> None:
        self.placed: list[Placed] = []
        self.dropped: list[Placed] = []
        self.orders: list[tuple[str, tuple[Placed, ...]]] = []

    def place(self, placements: Sequence[Placement]) -> None:
        self.placed += [placement.placed for placement in placements]

    async def start(self) -> None: ...

    def stop(self, placed: Placed) -> None:
        self.orders.append(("stop", (placed,)))

    def cancel(self, placed: Placed) -> None:
        self.orders.append(("cancel", (placed,)))

    def drop(self, placements: Sequence[Placed]) -> None:
        self.dropped += placements

    def release_waiting(self, only: Collection[Placed] | None = None) -> None:
        self.orders.append(("waiting", tuple(only or ())))

    def release_all(self, only: Collection[Placed] | None = None) -> None:
        self.orders.append(("all", tuple(only or ())))

    async def drain(self, grace_s: float) -> None: ...

    async def close(self) -> None: ...


class Service:
    """Guests of one engine, whose link is a test."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.guests = Guests(self.clock)
        self.pool = Pool()
        self.journals: dict[Placed, asyncio.Future[tuple[Segment, ...]]] = {}
        self.intake = Intake(self.pool, self.guests, place=self.pool.place, fetch_journal=self._journal)
        self.guests.fitted(self.pool, self.intake)
        self.desk = Desk(self.guests, self.pool, self.intake, name="e" * 32, url="")
        self.wire = self._connected()

    async def _journal(self, placed: Placed) -> tuple[Segment, ...]:
        return await self.journals.setdefault(placed, asyncio.get_running_loop().create_future())

    def _connected(self) -> WorkerSession:
        wire = WorkerSession()
        hello = m.Hello(3, 3, "1", Incarnation("a" * 32), None, None, "e", "l", 1, 1, role=PeerRole.ENGINE)
        wire.sent(hello)
        wire.received(m.Welcome(3, SessionId(1), 15_000, 5_000, "1", ()))
        self.guests.outbox.attach(wire, self.guests.told)
        self.guests.attached()
        return wire

    def reconnect(self) -> None:
        self.guests.outbox.detach()
        self.wire = self._connected()

    def said(self) -> list[m.FromWorker]:
        reader = from_worker()
        return [said for frame in self.guests.outbox.take(0) for said in reader.feed(frame)]

    def redeemed(self) -> list[Placed]:
        return [one.placed for said in self.said() if isinstance(said, m.Redeem) for one in said.grants]

    def client(self, digit: str = "1", owner: str = "") -> Client:
        client = self.guests.welcome(digit * 32, owner)
        client.follow()
        return client

    def assign(self, *grants: Grant, entries: int = 0) -> None:
        self.intake.assign([m.Assignment(one.placed, 1, SPEC, entries=entries) for one in grants])

    def end(self, *grants: Grant, outcome: Outcome | None = None) -> None:
        ends = [Ended(placed=one.placed, outcome=outcome or Completed(b"1")) for one in grants]
        self.guests.ended(ends)

    def ends(self, client: Client) -> list[tuple[Placed, type[Outcome]]]:
        events = client.take(self.desk.room_of(client))
        items = [item for event in events if isinstance(event, w.Ended) for item in event.items]
        return [(item.placed, type(item.outcome)) for item in items]

    def states(self) -> dict[Placed, State]:
        return {placed: state for placed, _, state in self.guests.executions()}


@pytest.fixture
async def service() -> Service:
    return Service()


def placements(grants: Iterable[Grant]) -> list[Placed]:
    return [one.placed for one in grants]


async def test_from_a_grant_to_its_end(service: Service) -> None:
    client = service.client()
    assert service.guests.take(client, [grant(1)]) == 1
    assert service.redeemed() == [grant(1).placed]
    assert service.states() == {grant(1).placed: State.ASKED}
    service.assign(grant(1))
    assert service.pool.placed == [grant(1).placed]
    assert service.states() == {grant(1).placed: State.WAITING}
    service.guests.started([grant(1).placed])
    assert service.states() == {grant(1).placed: State.RUNNING}
    assert service.guests.all() == (grant(1).placed,)
    assert service.guests.grants() == (grant(1),)
    service.end(grant(1))
    assert service.states() == {}
    assert service.ends(client) == [(grant(1).placed, Completed)]


async def test_what_is_brought_twice_is_asked_for_once(service: Service) -> None:
    client = service.client()
    assert service.guests.take(client, [grant(1)]) == 1
    assert service.guests.take(client, [grant(1), grant(2)]) == 2
    assert service.redeemed() == [grant(1).placed, grant(2).placed]


async def test_what_is_not_answered_is_asked_for_again_on_the_next_connection(service: Service) -> None:
    client = service.client()
    service.guests.take(client, [grant(1), grant(2)])
    service.said()
    service.assign(grant(2))
    service.reconnect()
    assert service.redeemed() == [grant(1).placed]
    # The Hello of that connection names the other one.
    assert service.guests.all() == (grant(2).placed,)


async def test_many_that_are_asked_for_again_are_asked_for_in_parts(service: Service) -> None:
    service.pool.capacity = 3_000
    client = service.client()
    many = [grant(job) for job in range(3_000)]
    assert service.guests.take(client, many) == 3_000
    sizes = [len(said.grants) for said in service.said() if isinstance(said, m.Redeem)]
    assert sizes == [1_024, 1_024, 952]


async def test_there_is_room_for_so_many(service: Service) -> None:
    client, other = service.client("1"), service.client("2")
    assert service.guests.take(client, [grant(1), grant(2)]) == 2
    assert service.guests.take(other, [grant(3), grant(4)]) == 1
    assert service.guests.take(other, [grant(3), grant(4)]) == 1
    service.end(grant(1), outcome=Released())
    assert service.guests.take(other, [grant(4)]) == 1


async def test_many_clients_are_told_of_room_once_for_many_guests_that_made_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.pool.capacity = 100
    clients = [service.client(digit) for digit in "1234567890"]
    for number, client in enumerate(clients):
        service.guests.take(client, [grant(number)])
    told: asyncio.Queue[Client] = asyncio.Queue()
    # A bound method as an attribute of the class would not be given the client.
    monkeypatch.setattr(Client, "look", lambda client: told.put_nowait(client))  # noqa: PLW0108
    for _ in range(2):
        for _ in range(1_000):
            service.guests.slots_freed()
        async with asyncio.timeout(10):
            assert [await told.get() for _ in clients] == clients
        assert told.empty()


async def test_what_another_client_brought_has_no_room(service: Service) -> None:
    client, other = service.client("1"), service.client("2")
    service.guests.take(client, [grant(1)])
    assert service.guests.take(other, [grant(1)]) == 0
    assert service.desk.no_room(grant(1)) == "another worker brought the same placement"
    assert other.placements == set()


async def test_an_assignment_that_nobody_waits_for_any_more_is_not_run(service: Service) -> None:
    client = service.client()
    service.guests.take(client, [grant(1), grant(2)])
    service.desk.obey(client, w.Drop((grant(1).placed,)))
    service.assign(grant(1), grant(2), grant(3))
    assert service.pool.placed == [grant(2).placed]
    assert service.ends(client) == []


async def test_a_refused_grant_ends_as_released(service: Service) -> None:
    client = service.client()
    service.guests.take(client, [grant(1)])
    service.intake.drop([grant(1).placed])
    assert service.ends(client) == [(grant(1).placed, Released)]
    assert (service.states(), client.placements) == ({}, set())


async def test_an_append_that_was_refused_ends_it_as_released(service: Service) -> None:
    client = service.client()
    service.guests.take(client, [grant(1)])
    service.assign(grant(1))
    service.guests.forget([grant(1).placed])
    assert service.ends(client) == [(grant(1).placed, Released)]


async def test_orders_about_what_is_another_client_s_change_nothing(service: Service) -> None:
    client, other = service.client("1"), service.client("2")
    service.guests.take(client, [grant(1), grant(2)])
    service.assign(grant(1))
    both = (grant(1).placed, grant(2).placed)
    for order in (w.Drop(both), w.Stop(both, cancel=True), w.GiveBack(both, running=True), w.Seen(99)):
        service.desk.obey(other, order)
    assert set(service.states()) == set(both)
    assert service.ends(client) == []
    assert all(not which for _, which in service.pool.orders)


async def wherever_they_may_be(service: Service) -> tuple[Client, list[Grant]]:
    """The first is asked for, the second is at the engine, the third waits for its journal."""
    client = service.client()
    grants = [grant(1), grant(2), grant(3)]
    service.guests.take(client, grants)
    service.assign(grant(2))
    service.assign(grant(3), entries=5)
    await settle()
    return client, grants


async def test_a_stop_reaches_it_wherever_it_is(service: Service) -> None:
    client, grants = await wherever_they_may_be(service)
    service.desk.obey(client, w.Stop(tuple(placements(grants)), cancel=False))
    assert service.pool.orders == [("stop", (grant(2).placed,))]
    assert service.ends(client) == [(grant(3).placed, Stopped), (grant(1).placed, Stopped)]


async def test_a_cancellation_waits_until_the_engine_has_it(service: Service) -> None:
    client, grants = await wherever_they_may_be(service)
    service.desk.obey(client, w.Stop(tuple(placements(grants)), cancel=True))
    assert service.pool.orders == [("cancel", (grant(2).placed,))]
    service.assign(grant(1))
    service.journals[grant(3).placed].set_result((Segment(0, 5, b"journal"),))
    await settle()
    assert service.pool.orders[1:] == [("cancel", (grant(1).placed,)), ("cancel", (grant(3).placed,))]
    assert service.ends(client) == []


async def test_one_that_is_cancelled_on_its_way_and_then_stopped_or_dropped_is_over(service: Service) -> None:
    client = service.client()
    grants = [grant(1), grant(2), grant(3)]
    service.guests.take(client, grants)
    service.desk.obey(client, w.Stop(tuple(placements(grants)), cancel=True))
    service.desk.obey(client, w.Stop((grant(1).placed,)))
    service.desk.obey(client, w.Drop((grant(2).placed,)))
    service.desk.obey(client, w.GiveBack((grant(3).placed,), running=True))
    assert service.ends(client) == [(grant(1).placed, Stopped), (grant(3).placed, Released)]
    service.guests.take(client, grants)
    for one in grants:
        service.assign(one)
    assert [name for name, _ in service.pool.orders] == ["all"]


@pytest.mark.parametrize("running", [False, True])
async def test_giving_back_reaches_what_is_asked_for_and_what_waits_for_its_journal(
    service: Service, *, running: bool
) -> None:
    client, grants = await wherever_they_may_be(service)
    service.desk.obey(client, w.GiveBack(tuple(placements(grants)), running=running))
    assert service.ends(client) == [(grant(1).placed, Released), (grant(3).placed, Released)]
    assert service.pool.orders == [("all" if running else "waiting", tuple(placements(grants)))]
    service.journals[grant(3).placed].cancel()
    await settle()
    assert service.pool.placed == [grant(2).placed]


async def test_a_journal_that_comes_for_what_was_dropped_places_nothing(service: Service) -> None:
    client = service.client()
    service.guests.take(client, [grant(1)])
    service.assign(grant(1), entries=5)
    await settle()
    service.desk.obey(client, w.Drop((grant(1).placed,)))
    service.journals[grant(1).placed].cancel()
    await settle()
    assert service.pool.placed == []
    assert service.ends(client) == []


async def test_an_effect_of_a_guest_waits_for_its_client_s_lease(service: Service) -> None:
    client = service.client()
    service.guests.take(client, [grant(1)])
    waiting = asyncio.create_task(service.guests.wait_valid(grant(1).placed))
    nobody_s = asyncio.create_task(service.guests.wait_valid(grant(2).placed))
    await settle()
    assert not waiting.done()
    (question,) = (
        event for event in client.take(service.desk.room_of(client)) if isinstance(event, w.LeaseWanted)
    )
    service.desk.obey(client, w.Lease(question.number, 1_000))
    await waiting
    assert not nobody_s.done()
    nobody_s.cancel()


async def test_a_client_that_is_gone_leaves_nothing_behind(service: Service) -> None:
    client, other = service.client("1"), service.client("2")
    service.guests.take(client, [grant(1), grant(2)])
    service.guests.take(other, [grant(3)])
    service.assign(grant(1))
    reaping = asyncio.create_task(service.guests.reap())
    client.left(1)
    await service.clock.advance(FORGET_MS - REAP_MS)
    assert len(service.states()) == 3
    await service.clock.advance(2 * REAP_MS)
    assert set(service.states()) == {grant(3).placed}
    assert grant(1).placed in service.pool.dropped
    assert set(service.guests.clients) == {"2" * 32}
    reaping.cancel()


async def test_a_client_whose_lease_is_valid_is_not_gone(service: Service) -> None:
    client = service.client()
    service.guests.take(client, [grant(1)])
    (question,) = (
        event for event in client.take(service.desk.room_of(client)) if isinstance(event, w.LeaseWanted)
    )
    client.answered(question.number, 2 * FORGET_MS)
    client.left(1)
    reaping = asyncio.create_task(service.guests.reap())
    await service.clock.advance(2 * FORGET_MS - REAP_MS)
    assert service.states()
    await service.clock.advance(2 * REAP_MS)
    assert not service.states()
    reaping.cancel()


async def test_a_client_is_one_owner_s(service: Service) -> None:
    service.client("1", "peer a")
    assert service.guests.client("1" * 32, "peer a").owner == "peer a"
    for owner in ("peer b", ""):
        with pytest.raises(NotFound):
            service.guests.client("1" * 32, owner)
        with pytest.raises(Refused):
            service.guests.welcome("1" * 32, owner)


async def test_there_are_so_many_clients(service: Service) -> None:
    for number in range(MAX_CLIENTS):
        service.guests.welcome(f"{number:032x}", "")
    with pytest.raises(QueueFull, match="1024 clients"):
        service.guests.welcome("f" * 32, "")
    assert service.guests.welcome(f"{0:032x}", "").name == f"{0:032x}"


async def test_people_see_the_beginning_of_a_client_s_name(service: Service) -> None:
    service.guests.take(service.client(), [grant(1)])
    assert [client for _, client, _ in service.guests.executions()] == ["1" * 8]


# -------------------------------------------------------------------- who drains it


async def test_an_operator_holds_it_until_it_may_go_on(service: Service) -> None:
    client = service.client()
    service.guests.take(client, [grant(1)])
    service.intake.give_back(running=False)
    assert service.desk.full(client) == "the engine drains: it takes nothing more"
    service.assign(grant(1))
    assert service.ends(client) == [(grant(1).placed, Released)]
    service.intake.resume()
    assert service.desk.full(client) == ""


async def test_one_that_was_let_go_on_while_it_was_away_learns_it_from_its_next_connection(
    service: Service,
) -> None:
    service.intake.give_back(running=False)
    service.reconnect()  # the control plane says Drain once more if it still holds it
    assert not service.guests.draining


async def test_a_drain_by_the_api_outlives_connections(service: Service) -> None:
    service.desk.drain(running=False)
    service.reconnect()
    assert service.guests.draining
    service.intake.resume()
    assert not service.guests.draining


async def test_one_that_leaves_is_not_let_go_on(service: Service) -> None:
    client = service.client()
    service.guests.take(client, [grant(1)])
    service.guests.leave()
    # Nobody waits for what the control plane has not answered.
    assert service.ends(client) == [(grant(1).placed, Released)]
    service.intake.resume()
    service.reconnect()
    assert service.guests.draining


async def test_everything_is_seen_before_it_leaves(service: Service) -> None:
    client = service.client()
    service.guests.take(client, [grant(1)])
    service.end(grant(1))
    leaving = asyncio.create_task(service.guests.until_seen())
    await settle()
    assert not leaving.done()
    service.desk.obey(client, w.Seen(1))
    await leaving
