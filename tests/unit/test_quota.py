"""Quotas: what is refused, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.control_plane.api.problems import headers_of, status_of
from mvm_ci.domain.errors import QueueFull, QuotaExceeded, Unavailable
from mvm_ci.domain.quota import Quota, Usage, check, room_to_run

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


@given(QUOTAS, COUNTS)
def test_there_is_room_to_run_up_to_the_quota(quota: Quota, running: int) -> None:
    room = room_to_run(quota, running)
    assert (room is None) == (quota.max_running is None)
    if room is not None and quota.max_running is not None:
        assert room == max(quota.max_running - running, 0)


@pytest.mark.parametrize("error", [QueueFull("full", 7), QuotaExceeded("over", 7)])
def test_who_is_told_to_come_back_is_told_when(error: Unavailable) -> None:
    assert status_of(error) == 429
    assert headers_of(error) == ((b"retry-after", b"7"),)
    assert headers_of(Unavailable("no")) == ()
