"""When a schedule fires: cron expressions in a time zone, and intervals. Pure: time is handed in.

An expression has the five fields of cron (minute, hour, day of month, month, day of week) or is one of
``NICKNAMES``; ``every 15m`` is an interval: the multiples of it since 1970-01-01 00:00 UTC, so that a restart
or an edit moves nothing.

Where clocks change, Debian's cron is the model:

- An expression whose minute and hour are both fixed (neither begins with ``*``) means a time of day. If the
  clock skips that time, it fires at the first minute after the gap; if the clock shows it twice, it fires the
  first time only.
- Any other one follows the minutes as they pass: those in a gap do not
  come, those that come twice fire twice.
"""

import re
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from itertools import islice
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from mvm_ci.domain.errors import BadInput

LONGEST: Final = 200
"""Characters of an expression."""
LATEST_MS: Final = 7_258_118_400_000
"""2200-01-01: no schedule looks further."""
NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS: Final = 5
_zones: Final[dict[str, tzinfo]] = {"UTC": UTC}
_INTERVAL: Final = re.compile(r"every\s+([1-9]\d{0,5})\s*(s|m|h|d)")
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_HOUR_MS: Final = 3_600_000
# Each window is as long as its fires may be rare; the last one reaches back to 1970.
_WINDOWS_MS: Final = (_HOUR_MS, 24 * _HOUR_MS, 32 * 24 * _HOUR_MS, 366 * 24 * _HOUR_MS, LATEST_MS)


class Timing(Protocol):
    """The times of a schedule, in Unix milliseconds; the same for everybody who asks."""

    def after(self, ms: int) -> Iterator[int]:
        """The times later than ``ms``, in order; it ends where ``LATEST_MS`` is passed."""
        ...

    def newest(self, after_ms: int, until_ms: int, limit: int) -> list[int]:
        """The last ``limit`` times later than ``after_ms`` and not later than ``until_ms``, in order."""
        ...


class Interval:
    """A ``Timing``: the multiples of ``step_ms``."""

    def __init__(self, step_ms: int) -> None:
        self._step = step_ms

    def after(self, ms: int) -> Iterator[int]:
        return iter(range((ms // self._step + 1) * self._step, LATEST_MS, self._step))

    def newest(self, after_ms: int, until_ms: int, limit: int) -> list[int]:
        last = until_ms // self._step
        first = max(after_ms // self._step + 1, last - limit + 1)
        return [number * self._step for number in range(first, last + 1)]


class Cron:
    """A ``Timing``: a cron expression of five fields in a time zone."""

    def __init__(self, expression: str, zone: tzinfo) -> None:
        """Raises ``CronSimError``."""
        self._expression = expression
        self._zone = zone
        CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC))

    def after(self, ms: int) -> Iterator[int]:
        last = ms
        # The second of two equal clock times looks like the first to the library: what it repeats is skipped.
        for found in CronSim(self._expression, datetime.fromtimestamp(ms // 1000, self._zone)):
            at_ms = int(found.timestamp()) * 1000
            if at_ms >= LATEST_MS:
                return
            if at_ms > last:
                yield at_ms
                last = at_ms

    def newest(self, after_ms: int, until_ms: int, limit: int) -> list[int]:
        found: deque[int] = deque(maxlen=limit)
        for window in _WINDOWS_MS:
            start = max(after_ms, until_ms - window)
            found.clear()
            for at_ms in self.after(start):
                if at_ms > until_ms:
                    break
                found.append(at_ms)
            if start == after_ms or len(found) == limit:
                break
        return list(found)


def parse_timing(text: str, zone: str) -> Timing:
    """What ``text`` means in the time zone ``zone`` (an IANA name). Raises ``BadInput``, saying why."""
    where = parse_zone(zone)
    given = text.strip()
    if len(given) > LONGEST:
        raise BadInput(f"when: {len(given)} characters; at most {LONGEST} are allowed")
    interval = _INTERVAL.fullmatch(given)
    if interval is not None:
        return Interval(int(interval[1]) * _UNITS_MS[interval[2]])
    expression = NICKNAMES.get(given, given)
    if len(expression.split()) != _FIELDS:
        raise BadInput(
            f"when: {given[:80]!r} is no cron expression: five fields such as '0 9 * * MON-FRI', one of "
            f"{', '.join(NICKNAMES)}, or an interval such as 'every 15m'"
        )
    try:
        return Cron(expression, where)
    except CronSimError as error:
        raise BadInput(f"when: {given[:80]!r} is no cron expression: {str(error).lower()}") from None


def is_read(zone: str) -> bool:
    """Whether the rules of this time zone are in memory; else ``parse_zone`` reads them from a file."""
    return zone in _zones


def parse_zone(name: str) -> tzinfo:
    """The time zone with this IANA name. Raises ``BadInput``."""
    try:
        if name not in _zones:
            _zones[name] = ZoneInfo(name)
        return _zones[name]
    except (KeyError, ValueError, OSError):
        # ValueError: a path; OSError: a directory of zones, or a name too long for a file.
        raise BadInput(
            f"time_zone: there is no zone {name[:80]!r}; it is a name such as Europe/Berlin or UTC"
        ) from None


def upcoming(timing: Timing, after_ms: int, count: int) -> list[int]:
    """The next ``count`` times later than ``after_ms``; fewer if there are no more."""
    return list(islice(timing.after(after_ms), count))
