"""The runner process: runs many guests on one thread.

``python -m mvm_ci.engine.runner PARENT SOCKET RUNTIME``: the pool's process id, an inherited socket, and
``module:factory`` of the ``GuestRuntime``. Started by the pool only, and gone with it.
"""

import ctypes
import faulthandler
import gc
import importlib
import logging
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Final, cast

from mvm_ci.domain.errors import ProtocolError
from mvm_ci.engine.messages import Ready, Setup
from mvm_ci.engine.runner_link import OUT_OF_MEMORY, Disconnected, RunnerLink
from mvm_ci.engine.turns import Turns
from mvm_ci.ports.guest import GuestRuntime

_log = logging.getLogger(__name__)
_PR_SET_PDEATHSIG: Final = 1
_GC_THRESHOLD: Final = 50_000
_OOM_SCORE: Final = "500"


def main(arguments: list[str]) -> None:
    """The process's life."""
    parent, descriptor = map(int, arguments[:2])
    die_with(parent)
    faulthandler.enable()
    # A core dump would put the memory of guests on the disk, and with it their secrets.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.basicConfig(level=logging.WARNING, format="runner %(process)d: %(levelname)s %(message)s")
    runtime = make_runtime(arguments[2])
    link = RunnerLink(socket.socket(fileno=descriptor))
    try:
        setup = _setup(link)
        gc.collect()
        # Long pauses for nothing: what is loaded now stays, and what guests leave is freed by counting.
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD, 20, 100)
        link.send(Ready())
        Turns(link, runtime, setup).serve()
    except Disconnected:
        # Nobody is left to report to, and freeing everything takes longer than ending.
        os._exit(0)
    except MemoryError:
        # Nor could a report be made.
        os._exit(OUT_OF_MEMORY)


def _setup(link: RunnerLink) -> Setup:
    messages = link.receive(None)
    if len(messages) != 1 or not isinstance(messages[0], Setup):
        raise ProtocolError("the pool did not begin with the setup")
    return messages[0]


def die_with(parent: int) -> None:
    """Whoever kills the pool kills its runners; who stops it politely leaves them to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # It may have died before the line above.
    if os.getppid() != parent:
        os._exit(0)
    try:
        # When memory runs out, a guest's runner shall go and not the worker.
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    except OSError as error:
        _log.debug("oom_score_adj stays as it is: %s", error)


def make_runtime(name: str) -> GuestRuntime:
    """What ``module:factory`` makes."""
    module, _, factory = name.partition(":")
    return cast("GuestRuntime", getattr(importlib.import_module(module), factory)())


if __name__ == "__main__":
    main(sys.argv[1:])
