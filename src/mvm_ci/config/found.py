"""What was found for a setting, and where: so that an error, and ``config show``, can say it."""

from dataclasses import dataclass, field
from enum import StrEnum


class Origin(StrEnum):
    """The kinds of places that settings come from."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    PROFILE = "profile"
    CREDENTIALS = "credentials-file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Found:
    """The text of a setting, in parts if it is a list. ``names_file``: it names a file with a secret."""

    texts: tuple[str, ...] = field(repr=False)
    origin: Origin
    where: str
    names_file: bool = False

    @property
    def text(self) -> str:
        """The text of a setting that is no list."""
        return self.texts[0]
