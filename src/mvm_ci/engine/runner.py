"""The runner process: runs guests one after another on one thread.

``python -m mvm_ci.engine.runner PARENT DATA CONTROL RUNTIME``: the pool's process id, two inherited sockets,
and ``module:factory`` of the ``GuestRuntime``. Started by the pool only, and gone with it.
"""

import ctypes
import faulthandler
import gc
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Final, cast

from mvm_ci.domain.errors import BadModule
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.outcome import Failed, Failure, FailureKind, Outcome
from mvm_ci.domain.segment import Segment
from mvm_ci.engine.messages import Ready, Result, Setup
from mvm_ci.engine.runner_host import RunnerHost
from mvm_ci.engine.runner_link import Disconnected, RunnerLink, Waiting
from mvm_ci.lifecycle.execute import Execution, ExecutionLimits, execute
from mvm_ci.ports.guest import Guest, GuestLimits, GuestRuntime, HostCalls

_log = logging.getLogger(__name__)
_PR_SET_PDEATHSIG: Final = 1
_GC_THRESHOLD: Final = 50_000
_OOM_SCORE: Final = "500"


class Runner:
    """Runs the tasks that come over ``link``."""

    def __init__(self, link: RunnerLink, runtime: GuestRuntime, setup: Setup) -> None:
        self._link = link
        self._runtime = runtime
        self._setup = setup

    def serve(self) -> None:
        """Runs tasks until the pool is gone. Raises ``Disconnected`` then."""
        while True:
            waiting = self._link.next_task()
            began = time.perf_counter_ns()
            outcome, tail, unloadable = self._run(waiting)
            took = time.perf_counter_ns() - began
            self._link.done(Result(waiting.task.number, outcome, tail, took, unloadable))

    def _run(self, waiting: Waiting) -> tuple[Outcome | None, Segment | None, bool]:
        task = waiting.task
        try:
            guest = self._runtime.load(waiting.module)
        except BadModule as error:
            return Failed(Failure(kind=FailureKind.MODULE, message=str(error))), None, True
        execution = Execution(
            job=task.placed.job,
            attempt=task.attempt,
            epoch=task.placed.epoch,
            place=self._setup.place,
            module=Digest(waiting.module.digest),
            input=task.payload,
            journal=task.journal,
        )
        limits = ExecutionLimits(
            guest=GuestLimits(memory_bytes=task.memory_bytes), suspend_after_ms=self._setup.suspend_after_ms
        )
        try:
            result = execute(
                _Entered(guest, self._link), execution, RunnerHost(self._link, task.number), limits
            )
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - it costs this job, not the runner
            _log.exception("job %d: the execution failed in the engine itself", task.placed.job)
            failure = Failure(
                kind=FailureKind.ENGINE, message=f"error in the engine: {type(error).__name__}: {error}"
            )
            return Failed(failure), None, False
        return result.outcome, result.tail, False


class _Entered:
    """A guest that tells the link when it runs: only then can it be made to leave."""

    __slots__ = ("_guest", "_link")

    def __init__(self, guest: Guest, link: RunnerLink) -> None:
        self._guest = guest
        self._link = link

    def run(self, payload: bytes, host: HostCalls, limits: GuestLimits) -> bytes:
        self._link.enter()
        try:
            return self._guest.run(payload, host, limits)
        finally:
            self._link.exit()


def main(arguments: list[str]) -> None:
    """The process's life."""
    parent, data_fd, control_fd = map(int, arguments[:3])
    _die_with(parent)
    faulthandler.enable()
    logging.basicConfig(level=logging.WARNING, format="runner %(process)d: %(levelname)s %(message)s")
    data, control = socket.socket(fileno=data_fd), socket.socket(fileno=control_fd)
    runtime = _make_runtime(arguments[3])
    link = RunnerLink(data, control, runtime.interrupt)
    try:
        setup = link.receive_setup()
        threading.Thread(target=link.watch, name="watcher", daemon=True).start()
        gc.collect()
        # Long pauses for nothing: what is loaded now stays, and what guests leave is freed by counting.
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD, 20, 100)
        link.send(Ready())
        Runner(link, runtime, setup).serve()
    except Disconnected:
        # Nobody is left to report to, and freeing everything takes longer than ending.
        os._exit(0)


def _die_with(parent: int) -> None:
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


def _make_runtime(name: str) -> GuestRuntime:
    module, _, factory = name.partition(":")
    return cast("GuestRuntime", getattr(importlib.import_module(module), factory)())


if __name__ == "__main__":
    main(sys.argv[1:])
