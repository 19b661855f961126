"""Back-off: full jitter within growing bounds."""

from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.peer.backoff import FIRST_MS, LONGEST_MS, Backoff


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 200))
def test_each_wait_is_within_its_bounds(chance: float, failures: int) -> None:
    backoff = Backoff(lambda: chance)
    for _ in range(failures):
        backoff.next_ms()
    wait = backoff.next_ms()
    assert 0 <= wait < min(LONGEST_MS, FIRST_MS * 2 ** min(failures, 20))
    assert backoff.failures == failures + 1


def test_the_bound_doubles_up_to_the_longest_and_begins_anew_after_success() -> None:
    backoff = Backoff(lambda: 1.0)
    waits = [backoff.next_ms() for _ in range(9)]
    assert waits == [200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000]
    backoff.reset()
    assert backoff.next_ms() == 200
    assert backoff.failures == 1
