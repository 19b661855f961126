"""Time, as the use cases see it."""

from typing import Protocol


class Clock(Protocol):
    """Two clocks and a way to wait. Tests move a fake one."""

    def now_ms(self) -> int:
        """Unix time in milliseconds; may jump."""
        ...

    def lease_ms(self) -> int:
        """Milliseconds that never go back and include a machine's sleep (``CLOCK_BOOTTIME``).

        Only differences mean something.
        """
        ...

    async def sleep(self, ms: float) -> None:
        """Waits."""
        ...
