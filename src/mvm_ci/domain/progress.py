"""Progress: whether a worker that is alive also does something. Pure; times are milliseconds of one clock."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Activity(NamedTuple):
    """What is known of a worker's work.

    ``waiting_since``: since when the oldest job waits that it was given and has not started; None without
    one. ``moved``: when a guest last started or ended. ``lame_since``: since when it has no runner; None if
    it has some, or does not say.
    """

    waiting_since: int | None
    moved: int
    lame_since: int | None = None


def stalled(activity: Activity, now: int, limit: int) -> bool:
    """Whether the worker has done nothing for ``limit`` although it had something to do, or had no runner
    for so long.

    A worker without jobs has nothing to show, and one whose guests end goes on: it may be slow.
    """
    if activity.lame_since is not None and now - activity.lame_since >= limit:
        return True
    if activity.waiting_since is None:
        return False
    return now - max(activity.waiting_since, activity.moved) >= limit


def overdue(waiting: Sequence[tuple[T, int]], now: int, limit: int) -> list[T]:
    """Those that wait for ``limit`` or longer: ``waiting`` tells since when each does."""
    return [one for one, since in waiting if now - since >= limit]
