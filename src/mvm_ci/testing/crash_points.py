"""Named places at which a process may die: on both sides of each durable write and of each effect.

A fake host calls ``CrashPoints.reach`` with a name of ``POINTS``. A test arms one, and the process "dies"
there: ``Crashed`` unwinds everything, and only what was durable is left for the next placement.
"""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

POINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "append.before": "posted entries are about to become durable",
        "append.after": "they are durable, their sender does not know",
        "effect.before": "a request is about to leave",
        "effect.after": "the outside has seen it, its result is known to nobody else",
        "ask.before": "the control plane is about to be asked",
        "ask.after": "it has done what it was asked for, its answer is known to nobody else",
        "mail.before": "the guest is about to wait for mail in place",
        "mail.after": "mail has come, or its time is over",
        "blob.before": "a large payload is about to be stored",
        "blob.after": "it is stored, nothing refers to it yet",
        "wait.before": "the guest is about to wait in place",
        "wait.after": "its time has come",
        "report.before": "the placement ended, nobody knows",
        "report.after": "outcome and tail are durable, their sender does not know",
    }
)
"""Every crash point and what holds there. Tests go through all of them; process-level tests use the same
names.
"""


class Crashed(BaseException):
    """The process died at ``point``. No ``Exception``: nothing in the product may catch it."""

    def __init__(self, point: str) -> None:
        super().__init__(point)
        self.point = point


class CrashPoints:
    """The crash points of one fake process. ``reached``: how often each was passed or died at."""

    def __init__(self, point: str | None = None, visit: int = 1) -> None:
        """Dies at the ``visit``-th time that ``point`` is reached; None: never. Raises ``KeyError`` for no
        point.
        """
        if point is not None:
            POINTS[point]
        self._armed = point, visit
        self.reached: Counter[str] = Counter()

    def reach(self, point: str) -> None:
        """The process is at ``point``. Raises ``Crashed`` if it dies here, ``KeyError`` for a name not in
        ``POINTS``.
        """
        POINTS[point]
        self.reached[point] += 1
        if (point, self.reached[point]) == self._armed:
            raise Crashed(point)
