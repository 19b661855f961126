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
MOST_OF_RUNNERS: Final = 3
"""Of one worker: a guest that is alone in more runners that die is taken for the cause."""


class Chaos:
    """``killed``: what, in order."""

    def __init__(self, rig: Rig, workers: dict[str, Process], seed: int) -> None:
        self._rig = rig
        self._workers = workers
        self._random = Random(seed)
        self.killed: list[str] = []
        self._runners = dict.fromkeys(workers, 0)

    def strike(self) -> None:
        """Kills one process."""
        kinds = ["runner", "runner", "plane"]
        if self.killed.count("worker") < MOST_OF_WORKERS:
            kinds.append("worker")
        kind = self._random.choice(kinds)
        name = self._random.choice(sorted(self._workers))
        if kind == "runner" and self._runners[name] >= MOST_OF_RUNNERS:
            kind = "plane"
        self.killed.append(kind)
        if kind == "runner":
            self._runners[name] += 1
            self._kill_runner(self._workers[name])
        elif kind == "worker":
            self._runners[name] = 0
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
