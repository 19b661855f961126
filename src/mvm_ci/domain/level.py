"""What is left of a rate: as much of a concurrency key's token bucket as has to outlive a process."""

from typing import NamedTuple


class Level(NamedTuple):
    """So many ``tokens`` were left at ``at_ms`` of the rate of ``key``, each good for one start; at
    ``full_ms`` all of them are back.
    """

    namespace: str
    key: str
    tokens: float
    at_ms: int
    full_ms: int

    def unused(self, count: int) -> "Level":
        """The same, where ``count`` starts that were counted did not come to be."""
        return self._replace(tokens=self.tokens + count)

    def by(self, now_ms: int) -> "Level":
        """The same on a clock that was set back to ``now_ms``: as much time is missing as was before."""
        ahead_ms = max(0, self.at_ms - now_ms)
        return self._replace(at_ms=self.at_ms - ahead_ms, full_ms=self.full_ms - ahead_ms)
