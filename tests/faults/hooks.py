"""What befalls a process at an exact place: it dies there, it disobeys, its wall clock jumps.

A test copies this file as ``sitecustomize.py`` into a directory of its own and starts a process with that
directory in ``PYTHONPATH``: Python runs it at the start of the process and of its runners. What it does
stands in files beside it, which the test writes whenever it likes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PLAN, DEFIANT = HERE / "plan.json", HERE / "defiant"
OFFSET, STANDS = HERE / "clock-offset-ms", HERE / "clock-stands"
RUNNER = "mvm_ci.engine.runner" in sys.orig_argv
_visits = 0


def reach(point: str) -> None:
    """Kills the worker at the planned visit of the planned point (names as in ``testing.crash_points``)."""
    global _visits  # noqa: PLW0603 - a process dies once
    try:
        planned, visit = json.loads(PLAN.read_text())
    except FileNotFoundError:
        return
    if point == planned:
        _visits += 1
        if _visits == visit:
            os.kill(os.getppid() if RUNNER else os.getpid(), signal.SIGKILL)
            signal.pause()  # a runner follows its worker


def around(owner: Any, name: str, point: str) -> None:
    """A coroutine method with a point on both its sides."""
    method = getattr(owner, name)

    async def wrapped(*args: Any, **named: Any) -> Any:
        reach(f"{point}.before")
        answer = await method(*args, **named)
        reach(f"{point}.after")
        return answer

    setattr(owner, name, wrapped)


def around_answer(owner: Any, name: str, point: str) -> None:
    """The same of a method that returns a future."""
    method = getattr(owner, name)

    def wrapped(*args: Any) -> Any:
        reach(f"{point}.before")
        answer = method(*args)
        # Before whoever waits for it hears of it; not if nobody does any more.
        answer.add_done_callback(lambda done: None if done.cancelled() else reach(f"{point}.after"))
        return answer

    setattr(owner, name, wrapped)


def before(owner: Any, name: str, point: str) -> None:
    """A method with a point before it."""
    method = getattr(owner, name)

    def wrapped(*args: Any) -> Any:
        reach(point)
        return method(*args)

    setattr(owner, name, wrapped)


def in_the_worker() -> None:
    from mvm_ci.adapters.http.client import GuestHttpClient
    from mvm_ci.domain.mail import WAIT_FOR_MAIL
    from mvm_ci.peer.asks import Asks
    from mvm_ci.peer.intake import Intake
    from mvm_ci.peer.outbox import Outbox
    from mvm_ci.peer.payloads import Payloads

    around(GuestHttpClient, "fetch", "effect")
    around(Payloads, "put", "blob")
    wait = Asks.ask
    around(Asks, "ask", "ask")
    ask: Callable[..., Any] = Asks.ask
    # Waits for mail have their points in the runner, where the guest waits.
    setattr(Asks, "ask", lambda *args: (wait if args[2] == WAIT_FOR_MAIL else ask)(*args))  # noqa: B010
    around_answer(Outbox, "append", "append")
    before(Outbox, "ended", "report.before")
    before(Outbox, "recorded", "report.after")
    drop: Callable[..., None] = Intake.drop
    setattr(Intake, "drop", lambda *args: None if DEFIANT.exists() else drop(*args))  # noqa: B010 - for mypy


def in_a_runner() -> None:
    from mvm_ci.engine.runner_host import RunnerHost

    wait = RunnerHost.wait_until

    async def wait_until(host: RunnerHost, wall_ns: int) -> None:
        reach("wait.before")
        await wait(host, wall_ns)
        reach("wait.after")

    setattr(RunnerHost, "wait_until", wait_until)  # noqa: B010 - for mypy
    around(RunnerHost, "mail", "mail")


def strange_clock() -> None:
    """The wall clock goes wrong by ``OFFSET``, and while ``STANDS`` is there it stands still."""
    true_ns = time.time_ns
    last = true_ns()

    def time_ns() -> int:
        nonlocal last
        if not STANDS.exists():
            offset_ms = int(OFFSET.read_text()) if OFFSET.exists() else 0
            last = true_ns() + offset_ms * 1_000_000
        return last

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


if __name__ == "sitecustomize":
    strange_clock()
    if RUNNER:
        in_a_runner()
    elif "worker" in sys.orig_argv:
        in_the_worker()
