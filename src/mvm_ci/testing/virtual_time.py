"""Virtual time for a test: real sockets, but no machine is too busy for it.

While there are bytes to read or callbacks to call, time stands still; then it jumps to the next timer.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec
from unittest import mock

P = ParamSpec("P")
_KERNEL_S = 0.001
"""For bytes on their way through the kernel, of real time, before time jumps."""


class Clock:
    """``now``: seconds."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def loop(self) -> asyncio.AbstractEventLoop:
        """One that goes by it."""
        made = asyncio.SelectorEventLoop(_Selector(self))
        made.time = self  # type: ignore[method-assign]
        return made


class _Selector(selectors.DefaultSelector):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(min(timeout, _KERNEL_S))
        if not ready:
            self._clock.now += timeout
        return ready


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test in which the loop's time and the performance counter are virtual, and CPU costs nothing."""

    @functools.wraps(test)
    def run(*args: P.args, **fixtures: P.kwargs) -> None:
        clock = Clock()
        with (
            mock.patch.object(time, "perf_counter", clock),
            mock.patch.object(time, "process_time", return_value=0.0),
            asyncio.Runner(loop_factory=clock.loop) as runner,
        ):
            runner.run(test(*args, **fixtures))

    return run


def compute(seconds: float) -> None:
    """Lets virtual time go by without giving anything else a chance."""
    clock = asyncio.get_running_loop().time
    assert isinstance(clock, Clock)
    clock.now += seconds
