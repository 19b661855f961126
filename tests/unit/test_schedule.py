"""What a schedule does when time passes, and when people change it."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mvm_ci.domain.cron import parse_timing, parse_zone, upcoming
from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.schedule import (
    LATE_MS,
    LOOK_AGAIN_MS,
    MAX_CATCH_UP,
    RETRY_MS,
    CatchUp,
    Overlap,
    Schedule,
    begun,
    changed,
    check,
    check_name,
    dropped,
    failed,
    fire_ms,
    fired,
    key,
    paused,
    plan,
    postponed,
    queued,
    resumed,
    triggered,
)

HOUR = 3_600_000
DAY = 24 * HOUR
NOON = 1_699_963_200_000  # 2023-11-14 12:00 UTC
JOB = JobId(7)


def hourly(**fields: object) -> Schedule:
    plain = Schedule(namespace="default", name="n", when="@hourly", job="{}", created_ms=NOON)
    return begun(replace(plain, **fields), NOON)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1000


def local_times(when: str, zone: str, after: str, count: int) -> list[str]:
    timing = parse_timing(when, zone)
    found = upcoming(timing, at(after), count)
    return [datetime.fromtimestamp(ms / 1000, parse_zone(zone)).isoformat(timespec="minutes") for ms in found]


# ---------------------------------------------------------------- times


def test_a_time_of_day_that_the_clock_skips_fires_after_the_gap() -> None:
    assert local_times("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00+01:00", 2) == [
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
    ]


def test_a_time_of_day_that_comes_twice_fires_once() -> None:
    assert local_times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00+02:00", 2) == [
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
    ]
    # Asked between the two, the first one is past.
    assert local_times("30 2 * * *", "Europe/Berlin", "2026-10-25T02:10+01:00", 1) == [
        "2026-10-26T02:30+01:00"
    ]


def test_what_follows_the_minutes_fires_in_both_hours_and_not_in_the_gap() -> None:
    assert local_times("*/30 * * * *", "Europe/Berlin", "2026-10-25T02:15+02:00", 3) == [
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T02:30+01:00",
    ]
    assert local_times("*/30 * * * *", "Europe/Berlin", "2026-03-29T01:15+01:00", 2) == [
        "2026-03-29T01:30+01:00",
        "2026-03-29T03:00+02:00",
    ]


def test_an_interval_is_a_multiple_since_1970_whatever_the_clock_shows() -> None:
    assert local_times("every 90m", "Europe/Berlin", "2026-03-29T00:00+01:00", 3) == [
        "2026-03-29T01:00+01:00",
        "2026-03-29T03:30+02:00",
        "2026-03-29T05:00+02:00",
    ]


NO_EXPRESSIONS = {
    "too few or too many fields": ("", "9", "* * * * * *", "9" * 300),
    "out of range": ("60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8"),
    "no field": ("5-1 * * * *", "*/0 * * * *", "1,, * * * *", "² * * * *", "* * * * MON#6", "* * * * L"),
    "no interval": ("every 0s", "every 5", "every -1h", "every 1w", "every 1.5h", "@reboot"),
}


@pytest.mark.parametrize("when", [text for texts in NO_EXPRESSIONS.values() for text in texts])
def test_what_is_no_expression_is_refused(when: str) -> None:
    with pytest.raises(BadInput, match="when: ") as caught:
        parse_timing(when, "UTC")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("zone", ["", "Mars/Base", "Europe", "..", "/etc/passwd", "a" * 5_000, "UTC\0"])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(BadInput, match="time_zone: ") as caught:
        parse_timing("@daily", zone)
    assert len(str(caught.value)) < 400


def test_a_schedule_that_never_fires_is_refused() -> None:
    with pytest.raises(BadInput, match="bad day-of-month"):
        check(hourly(when="0 0 30 2 *", paused=True), NOON)
    with pytest.raises(BadInput, match="never comes"):
        check(hourly(when="* * */20 * 1L", paused=True), NOON)
    with pytest.raises(BadInput, match="jitter_s"):
        check(hourly(jitter_ms=-1), NOON)


@pytest.mark.parametrize("name", ["", "-a", "a-", "a/b", "a b", "ü", "a" * 64, "..", "a\n"])
def test_a_name_is_short_and_plain(name: str) -> None:
    with pytest.raises(BadInput, match="name: "):
        check_name(name)
    assert check_name("Nightly_build.2-x") == "Nightly_build.2-x"


# ---------------------------------------------------------------- jitter


def test_jitter_is_the_same_for_everybody_who_asks() -> None:
    one = hourly(jitter_ms=HOUR // 2)
    times = [fire_ms(one, NOON + n * HOUR) - n * HOUR - NOON for n in range(50)]
    assert times == [fire_ms(replace(one, fires=9), NOON + n * HOUR) - n * HOUR - NOON for n in range(50)]
    assert len(set(times)) > 40
    assert all(0 <= late <= HOUR // 2 for late in times)
    assert times != [fire_ms(replace(one, name="m"), NOON + n * HOUR) - n * HOUR - NOON for n in range(50)]


@settings(deadline=None)
@given(st.integers(0, 3 * HOUR), st.integers(0, 10_000))
def test_a_fire_with_jitter_comes_before_the_next_time(jitter_ms: int, number: int) -> None:
    schedule = hourly(jitter_ms=jitter_ms)
    at_ms = NOON + number * HOUR
    assert at_ms <= fire_ms(schedule, at_ms) <= min(at_ms + jitter_ms, at_ms + HOUR - 1)


def test_nothing_fires_before_its_jitter_is_over() -> None:
    schedule = hourly(jitter_ms=HOUR)
    due = schedule.due_ms
    assert due is not None
    assert due > NOON + HOUR
    assert plan(schedule, due - 1) == schedule
    assert plan(schedule, due).waiting == (NOON + HOUR,)


# ---------------------------------------------------------------- catching up


def test_a_new_schedule_fires_from_its_next_time_on() -> None:
    assert hourly().next_ms == hourly().due_ms == NOON + HOUR
    assert plan(hourly(), NOON + HOUR - 1) == hourly()


@pytest.mark.parametrize("policy", CatchUp)
def test_a_fire_in_time_is_never_missed(policy: CatchUp) -> None:
    after = plan(hourly(catch_up=policy), NOON + HOUR + LATE_MS)
    assert (after.waiting, after.next_ms) == ((NOON + HOUR,), NOON + 2 * HOUR)
    assert after.due_ms == 0


def test_skip_makes_up_for_nothing() -> None:
    after = plan(hourly(catch_up=CatchUp.SKIP), NOON + DAY + HOUR // 2)
    assert (after.waiting, after.next_ms) == ((), NOON + DAY + HOUR)
    in_time = plan(hourly(catch_up=CatchUp.SKIP), NOON + DAY + LATE_MS)
    assert (in_time.waiting, in_time.next_ms) == ((NOON + DAY,), NOON + DAY + HOUR)


def test_last_makes_up_for_the_newest_fire() -> None:
    after = plan(hourly(catch_up=CatchUp.LAST), NOON + DAY + HOUR // 2)
    assert (after.waiting, after.next_ms) == ((NOON + DAY,), NOON + DAY + HOUR)


def test_all_makes_up_for_each_fire_up_to_a_bound() -> None:
    schedule = hourly(catch_up=CatchUp.ALL)
    day = tuple(NOON + n * HOUR for n in range(1, 25))
    assert plan(schedule, NOON + DAY + HOUR // 2).waiting == day
    year = plan(schedule, NOON + 365 * DAY).waiting
    assert year == tuple(NOON + 365 * DAY - n * HOUR for n in reversed(range(MAX_CATCH_UP)))


@settings(deadline=None)
@given(
    policy=st.sampled_from(CatchUp),
    jitter_ms=st.integers(0, 2 * HOUR),
    looks=st.lists(st.integers(1, 5 * HOUR), max_size=30),
)
def test_no_time_waits_twice_however_often_one_looks(
    policy: CatchUp, jitter_ms: int, looks: list[int]
) -> None:
    schedule, now, seen = hourly(catch_up=policy, jitter_ms=jitter_ms), NOON, list[int]()
    for step in looks:
        now += step
        schedule = plan(schedule, now)
        assert schedule.next_ms is not None
        assert fire_ms(schedule, schedule.next_ms) > now
        seen += schedule.waiting
        for at_ms in schedule.waiting:
            assert fire_ms(schedule, at_ms) <= now
            schedule = fired(schedule, (at_ms,), JOB)
    assert seen == sorted(set(seen))
    due = [n * HOUR for n in range(NOON // HOUR + 1, now // HOUR + 1)]
    come = [at_ms for at_ms in due if fire_ms(schedule, at_ms) <= now]
    if policy is CatchUp.ALL:
        assert seen == come
    elif policy is CatchUp.LAST:
        assert seen[-1:] == come[-1:]


def test_a_clock_that_goes_back_repeats_nothing() -> None:
    after = fired(plan(hourly(), NOON + HOUR), (NOON + HOUR,), JOB)
    assert plan(after, NOON + HOUR // 2) == after
    assert plan(after, NOON + HOUR) == after


# ---------------------------------------------------------------- fires


def test_a_fire_leaves_what_waits_and_is_counted() -> None:
    waits = replace(hourly(overlap=Overlap.ALLOW), waiting=(1, 2, 3), last_error="old", last_error_ms=1)
    done = fired(waits, (1, 2), JOB)
    assert (done.waiting, done.fires, done.last_fire_ms, done.last_job) == ((3,), 2, 2, JOB)
    assert (done.last_error, done.last_error_ms) == ("", None)
    less = dropped(waits, (1,))
    assert (less.waiting, less.fires, less.skipped) == ((2, 3), 0, 1)


def test_what_cannot_be_submitted_is_noted() -> None:
    waits = replace(hourly(), waiting=(1,))
    later = postponed(waits, "the queue is full", NOON)
    assert (later.waiting, later.due_ms, later.last_error) == ((1,), NOON + RETRY_MS, "the queue is full")
    never = failed(waits, (1,), "x" * 9_999, NOON)
    assert (never.waiting, never.due_ms, len(never.last_error)) == ((), NOON + HOUR, 500)
    assert never.last_error_ms == NOON


def test_one_fire_waits_for_a_job_and_more_are_dropped() -> None:
    schedule = queued(plan(hourly(overlap=Overlap.QUEUE_ONE), NOON + HOUR), NOON + HOUR)
    assert schedule.due_ms == NOON + HOUR + LOOK_AGAIN_MS
    later = plan(schedule, NOON + 3 * HOUR)
    assert (later.waiting, later.skipped) == ((NOON + HOUR,), 1)


def test_what_waits_without_end_does_not_pile_up() -> None:
    stuck = postponed(plan(hourly(), NOON + HOUR), "no", NOON + HOUR)
    assert plan(stuck, NOON + 9 * HOUR).waiting == (NOON + 9 * HOUR,)
    all_of_them = postponed(plan(hourly(catch_up=CatchUp.ALL), NOON + 99 * HOUR), "no", NOON)
    assert len(plan(all_of_them, NOON + 150 * HOUR).waiting) == MAX_CATCH_UP


def test_a_key_names_schedule_and_time() -> None:
    assert key(hourly(), NOON) == f"schedule:n:{NOON}"


# ---------------------------------------------------------------- people


def test_a_paused_schedule_does_nothing_and_makes_up_for_nothing() -> None:
    still = paused(replace(hourly(catch_up=CatchUp.ALL), waiting=(1,)))
    assert (still.due_ms, still.waiting) == (None, ())
    assert plan(still, NOON + DAY) == still
    again = resumed(still, NOON + DAY)
    assert (again.next_ms, again.paused) == (NOON + DAY + HOUR, False)
    assert resumed(again, NOON + 3 * DAY) == again


def test_a_new_definition_keeps_the_history() -> None:
    old = replace(hourly(), fires=3, last_job=JOB, revision=5, waiting=(1,))
    new = changed(old, hourly(job="new", overlap=Overlap.ALLOW), NOON + HOUR // 2)
    assert new == replace(old, job="new", overlap=Overlap.ALLOW)
    moved = changed(old, hourly(when="@daily"), NOON + HOUR)
    assert (moved.next_ms, moved.fires, moved.created_ms) == (NOON + DAY // 2, 3, NOON)
    assert changed(old, hourly(paused=True), NOON).due_ms is None


def test_a_trigger_counts_and_is_the_last_job() -> None:
    after = triggered(hourly(), JOB)
    assert (after.last_job, after.fires, after.last_fire_ms) == (JOB, 1, None)
