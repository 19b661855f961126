"""Time limits by the worker's own clock, so that tests can move it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from mvm_ci.domain.errors import Unavailable
from mvm_ci.ports.clock import Clock

Result = TypeVar("Result")


async def within(clock: Clock, ms: float, work: Coroutine[Any, Any, Result], what: str) -> Result:
    """The result of ``work``. Raises ``Unavailable``, and ``work`` is cancelled, after ``ms``
    milliseconds.
    """
    task = asyncio.ensure_future(work)
    alarm = asyncio.ensure_future(clock.sleep(ms))
    try:
        await asyncio.wait({task, alarm}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Unavailable(f"{what}: no end after {ms / 1000:g} s")
    finally:
        task.cancel()
        alarm.cancel()
        await asyncio.gather(task, alarm, return_exceptions=True)
