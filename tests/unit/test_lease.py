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


def test_a_session_that_rests_may_be_silent_for_longer_until_it_is_roused() -> None:
    table = LeaseTable(100)
    table.grant(A, 0)
    table.rest(A, 50, 400)
    assert table.next_deadline() == 550
    assert table.rouse(A, 300)
    assert table.expired(399) == []
    assert table.expired(400) == [A]


def test_rousing_never_prolongs_and_never_takes_the_lease_of_the_last_sign_of_life() -> None:
    table = LeaseTable(100)
    table.grant(A, 0)
    assert not table.rouse(A, 60)
    assert table.next_deadline() == 100
    table.rest(A, 60, 1)
    assert table.rouse(A, 60)
    assert table.next_deadline() == 160
    assert not table.rouse(B, 60)


def test_a_lease_that_ran_out_cannot_rest() -> None:
    table = LeaseTable(100)
    table.grant(A, 0)
    table.rest(A, 100, 400)
    table.rest(B, 0, 400)
    assert table.expired(100) == [A]
    assert B not in table


def test_granting_all_anew_shortens_no_rest() -> None:
    table = LeaseTable(100)
    table.grant(A, 0)
    table.rest(A, 0, 400)
    table.grant_all(50)
    assert table.next_deadline() == 500
