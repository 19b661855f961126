"""How long to wait before trying again."""

import random
from collections.abc import Callable
from typing import Final

FIRST_MS: Final = 200.0
LONGEST_MS: Final = 5_000.0
"""Well below a lease: a control plane that restarts grants one lease to those who come back."""


class Backoff:
    """Exponential with full jitter: a fleet that lost its control plane does not come back in step.

    ``chance``: uniform in [0, 1).
    """

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._failures = 0

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._failures

    def next_ms(self) -> float:
        """Notes a failure; milliseconds to wait now."""
        limit = min(LONGEST_MS, FIRST_MS * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return self._chance() * limit

    def reset(self) -> None:
        """It worked."""
        self._failures = 0
