from mvm_ci.domain.ids import SessionId
from mvm_ci.domain.lease import LeaseTable

A, B = SessionId(1), SessionId(2)


def test_a_lease_runs_out_unless_it_is_renewed() -> None:
    table = LeaseTable(100)
    table.grant(A, 0)
    table.grant(B, 0)
    assert table.renew(A, 60)
    assert table.expired(100) == [B]
    assert table.alive(A, 100)
    assert not table.alive(B, 100)
    assert (table.left(A, 100), table.left(B, 100)) == (60, 0)
    assert table.next_deadline() == 100


def test_a_lease_that_ran_out_is_not_renewed() -> None:
    table = LeaseTable(100)
    table.grant(A, 0)
    assert not table.renew(A, 100)
    assert not table.renew(B, 0)
    assert table.expired(100) == [A]


def test_a_session_is_removed_once() -> None:
    table = LeaseTable(100)
    table.grant(A, 0)
    assert A in table
    assert len(table) == 1
    assert table.remove(A)
    assert not table.remove(A)
    assert table.next_deadline() is None
    assert table.expired(1000) == []


def test_those_that_ran_out_first_come_first() -> None:
    table = LeaseTable(100)
    table.grant(B, 0)
    table.grant(A, 5)
    assert table.expired(200) == [B, A]


def test_a_lease_can_be_ended_and_all_can_be_granted_again() -> None:
    table = LeaseTable(100)
    table.grant(A, 0)
    table.expire(A, 10)
    table.expire(B, 10)
    assert table.expired(10) == [A]
    assert B not in table
    table.grant_all(50)
    assert table.left(A, 50) == 100
