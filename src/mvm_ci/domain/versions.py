"""Versions of this software, compared. Pure."""

import re
from typing import Final

_NUMBERS: Final = re.compile(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?")


def is_older(version: str, than: str) -> bool:
    """Whether ``version`` comes before ``than``, by its numbers; what has none is not said to be older."""
    mine, other = _numbers(version), _numbers(than)
    return mine is not None and other is not None and mine < other


def _numbers(version: str) -> tuple[int, int, int] | None:
    found = _NUMBERS.match(version)
    return None if found is None else (int(found[1]), int(found[2]), int(found[3] or 0))
