"""How a stub counts effects."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.loadtest.stub import Counts, Effects

REQUESTS = st.lists(
    st.tuples(st.sampled_from(["one", "two"]), st.integers(0, 99), st.sampled_from([b"", b"a", b"b", b"c"]))
)


def test_the_first_does_it_and_others_repeat_or_double_it() -> None:
    effects = Effects()
    for job, number, key in (("a", 0, b"k"), ("a", 0, b"k"), ("a", 1, b"l"), ("b", 0, b"m"), ("a", 0, b"n")):
        effects.done(job, number, key)
    assert effects.counts == Counts(requests=0, effects=3, repeated=1, doubled=1)


@given(REQUESTS)
def test_it_counts_as_a_list_of_all_would(requests: list[tuple[str, int, bytes]]) -> None:
    effects = Effects()
    firsts: dict[tuple[str, int], bytes] = {}
    repeated = doubled = 0
    for job, number, key in requests:
        effects.done(job, number, key)
        if (job, number) not in firsts:
            firsts[job, number] = key
        elif firsts[job, number] == key:
            repeated += 1
        else:
            doubled += 1
    assert effects.counts == Counts(effects=len(firsts), repeated=repeated, doubled=doubled)
