"""Where the control plane is."""

import asyncio
from pathlib import Path
from typing import Final

from mvm_ci.domain.errors import Misconfigured, Unavailable
from mvm_ci.peer.settings import PeerSettings

_LONGEST: Final = 4096


class TicketSource:
    """The ticket given, or what its file says now: it is read for each dial, so a new one needs no
    restart.
    """

    def __init__(self, settings: PeerSettings) -> None:
        """Raises ``Misconfigured`` unless exactly one of ``ticket`` and ``ticket_file`` is set."""
        if (settings.ticket is None) == (settings.ticket_file is None):
            raise Misconfigured("a worker needs either a ticket or a ticket file")
        self._ticket = settings.ticket
        self._file = settings.ticket_file

    @property
    def fixed(self) -> bool:
        """Whether a bad ticket stays bad."""
        return self._file is None

    @property
    def file(self) -> Path | None:
        """Where it is read anew."""
        return self._file

    async def read(self) -> str:
        """The ticket. Raises ``Unavailable`` if its file cannot be read now."""
        if self._file is None:
            return self._ticket or ""
        try:
            return await asyncio.to_thread(_read, self._file)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise Unavailable(
                f"the ticket file {self._file} cannot be read: {reason}; it is read again for each dial"
            ) from None


def _read(file: Path) -> str:
    with file.open(encoding="utf-8") as opened:
        return opened.read(_LONGEST).strip()
