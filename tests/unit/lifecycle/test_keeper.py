"""The keeper of leases."""

import asyncio

import pytest

from mvm_ci.domain.ids import SessionId
from mvm_ci.domain.lease import LeaseTable
from mvm_ci.lifecycle.rescue import LeaseKeeper
from mvm_ci.testing.clock import FakeClock, settle

ONE = SessionId(1)


class Kept:
    """One session's lease, and its keeper."""

    def __init__(self) -> None:
        self.leases, self.clock = LeaseTable(15_000), FakeClock()
        self.lost: list[SessionId] = []
        self.leases.grant(ONE, self.clock.lease_ms())
        self.keeper = LeaseKeeper(self.leases, self.clock, self.lose)

    async def lose(self, session: SessionId) -> None:
        self.lost.append(session)
        self.leases.remove(session)

    async def is_lost_after_a_whole_lease(self) -> None:
        await settle()
        assert self.lost == []
        await self.clock.advance(14_999)
        assert self.lost == []
        await self.clock.advance(1)
        assert self.lost == [ONE]


@pytest.fixture
def kept() -> Kept:
    return Kept()


async def test_a_process_that_stood_still_blames_nobody_also_when_a_lease_begins_just_then(
    kept: Kept,
) -> None:
    running = asyncio.create_task(kept.keeper.run())
    await settle()
    kept.clock.jump(60_000)
    kept.keeper.poke()
    await kept.is_lost_after_a_whole_lease()
    running.cancel()


async def test_it_also_notices_that_it_stood_still_when_only_long_rests_are_to_be_watched(
    kept: Kept,
) -> None:
    kept.leases.rest(ONE, kept.clock.lease_ms(), 60_000)
    running = asyncio.create_task(kept.keeper.run())
    await settle()
    # It is given a job, and then nobody runs for a while: its heartbeat lies unread.
    kept.leases.rouse(ONE, kept.clock.lease_ms())
    kept.keeper.poke()
    kept.clock.jump(40_000)
    await kept.is_lost_after_a_whole_lease()
    running.cancel()
