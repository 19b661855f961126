"""The times of cron expressions and intervals, against a count of minutes and against themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import given, settings
from hypothesis import strategies as st

from mvm_ci.domain.cron import LATEST_MS, parse_timing, upcoming

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
FIRST = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()) * 1000
LAST = int(datetime(2037, 1, 1, tzinfo=UTC).timestamp()) * 1000
# Their clocks change by one hour, at night but not at midnight: a minute either comes, comes twice, or not.
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Kolkata", "Pacific/Auckland")


def field(low: int, high: int) -> st.SearchStrategy[tuple[str, frozenset[int]]]:
    """A field of an expression, and the values that it means."""
    values = st.integers(low, high)
    everything = frozenset(range(low, high + 1))
    one = values.map(lambda v: (str(v), frozenset({v})))
    span = (
        st.tuples(values, values)
        .map(sorted)
        .map(lambda s: (f"{s[0]}-{s[1]}", frozenset(range(s[0], s[1] + 1))))
    )
    step = st.integers(1, 20).map(lambda n: (f"*/{n}", frozenset(sorted(everything)[::n])))
    some = st.lists(one | span, min_size=1, max_size=3).map(
        lambda parts: (",".join(p[0] for p in parts), frozenset().union(*(p[1] for p in parts)))
    )
    return st.just(("*", everything)) | step | some


FIELDS = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6))
Fields = tuple[tuple[str, frozenset[int]], ...]


def expression(fields: Fields) -> str:
    return " ".join(text for text, _ in fields)


def matches(fields: Fields, local: datetime) -> bool:
    minute, hour, day, month, weekday = (values for _, values in fields)
    star = fields[2][0].startswith("*") or fields[4][0].startswith("*")
    by_date, by_weekday = local.day in day, local.isoweekday() % 7 in weekday
    right_day = (by_date and by_weekday) if star else (by_date or by_weekday)
    return local.minute in minute and local.hour in hour and local.month in month and right_day


def counted(fields: Fields, zone: ZoneInfo, after_ms: int, until_ms: int) -> list[int]:
    """Every minute that matches, looked at one by one. Expressions that follow the clock only."""
    minutes = range((after_ms // MINUTE + 1) * MINUTE, until_ms + 1, MINUTE)
    return [ms for ms in minutes if matches(fields, datetime.fromtimestamp(ms / 1000, zone))]


def counted_times_of_day(fields: Fields, zone: ZoneInfo, after_ms: int, until_ms: int) -> list[int]:
    """Every time of day that matches, once: the first of two; after the gap if it is in one."""
    found = set()
    start = datetime.fromtimestamp(after_ms / 1000, zone).replace(tzinfo=None, second=0, microsecond=0)
    first = int((start.replace(tzinfo=UTC)).timestamp()) * 1000 - DAY
    for ms in range(first, first + (until_ms - after_ms) + 3 * DAY, MINUTE):
        clock = datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=None)
        if matches(fields, clock):
            at_ms = ms
            while True:  # a minute of the clock that exists
                shown = datetime.fromtimestamp(at_ms / 1000, UTC).replace(tzinfo=zone, fold=0)
                if shown.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == shown.replace(tzinfo=None):
                    break
                at_ms += MINUTE
            found.add(int(shown.timestamp()) * 1000)
    return sorted(ms for ms in found if after_ms < ms <= until_ms)


def compare(fields: Fields, zone: str, after: int) -> None:
    until = after + 3 * DAY
    follows = fields[0][0].startswith("*") or fields[1][0].startswith("*")
    count = counted if follows else counted_times_of_day
    expected = count(fields, ZoneInfo(zone), after, until)
    timing = parse_timing(expression(fields), zone)
    assert [ms for ms in upcoming(timing, after, len(expected) + 1) if ms <= until] == expected


def possible(fields: Fields) -> bool:
    """Whether a month has such a day: the library refuses what never comes."""
    star = fields[2][0].startswith("*") or fields[4][0].startswith("*")
    longest = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
    return not star or min(fields[2][1]) <= max(longest.get(month, 31) for month in fields[3][1])


@settings(deadline=None, max_examples=60)
@given(fields=FIELDS.filter(possible), zone=st.sampled_from(ZONES), after=st.integers(FIRST, LAST))
def test_times_are_those_of_a_count_of_minutes(fields: Fields, zone: str, after: int) -> None:
    compare(fields, zone, after)


CHANGES = [
    # A day before each change of the clock in 2026.
    int(datetime(2026, month, day, tzinfo=UTC).timestamp()) * 1000
    for month, day in ((3, 7), (3, 28), (4, 4), (9, 26), (10, 3), (10, 24), (10, 31))
]


@settings(deadline=None, max_examples=60)
@given(
    fields=FIELDS,
    zone=st.sampled_from(ZONES[1:4]),
    around=st.sampled_from(CHANGES),
    shift=st.integers(0, DAY),
)
def test_times_around_a_change_of_the_clock_too(fields: Fields, zone: str, around: int, shift: int) -> None:
    every_day = (fields[0], fields[1], ("*", frozenset(range(1, 32))), ("*", frozenset(range(1, 13))))
    fields = (*every_day, ("*", frozenset(range(7))))
    compare(fields, zone, around + shift)


@settings(deadline=None, max_examples=200)
@given(fields=FIELDS, zone=st.sampled_from(sorted(available_timezones())), after=st.integers(FIRST * 1, LAST))
def test_times_grow_in_every_zone_and_do_not_depend_on_where_one_asks(
    fields: Fields, zone: str, after: int
) -> None:
    timing = parse_timing(expression(fields), zone)
    times = upcoming(timing, after, 20)
    assert [after, *times] == sorted({after, *times})
    assert all(ms % 1000 == 0 and ms < LATEST_MS for ms in times)
    for number, ms in enumerate(times[:-1]):
        assert upcoming(timing, ms, 1) == [times[number + 1]]
        assert upcoming(timing, ms - 1, 1) == [ms]


@settings(deadline=None, max_examples=100)
@given(
    when=st.sampled_from(("every 7s", "every 15m", "every 1d", "*/5 * * * *", "30 2 * * *", "0 9 1 * *")),
    zone=st.sampled_from(ZONES),
    after=st.integers(FIRST, LAST),
    span=st.integers(0, 400 * DAY),
    limit=st.integers(1, 5),
)
def test_the_newest_times_are_the_last_of_all(
    when: str, zone: str, after: int, span: int, limit: int
) -> None:
    timing = parse_timing(when, zone)
    newest = timing.newest(after, after + span, limit)
    assert newest == sorted(newest)
    assert all(after < ms <= after + span for ms in newest)
    # Nothing lies between them or after them.
    assert upcoming(timing, newest[0] - 1 if newest else after, limit + 1)[: len(newest)] == newest
    assert upcoming(timing, newest[-1] if newest else after, 1)[0] > after + span
    if len(newest) < limit:
        assert upcoming(timing, after, limit)[: len(newest)] == newest
