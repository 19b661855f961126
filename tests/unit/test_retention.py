"""What is kept and what may go: pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.retention import Bounds, Excess, FinishedJob, RetentionPolicy, bounds_by_age, digests_in

NOW = 1_700_000_000_000
COUNTS = st.none() | st.integers(1, 8)
SIZES = st.none() | st.integers(1, 500)


def kept(policy: RetentionPolicy, pages: list[list[FinishedJob]]) -> list[FinishedJob]:
    excess, before = Excess(policy), None
    for page in pages:
        before = excess.first_of(page)
        if before is not None:
            break
    return [job for page in pages for job in page if before is None or job.id > before]


@given(COUNTS, SIZES, st.lists(st.integers(0, 200), max_size=12), st.integers(1, 5))
def test_as_many_of_the_newest_are_kept_as_the_limits_allow(
    count: int | None, size: int | None, held: list[int], page: int
) -> None:
    jobs = [FinishedJob(JobId(100 - number), held_bytes) for number, held_bytes in enumerate(held)]
    pages = [jobs[at : at + page] for at in range(0, len(jobs), page)]
    policy = RetentionPolicy(jobs_count=count, jobs_bytes=size)
    left = kept(policy, pages)
    assert left == jobs[: len(left)]
    assert count is None or len(left) <= count
    assert size is None or sum(job.held_bytes for job in left) <= size or len(left) == 1
    if len(left) < len(jobs):
        more = jobs[: len(left) + 1]
        assert (count is not None and len(more) > count) or (
            size is not None and sum(job.held_bytes for job in more) > size
        )


def test_without_a_limit_nothing_is_looked_at() -> None:
    policy = RetentionPolicy(jobs_age_ms=None, jobs_count=None, jobs_bytes=None)
    assert not Excess(policy).limited
    assert bounds_by_age(policy.jobs_age_ms, NOW) is None


@given(st.integers(0, 1 << 42), st.integers(1, 1 << 42))
def test_what_was_made_within_the_age_is_out_of_bounds(now_ms: int, age_ms: int) -> None:
    bounds = bounds_by_age(age_ms, now_ms)
    oldest = max(0, now_ms - age_ms)
    assert bounds == Bounds(JobId(oldest << 20), oldest)


@pytest.mark.parametrize(
    "field", ["jobs_age_ms", "jobs_count", "jobs_bytes", "modules_age_ms", "blob_grace_ms"]
)
def test_a_limit_of_nothing_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RetentionPolicy(**{field: 0})


@given(st.binary(max_size=100), st.sampled_from(["0" * 64, "0123456789abcdef" * 4]), st.binary(max_size=100))
def test_a_digest_is_found_wherever_it_stands(before: bytes, digest: str, after: bytes) -> None:
    assert Digest(digest) in digests_in(before + digest.encode() + after)


def test_what_is_too_short_or_in_capitals_is_no_digest() -> None:
    assert digests_in(b"a" * 63 + b"g" + b"A" * 64) == set()
