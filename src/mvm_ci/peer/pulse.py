"""When a worker's next heartbeat is due, and when its control plane has been silent for too long.

Pure; times are milliseconds of the lease clock. A worker that holds nothing *rests* if the control plane lets
it: its heartbeats are far apart, and meanwhile it looks whether the network still hears the other process.
"""

from typing import Final

SILENT_HEARTBEATS: Final = 2
"""Heartbeat intervals without a sign of the control plane until the connection is given up: soon enough to
dial one that restarted before the grace that it grants after its start is over.
"""
LOOKS: Final = 5
"""At a resting worker's connection, in one heartbeat interval."""


class Pulse:
    """The heartbeats of one connection. ``sent_ms``: when its ``Hello`` was sent, which was answered."""

    def __init__(self, sent_ms: int, lease_ms: int, heartbeat_ms: int) -> None:
        self.lease_ms = lease_ms
        self.heartbeat_ms = heartbeat_ms
        self._look_ms = max(1, heartbeat_ms // LOOKS)
        self._last_ms = sent_ms
        self._sign_ms = sent_ms
        self._rest_ms = 0
        self._heard = 0
        self._sent_at: dict[int, int] = {}

    @property
    def resting(self) -> bool:
        """Whether the next heartbeat is far away; then what has come from the peer is to be ``noted``."""
        return self._rest_ms > 0

    def sent(self, number: int, now: int) -> None:
        """A heartbeat leaves. The worker does not rest until the answer lets it again."""
        self._sent_at[number] = self._last_ms = now
        self._rest_ms = 0

    def answered(self, number: int, rest_ms: int) -> int:
        """When the heartbeat that is answered was sent. ``rest_ms``: how far the next one may be from it; 0
        if the worker holds something.
        """
        sent_at = self._sent_at[number]
        self._sent_at = {later: at for later, at in self._sent_at.items() if later > number}
        self._sign_ms = max(self._sign_ms, sent_at)
        if not self._sent_at:
            self._rest_ms = rest_ms
        return sent_at

    def noted(self, heard: int, now: int) -> None:
        """So much has come from the peer's process (``Connection.heard``)."""
        if heard != self._heard:
            self._heard = heard
            self._sign_ms = now

    def due(self, now: int) -> bool:
        """Whether a heartbeat is to be sent."""
        if not self.resting:
            return now - self._last_ms >= self.heartbeat_ms
        # One look more than an interval: iroh lets itself be heard just as often.
        unheard = now - self._sign_ms >= self.heartbeat_ms + self._look_ms
        return unheard or now - self._last_ms >= self._rest_ms

    def silent_ms(self, now: int) -> int | None:
        """For how long nothing was heard, if that is too long."""
        silent = now - self._sign_ms
        return silent if silent >= SILENT_HEARTBEATS * self.heartbeat_ms else None

    def wait_ms(self, now: int) -> int:
        """Until it has to be looked at again; at least 1."""
        due = self._last_ms + (self._rest_ms or self.heartbeat_ms) - now
        return max(1, min(due, self._look_ms) if self.resting else due)
