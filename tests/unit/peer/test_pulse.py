"""When heartbeats are due: at work, at rest, and when nothing is heard."""

import pytest

from mvm_ci.peer.pulse import Pulse

LEASE, BEAT, REST = 15_000, 5_000, 60_000
HEARD_EVERY = 5_030
"""As iroh lets itself be heard."""


def resting(at: int = 0) -> Pulse:
    """One whose first heartbeat was answered with a rest."""
    pulse = Pulse(at - BEAT, LEASE, BEAT)
    pulse.sent(1, at)
    pulse.answered(1, REST)
    return pulse


def test_a_worker_that_may_not_rest_beats_at_every_interval() -> None:
    pulse = Pulse(0, LEASE, BEAT)
    for number in range(1, 10):
        due = number * BEAT
        assert not pulse.due(due - 1)
        assert pulse.wait_ms(due - 1) == 1
        assert pulse.due(due)
        pulse.sent(number, due)
        assert pulse.wait_ms(due) == BEAT
        assert pulse.answered(number, 0) == due
        assert not pulse.resting


def test_a_worker_that_rests_and_hears_its_control_plane_beats_once_a_rest() -> None:
    pulse = resting()
    now = heard = 0
    while not pulse.due(now):
        now += pulse.wait_ms(now)
        heard = now // HEARD_EVERY
        pulse.noted(heard, now)
        assert pulse.silent_ms(now) is None
    assert now == REST


def test_a_worker_that_rests_and_hears_nothing_asks_and_gives_up_in_two_and_a_half_intervals() -> None:
    pulse = resting()
    pulse.noted(1, 1_000)
    now = 1_000  # the last thing that is heard
    while not pulse.due(now):
        now += pulse.wait_ms(now)
        pulse.noted(1, now)
    assert now <= 1_000 + BEAT + 2 * BEAT // 5
    pulse.sent(2, now)
    assert not pulse.resting
    while pulse.silent_ms(now) is None:
        now += pulse.wait_ms(now)
    assert now <= 1_000 + 5 * BEAT // 2


def test_a_heartbeat_ends_the_rest_until_its_answer_allows_another() -> None:
    pulse = resting()
    pulse.sent(2, 20_000)
    assert not pulse.resting
    assert pulse.due(25_000)
    pulse.answered(2, REST)
    assert pulse.resting


def test_an_answer_that_a_later_heartbeat_has_overtaken_allows_no_rest() -> None:
    pulse = Pulse(0, LEASE, BEAT)
    pulse.sent(1, 5_000)
    pulse.sent(2, 6_000)
    assert pulse.answered(1, REST) == 5_000
    assert not pulse.resting
    assert pulse.answered(2, 0) == 6_000


@pytest.mark.parametrize("heartbeat", [1, 2, 4, 7])
def test_short_intervals_do_not_spin(heartbeat: int) -> None:
    pulse = Pulse(0, 3 * heartbeat, heartbeat)
    pulse.sent(1, heartbeat)
    pulse.answered(1, 100)
    assert all(pulse.wait_ms(now) >= 1 for now in range(heartbeat, 10 * heartbeat))
