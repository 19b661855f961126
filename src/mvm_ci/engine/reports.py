"""What the pool tells its ``EngineEvents``: gathered, and told once for each turn of the event loop."""

import asyncio

import structlog

from mvm_ci.domain.job import Placed
from mvm_ci.ports.engine import Ended, EngineEvents

_log = structlog.get_logger(__name__)


class Reports:
    """Starts go out before ends. An error of the listener is logged and harms nobody else."""

    def __init__(self, events: EngineEvents) -> None:
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._started: list[Placed] = []
        self._ended: list[Ended] = []
        self._freed = False
        self._soon = False
        self._closed = False

    def started(self, placed: Placed) -> None:
        """A guest runs."""
        self._started.append(placed)
        self._tell_soon()

    def tell_starts(self) -> None:
        """Starts are told now: entries of these guests are about to leave."""
        started, self._started = self._started, []
        if self._closed or not started:
            return
        try:
            self._events.started(started)
        except Exception:  # noqa: BLE001 - a listener's bug must not stop guests
            _log.exception("listener_failed", about="starts")

    def ended(self, ended: Ended) -> None:
        """A placement is over."""
        self._ended.append(ended)
        self._tell_soon()

    def freed(self) -> None:
        """A guest began to wait: its slot is free."""
        self._freed = True
        self._tell_soon()

    def close(self) -> None:
        """Nothing is told any more."""
        self._closed = True

    def _tell_soon(self) -> None:
        if not self._soon:
            self._soon = True
            self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        self._soon = False
        self.tell_starts()
        ended, self._ended = self._ended, []
        freed, self._freed = self._freed, False
        if self._closed:
            return
        try:
            if ended:
                self._events.ended(ended)
        except Exception:  # noqa: BLE001 - a listener's bug must not stop guests
            _log.exception("listener_failed", about="ends")
        try:
            if freed:
                self._events.slots_freed()
        except Exception:  # noqa: BLE001 - a listener's bug must not stop guests
            _log.exception("listener_failed", about="slots")
