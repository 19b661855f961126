"""The disk that the state lives on."""

from typing import Protocol


class Disk(Protocol):
    """How much room there is."""

    async def free_bytes(self) -> int:
        """Bytes that this process may still write. Raises ``Unavailable``."""
        ...
