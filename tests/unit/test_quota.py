"""Quotas: what is refused, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.errors import QueueFull, QuotaExceeded, Unavailable
from mvm_ci.domain.quota import Quota, Usage, check, running_limits
from mvm_ci.serving.problems import headers_of, status_of

COUNTS = st.integers(0, 1 << 40)
LIMITS = st.none() | COUNTS
QUOTAS = st.builds(Quota, max_waiting=LIMITS, max_running=LIMITS, max_bytes=LIMITS)
USAGES = st.builds(Usage, waiting=COUNTS, stored=COUNTS)


def over(most: int | None, used: int, asked: int) -> bool:
    return most is not None and asked > 0 and used + asked > most


@given(QUOTAS, USAGES, USAGES)
def test_exactly_what_would_go_over_a_quota_is_refused(quota: Quota, usage: Usage, asked: Usage) -> None:
    refused = over(quota.max_waiting, usage.waiting, asked.waiting) or over(
        quota.max_bytes, usage.stored, asked.stored
    )
    if refused:
        with pytest.raises(QuotaExceeded, match="namespace team"):
            check("team", quota, usage, asked)
    else:
        check("team", quota, usage, asked)


def test_the_quota_that_is_exceeded_is_named() -> None:
    with pytest.raises(QuotaExceeded, match="max_bytes of 10"):
        check("team", Quota(max_waiting=5, max_bytes=10), Usage(stored=9), Usage(waiting=5, stored=2))


def test_only_namespaces_with_a_quota_of_running_jobs_are_limited() -> None:
    quotas = {"a": Quota(max_running=2), "b": Quota(max_waiting=1), "c": Quota(max_running=0)}
    assert running_limits(quotas) == {"a": 2, "c": 0}


@pytest.mark.parametrize("error", [QueueFull("full", 7), QuotaExceeded("over", 7)])
def test_who_is_told_to_come_back_is_told_when(error: Unavailable) -> None:
    assert status_of(error) == 429
    assert headers_of(error) == ((b"retry-after", b"7"),)
    assert headers_of(Unavailable("no")) == ()
