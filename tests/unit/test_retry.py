import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.outcome import FailureKind
from mvm_ci.domain.retry import Backoff, Retry, RetryPolicy


def test_the_pause_doubles_with_every_failure() -> None:
    policy = RetryPolicy(max_attempts=5, backoff=Backoff(base_ms=1000))
    assert [policy.decide(FailureKind.ERROR, n, 0, 0.0) for n in (1, 2, 3)] == [
        Retry(500),
        Retry(1000),
        Retry(2000),
    ]


def test_the_last_attempt_is_the_last() -> None:
    assert RetryPolicy(max_attempts=3).decide(FailureKind.TRAP, 3, 0, 0.5) is None
    assert RetryPolicy().decide(FailureKind.ERROR, 1, 0, 0.5) is None


@pytest.mark.parametrize("kind", [FailureKind.MODULE, FailureKind.NONDETERMINISM])
def test_what_would_only_repeat_itself_is_not_tried_again(kind: FailureKind) -> None:
    assert RetryPolicy(max_attempts=9).decide(kind, 1, 0, 0.5) is None


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.integers(0, 2**41))
def test_the_pause_stays_within_its_bounds(attempt: int, jitter: float, now: int) -> None:
    policy = RetryPolicy(max_attempts=10_001)
    decided = policy.decide(FailureKind.ENGINE, attempt, now, jitter)
    assert decided is not None
    assert now + policy.backoff.base_ms // 2 <= decided.at_ms <= now + policy.backoff.longest_ms


def test_only_the_failures_that_are_named_are_tried_again() -> None:
    policy = RetryPolicy(max_attempts=3, backoff=Backoff(kinds=(FailureKind.TIME,)))
    assert policy.decide(FailureKind.TIME, 1, 0, 0.5) is not None
    assert policy.decide(FailureKind.ERROR, 1, 0, 0.5) is None


def test_a_factor_of_one_keeps_the_pause() -> None:
    policy = RetryPolicy(max_attempts=9, backoff=Backoff(base_ms=1000, factor=1.0))
    assert {policy.decide(FailureKind.ERROR, n, 0, 0.0) for n in range(1, 9)} == {Retry(500)}
