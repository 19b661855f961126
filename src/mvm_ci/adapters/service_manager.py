"""systemd, and whatever else speaks its protocol: ``sd_notify``, datagrams of lines to a socket.

It starts a process with these variables:

::

    NOTIFY_SOCKET   where it listens: a path, or with a leading ``@`` a name in Linux's abstract namespace
    WATCHDOG_USEC   how long the process may be silent before it counts as hanging and is killed
    WATCHDOG_PID    for which process that holds; missing: for this one
"""

import asyncio
import os
import socket
from collections.abc import MutableMapping
from typing import Final

import structlog

from mvm_ci.domain.errors import Misconfigured
from mvm_ci.ports.supervisor import Progress, Supervisor, Unsupervised

_log = structlog.get_logger(__name__)
SOCKET, WATCHDOG, WATCHDOG_PID = VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
STATUS_S: Final = 30.0
"""Between two looks at the progress of a process without a watchdog."""
_STARTING: Final = 3.0
"""How many looks a process that starts may take for the next one, before it counts as hanging."""
_AGAIN_S: Final = 0.1
"""Before what did not fit into the listener's queue is sent again."""
_LONGEST: Final = 200
"""Characters of a status."""


def take_supervisor(environ: MutableMapping[str, str]) -> Supervisor:
    """Who looks after this process, as ``environ`` says.

    The variables are removed: no process that this one starts may speak for it. Raises ``Misconfigured``.
    """
    address, limit, pid = (environ.pop(name, "") for name in VARIABLES)
    if not address:
        return Unsupervised()
    if address[0] not in "/@" or len(address) == 1:
        raise Misconfigured(
            f"{SOCKET}: {address[:80]!r} is neither a path nor an abstract socket; unset it, or start the "
            "process as systemd does"
        )
    every_s = STATUS_S
    watched = bool(limit) and pid in {"", str(os.getpid())}
    if watched:
        if not limit.isascii() or not limit.isdecimal() or int(limit) == 0:
            raise Misconfigured(f"{WATCHDOG}: {limit[:80]!r} is no number of microseconds above 0")
        # One that is late must not be the end.
        every_s = int(limit) / 1e6 / 2
    return ServiceManager(address, every_s, watched=watched)


class ServiceManager:
    """``Supervisor``. ``every_s``: between two looks at the progress; ``watched``: each is told."""

    def __init__(self, address: str, every_s: float, *, watched: bool) -> None:
        self._address = f"\0{address[1:]}" if address[0] == "@" else address
        self._every_s = every_s
        self._watched = watched
        self._unsent: dict[str, str] = {}
        self._again: asyncio.TimerHandle | None = None
        self._starting = True
        self._told = ""

    def ready(self, status: str) -> None:
        self._starting = False
        self._tell({"READY": "1"}, status)

    def stopping(self, status: str, within_s: float) -> None:
        self._starting = False
        self._tell({"STOPPING": "1", "EXTEND_TIMEOUT_USEC": _usec(within_s)}, status)

    async def follow(self, progress: Progress) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                status = await progress()
            except Exception:
                # Nobody would notice, but for the silence.
                _log.exception("progress_cannot_be_told")
                raise
            fields: dict[str, str] = {}
            if self._starting:
                fields["EXTEND_TIMEOUT_USEC"] = _usec(self._every_s * _STARTING)
            if self._watched:
                fields["WATCHDOG"] = "1"
            self._tell(fields, status)
            due = max(due + self._every_s, loop.time())
            await asyncio.sleep(due - loop.time())

    def _tell(self, fields: dict[str, str], status: str) -> None:
        line = " ".join(status.split())[:_LONGEST]
        if line != self._told:
            self._told = fields["STATUS"] = line
        self._unsent |= fields
        if self._again is None:
            self._send()

    def _send(self) -> None:
        self._again = None
        if not self._unsent:
            return
        text = "\n".join(f"{name}={value}" for name, value in self._unsent.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as one_way:
                one_way.sendto(text.encode(errors="replace"), self._address)
        except BlockingIOError:
            self._again = asyncio.get_running_loop().call_later(_AGAIN_S, self._send)
            return
        except OSError as error:
            _log.warning("service_manager_not_told", what=text, error=str(error))
        self._unsent.clear()


def _usec(seconds: float) -> str:
    return str(round(seconds * 1e6))
