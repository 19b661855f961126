"""Asking a process to end: by SIGTERM or SIGINT, once to end in good order, twice to end at once."""

import asyncio
import signal
from typing import Any, Final

import structlog

_log = structlog.get_logger(__name__)
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """The wish of whoever started this process that it ends. For one task, on the main thread."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        """``task`` is cancelled by the second signal."""
        self._task = task
        self._asked = asyncio.Event()

    def listen(self) -> None:
        """Takes the signals; again, where a part has taken them for itself and gone."""
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._signalled, number)

    def ask(self) -> None:
        """The same as the first signal."""
        self._asked.set()

    async def asked(self) -> None:
        """Returns when the process is to end."""
        await self._asked.wait()

    def _signalled(self, number: signal.Signals) -> None:
        if self._asked.is_set():
            _log.warning("ending_at_once", signal=number.name)
            self._task.cancel()
        else:
            _log.info("ending", signal=number.name)
            self._asked.set()
