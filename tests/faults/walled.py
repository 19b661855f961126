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

SO_ATTACH_FILTER = 26
LOOK_S = 0.05


def hears_only(port: int) -> tuple[bytes, ctypes.Array[ctypes.c_char]]:
    """A filter that accepts datagrams from ``port`` (the first two bytes of a UDP header), and its memory."""
    steps = ((0x28, 0, 0, 0), (0x15, 0, 1, port), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0))
    memory = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    return struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(memory)), memory


def wall_in(port: int) -> None:
    """Puts the filter on every UDP socket of this process, on new ones a moment after they appear."""
    program, memory = hears_only(port)
    while memory:
        for entry in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                if stat.S_ISSOCK(entry.stat().st_mode):
                    _attach(int(entry.name), program)
        time.sleep(LOOK_S)


def _attach(number: int, program: bytes) -> None:
    # A duplicate: the socket itself is not ours to close.
    with socket.socket(fileno=os.dup(number)) as found:
        if found.type == socket.SOCK_DGRAM and found.family in {socket.AF_INET, socket.AF_INET6}:
            found.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


if __name__ == "__main__":
    walled = int(sys.argv.pop(1))
    threading.Thread(target=wall_in, args=(walled,), daemon=True).start()
    from mvm_ci.cli.main import main

    sys.exit(main())
