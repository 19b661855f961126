"""Kills at random, by a seed: runners, workers and the control plane, each started again at once."""

import contextlib
import os
import signal
import time
from pathlib import Path
from random import Random
from typing import Final

from mvm_ci.testing.cluster import Process
from tests.faults.conftest import Rig

MOST_OF_WORKERS: Final = 6
"""Fewer than a job may lose before it is dead."""


class Chaos:
    """``killed``: what, in order."""

    def __init__(self, rig: Rig, workers: dict[str, Process], seed: int) -> None:
        self._rig = rig
        self._workers = workers
        self._random = Random(seed)
        self.killed: list[str] = []

    def strike(self) -> None:
        """Kills one process."""
        kinds = ["runner", "runner", "plane"]
        if self.killed.count("worker") < MOST_OF_WORKERS:
            kinds.append("worker")
        kind = self._random.choice(kinds)
        name = self._random.choice(sorted(self._workers))
        self.killed.append(kind)
        if kind == "runner":
            self._kill_runner(self._workers[name])
        elif kind == "worker":
            self._workers[name].end(signal.SIGKILL)
            self._workers[name] = self._rig.started(name, name, {})
        else:
            assert self._rig.plane is not None
            self._rig.plane.end(signal.SIGKILL)
            self._rig.start_again()

    def pause(self) -> None:
        """Until the next one."""
        time.sleep(self._random.uniform(0.2, 2.0))

    def _kill_runner(self, worker: Process) -> None:
        children = Path(f"/proc/{worker.popen.pid}/task/{worker.popen.pid}/children").read_text().split()
        if children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(self._random.choice(children)), signal.SIGKILL)
