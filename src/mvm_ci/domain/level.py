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
