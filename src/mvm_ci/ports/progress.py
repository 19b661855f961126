"""How far something is that takes long, for whoever waits for it."""

from typing import Protocol


class Progress(Protocol):
    """Whoever wants to know. Must not block."""

    def phase(self, text: str, seconds: float) -> None:
        """Something begins that takes so long at most; 0: nobody knows how long."""

    def goes_on(self, for_s: float, text: str) -> None:
        """The phase has gone on ``for_s``."""

    def told(self, text: str) -> None:
        """One line on something that is over."""
