"""What a setting is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One setting. ``default`` is shown and, unless it names something (in words or with ``$``), parsed."""

    flag: str | None
    env: str | None
    parse: Callable[[str], T]
    default: str
    about: str
    metavar: str = "TEXT"

    @property
    def key(self) -> str:
        """The flag's parameter name; also its key in the configuration file."""
        name = self.flag or (self.env or "").removeprefix("MVM_CI_").lower()
        return name.lstrip("-").replace("-", "_")
