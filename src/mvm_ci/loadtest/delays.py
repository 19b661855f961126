"""How long a stub takes: distributions of latencies, with a seed."""

import math
import random
import re
from collections.abc import Callable
from typing import Final

from mvm_ci.domain.errors import BadInput

_TEXT: Final = re.compile(r"(?P<kind>[a-z]+):(?P<mean>\d+(?:\.\d+)?)ms(?:,p99=(?P<p99>\d+(?:\.\d+)?)ms)?")
_Z99: Final = 2.3263
"""Standard deviations from the middle of a normal distribution to its 99th percentile."""
LONGEST_MS: Final = 30_000.0
FORMS: Final = "fixed:20ms, exponential:20ms or lognormal:20ms,p99=200ms"


class Delays:
    """``text``: as in ``FORMS``; the first time is the mean. Raises ``BadInput``."""

    def __init__(self, text: str, seed: int) -> None:
        self.text = text
        parts = _TEXT.fullmatch(text)
        if parts is None or (parts["p99"] is None) != (parts["kind"] != "lognormal"):
            raise BadInput(f"{text!r} is no distribution of latencies; one is {FORMS}")
        mean = float(parts["mean"])
        if not 0 <= mean <= LONGEST_MS or (mean == 0 and parts["kind"] != "fixed"):
            raise BadInput(f"{text!r}: the mean is between 0 (fixed) and {LONGEST_MS:g} ms")
        chance = random.Random(seed)
        draw: dict[str, Callable[[], float]] = {
            "fixed": lambda: mean,
            "exponential": lambda: chance.expovariate(1 / mean),
        }
        if parts["p99"] is not None:
            middle, width = _lognormal(text, mean, float(parts["p99"]))
            draw["lognormal"] = lambda: chance.lognormvariate(middle, width)
        if parts["kind"] not in draw:
            raise BadInput(f"{text!r} is no distribution of latencies; one is {FORMS}")
        self._draw = draw[parts["kind"]]

    def next_s(self) -> float:
        """Of the next answer, in seconds; ``LONGEST_MS`` at most."""
        return min(self._draw(), LONGEST_MS) / 1000


def _lognormal(text: str, mean: float, p99: float) -> tuple[float, float]:
    """Mean and deviation of the logarithm."""
    # ln p99 - ln mean = z s - s²/2; of its two solutions the one with the smaller s.
    rest = _Z99**2 - 2 * math.log(p99 / mean) if p99 > mean else -1.0
    if rest < 0:
        raise BadInput(
            f"{text!r}: p99 is above the mean, and at most {math.exp(_Z99**2 / 2):.0f} times as high"
        )
    width = _Z99 - math.sqrt(rest)
    return math.log(mean) - width**2 / 2, width
