"""The keeper of leases."""

import asyncio

from mvm_ci.domain.ids import SessionId
from mvm_ci.domain.lease import LeaseTable
from mvm_ci.lifecycle.rescue import LeaseKeeper
from mvm_ci.testing.clock import FakeClock, settle

ONE = SessionId(1)


async def test_a_process_that_stood_still_blames_nobody_also_when_a_lease_begins_just_then() -> None:
    leases, clock = LeaseTable(15_000), FakeClock()
    lost: list[SessionId] = []

    async def lose(session: SessionId) -> None:
        lost.append(session)
        leases.remove(session)

    leases.grant(ONE, clock.lease_ms())
    keeper = LeaseKeeper(leases, clock, lose)
    running = asyncio.create_task(keeper.run())
    await settle()
    clock.jump(60_000)
    keeper.poke()
    await settle()
    assert lost == []
    await clock.advance(14_999)
    assert lost == []
    await clock.advance(1)
    assert lost == [ONE]
    running.cancel()


async def test_it_also_notices_that_it_stood_still_when_only_long_rests_are_to_be_watched() -> None:
    leases, clock = LeaseTable(15_000), FakeClock()
    lost: list[SessionId] = []

    async def lose(session: SessionId) -> None:
        lost.append(session)
        leases.remove(session)

    leases.grant(ONE, clock.lease_ms())
    leases.rest(ONE, clock.lease_ms(), 60_000)
    keeper = LeaseKeeper(leases, clock, lose)
    running = asyncio.create_task(keeper.run())
    await settle()
    # It is given a job, and then nobody runs for a while: its heartbeat lies unread.
    leases.rouse(ONE, clock.lease_ms())
    keeper.poke()
    clock.jump(40_000)
    await settle()
    assert lost == []
    await clock.advance(14_999)
    assert lost == []
    await clock.advance(1)
    assert lost == [ONE]
    running.cancel()
