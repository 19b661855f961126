"""How a figure is asked for, and told: what all kinds of runs have in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from mvm_ci.reporting import numbers

Value = float | int | str
Chosen = Mapping[str, str]
Found = TypeVar("Found")


class NoFigure(Exception):
    """There is no such figure; the text says why, and what would supply it."""


class Run(ABC):
    """One file. ``name``: of the file."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def figure(self, what: str, chosen: Chosen) -> Value:
        """The figure ``what``. Raises ``NoFigure``."""

    def no(self, what: str, known: Sequence[str]) -> NoFigure:
        """What to say of a figure that no such file has."""
        return NoFigure(f"{self.name} has no figure {what!r}; it has: {', '.join(sorted(known))}")


def date(unix_ms: int) -> str:
    """The day, UTC."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).date().isoformat()


def hardware(cores: int, cpu: str) -> str:
    """Where something was measured, in few words."""
    return f"{cores} cores ({cpu})"


def machine(cores: int, cpu: str, kernel: str, python: str, packages: Mapping[str, str]) -> str:
    """Where something was measured, and with what."""
    return (
        f"{hardware(cores, cpu)}, Linux {kernel.partition('-')[0]}, Python {python}, "
        f"wasmtime {packages['wasmtime']}, iroh {packages['iroh']}"
    )


def shown(value: Value) -> str:
    """A figure in words: what is counted in full, what is measured with three digits."""
    if isinstance(value, str):
        return value
    return numbers.shown(value)


def pairs(chosen: Chosen) -> str:
    return " ".join(f"{key}={value}" for key, value in chosen.items()) or "nothing in particular"


def without(chosen: Chosen, key: str, name: str) -> tuple[str, dict[str, str]]:
    """One of the pairs, and the others."""
    others = dict(chosen)
    try:
        return others.pop(key), others
    except KeyError:
        raise NoFigure(f"{name}: say which {key}: {key}=…") from None


def one_of(of: Mapping[str, Found], key: str, name: str) -> Found:
    try:
        return of[key]
    except KeyError:
        raise NoFigure(f"{name} has no {key!r}; it has: {', '.join(sorted(of))}") from None
