"""Runs ``mvm-ci`` so that its UDP sockets hear one port only: ``python walled.py PORT worker …``.

Peers on one machine find the straight way past a forwarder within seconds. A filter that any process may put
on its own sockets keeps them to the forwarder: no firewall, no root.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import stat
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from mvm_ci.adapters.iroh.transport import IrohEndpoint, IrohTransport
from mvm_ci.cli.main import main

SO_ATTACH_FILTER = 26
LOOK_S = 0.05


def hears_only(port: int) -> tuple[bytes, ctypes.Array[ctypes.c_char]]:
    """A filter that accepts datagrams from ``port`` (the first two bytes of a UDP header), and its memory."""
    steps = ((0x28, 0, 0, 0), (0x15, 0, 1, port), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))
    memory = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    return struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(memory)), memory


class Wall:
    """The filter, and the sockets it is put on."""

    def __init__(self, port: int) -> None:
        self._program, self._memory = hears_only(port)

    def close_in(self) -> None:
        """Puts the filter on every UDP socket that this process has."""
        for entry in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK(entry.stat().st_mode):
                    _attach(int(entry.name), self._program)

    def watch(self) -> NoReturn:
        """Puts it on new ones, too, a moment after they appear."""
        while True:
            self.close_in()
            time.sleep(LOOK_S)

    def before_the_first_word(self) -> None:
        """An endpoint is behind it before it dials: in that moment it could find the straight way."""
        bind = IrohTransport.bind

        async def behind(transport: IrohTransport, **asked: Any) -> IrohEndpoint:
            endpoint = await bind(transport, **asked)
            self.close_in()
            return endpoint

        IrohTransport.bind = behind  # type: ignore[assignment, method-assign] # whoever binds


def _attach(number: int, program: bytes) -> None:
    # A duplicate: the socket itself is not ours to close.
    with socket.socket(fileno=os.dup(number)) as found:
        if found.type == socket.SOCK_DGRAM and found.family in {socket.AF_INET, socket.AF_INET6}:
            found.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


if __name__ == "__main__":
    wall = Wall(int(sys.argv.pop(1)))
    wall.before_the_first_word()
    threading.Thread(target=wall.watch, daemon=True).start()
    main()
