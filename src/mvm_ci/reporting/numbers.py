"""Numbers as people read them."""

import math


def shown(value: float) -> str:
    """Three digits, and thousands apart: 0.0123, 1.5, 12,300; counts (``int``) in full."""
    if isinstance(value, int) or not value:
        return f"{value:,.0f}"
    digits = 2 - math.floor(math.log10(abs(value)))
    text = f"{round(value, digits):,.{max(0, digits)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def spread(values: list[float]) -> str:
    """From the least to the most, if these can be told apart."""
    if not values:
        return ""
    low, high = shown(min(values)), shown(max(values))
    return "" if low == high else f"{low} to {high}"


def counted(number: float, what: str) -> str:
    """So many of it: 1 worker, 1,000 workers."""
    return f"{number:,g} {what}{'' if number == 1 else 's'}"
