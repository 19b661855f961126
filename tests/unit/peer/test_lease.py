"""The lease as the worker counts it."""

import asyncio

from mvm_ci.domain.ids import SessionId
from mvm_ci.domain.lease import LeaseTable
from mvm_ci.peer.lease import SessionLease
from mvm_ci.testing.clock import FakeClock, settle


def test_there_is_no_lease_before_the_first_answer() -> None:
    assert not SessionLease(FakeClock()).valid()


def test_it_counts_from_when_the_heartbeat_was_sent_and_ends_a_margin_early() -> None:
    clock = FakeClock()
    lease = SessionLease(clock)
    sent = clock.lease_ms()
    clock.jump(4_000)  # the answer took so long
    lease.renew(sent, 15_000)
    clock.jump(9_499)
    assert lease.valid()
    clock.jump(1)
    assert not lease.valid()


def test_a_sleeping_machine_loses_it() -> None:
    clock = FakeClock()
    lease = SessionLease(clock)
    lease.renew(clock.lease_ms(), 15_000)
    clock.jump(3_600_000)
    assert not lease.valid()


def test_the_worker_s_lease_is_over_before_the_control_plane_s() -> None:
    clock = FakeClock()
    lease, table, session = SessionLease(clock), LeaseTable(15_000), SessionId(1)
    sent = clock.lease_ms()
    clock.jump(1)
    table.grant(session, clock.lease_ms())  # the heartbeat arrives
    lease.renew(sent, 15_000)
    while lease.valid():
        clock.jump(1)
    assert table.alive(session, clock.lease_ms())
    assert table.left(session, clock.lease_ms()) >= 1_500


async def test_an_effect_waits_for_the_renewal() -> None:
    clock = FakeClock()
    lease = SessionLease(clock)
    waiting = asyncio.create_task(lease.until_valid())
    await settle()
    assert not waiting.done()
    # An answer that comes when its lease has already run out renews nothing.
    lease.renew(clock.lease_ms() - 20_000, 15_000)
    await settle()
    assert not waiting.done()
    lease.renew(clock.lease_ms(), 15_000)
    await waiting


async def test_nothing_is_valid_after_the_end() -> None:
    lease = SessionLease(FakeClock())
    lease.renew(5_000_000, 15_000)
    assert lease.valid()
    lease.end()
    assert not lease.valid()
