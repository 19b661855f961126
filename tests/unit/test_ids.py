"""Ids: they grow, and their text is short, sorts like them and forgives how people read it out."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.ids import IdSequence, format_job_id, job_id_range, parse_job_id

ids = st.integers(0, (1 << 63) - 1)
times = st.integers(0, 1 << 42)


@given(st.lists(times, min_size=1))
def test_ids_grow_whatever_the_clock_does(clock: list[int]) -> None:
    sequence = IdSequence()
    made = [sequence.next(now_ms) for now_ms in clock]
    assert made == sorted(set(made))


@given(times)
def test_an_id_tells_its_time(now_ms: int) -> None:
    assert IdSequence().next(now_ms) >> 20 == now_ms


def test_more_ids_than_a_millisecond_has_go_on_into_the_next() -> None:
    sequence = IdSequence(last=(7 << 20) + (1 << 20) - 1)
    assert sequence.next(7) == 8 << 20
    assert sequence.next(7) == (8 << 20) + 1
    assert sequence.next(9) == 9 << 20


def test_a_sequence_goes_on_after_the_last_id_of_another() -> None:
    assert IdSequence(last=100).next(0) == 101


@given(ids)
def test_the_text_comes_back(job_id: int) -> None:
    text = format_job_id(job_id)
    assert len(text) == 14
    assert parse_job_id(text) == job_id
    assert parse_job_id(text.upper()) == job_id


@given(ids, ids)
def test_texts_sort_like_ids(one: int, other: int) -> None:
    assert (format_job_id(one) < format_job_id(other)) == (one < other)


def test_letters_that_look_like_digits_are_read_as_them() -> None:
    assert parse_job_id("jOOOOOOOOOOOIL") == parse_job_id("j0000000000011") == 33


@pytest.mark.parametrize(
    "text",
    [
        "",
        "j",
        "x0000000000001",
        "j000000000001",
        "j00000000000001",
        "j000000000000u",
        "j00000000000-1",
        "jzzzzzzzzzzzzz",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        parse_job_id(text)


@given(ids, st.integers(1, 14))
def test_a_prefix_names_exactly_the_ids_that_begin_with_it(job_id: int, length: int) -> None:
    prefix = format_job_id(job_id)[:length]
    first, last = job_id_range(prefix)
    assert first <= job_id <= last
    assert format_job_id(first).startswith(prefix)
    assert format_job_id(last).startswith(prefix)
    assert first == 0 or not format_job_id(first - 1).startswith(prefix)
    assert last == (1 << 63) - 1 or not format_job_id(last + 1).startswith(prefix)


@pytest.mark.parametrize("prefix", ["", "x", "j-", "jz", "j00000000000000"])
def test_a_prefix_that_no_id_has_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(prefix)}"):
        job_id_range(prefix)
