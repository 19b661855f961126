from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.progress import Activity, overdue, stalled

LIMIT = 100
TIMES = st.integers(0, 1_000)


@given(st.none() | TIMES, TIMES, st.none() | TIMES, TIMES, TIMES)
def test_who_is_stalled_stays_so_until_something_happens(
    waiting: int | None, moved: int, lame: int | None, now: int, later: int
) -> None:
    activity = Activity(waiting, moved, lame)
    if stalled(activity, now, LIMIT):
        assert stalled(activity, now + later, LIMIT)


@given(TIMES, TIMES, TIMES)
def test_a_move_within_the_limit_is_enough(waiting: int, now: int, ago: int) -> None:
    assert stalled(Activity(waiting, now - ago), now, LIMIT) == (now - waiting >= LIMIT and ago >= LIMIT)


def test_who_has_nothing_to_do_is_not_stalled_but_who_has_no_runner_is() -> None:
    assert not stalled(Activity(None, 0), 10_000, LIMIT)
    assert stalled(Activity(None, 9_999, 9_900), 10_000, LIMIT)
    assert not stalled(Activity(None, 0, 9_901), 10_000, LIMIT)


@given(st.lists(TIMES), TIMES)
def test_what_waits_for_the_limit_is_overdue(since: list[int], now: int) -> None:
    waiting = list(enumerate(sorted(since)))
    late = overdue(waiting, now, LIMIT)
    assert late == [number for number, at in waiting if now - at >= LIMIT]
