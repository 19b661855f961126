"""Follows the events of the namespace."""

import asyncio
from typing import Final

from mvm_ci.deploy.validation.bench import Bench, Gone
from mvm_ci.deploy.validation.guest import Program
from mvm_ci.domain.errors import Unavailable

_FIRST: Final = Program(kind="compute", steps="c1")
_FIRST_S: Final = 3.0
_TRIES: Final = 20


async def follow(bench: Bench) -> None:
    """Tells the bench each event from now on, until it is cancelled. Raises ``Gone``."""
    try:
        async for event in bench.client.events():
            if event.kind in {"gap", "restarted"}:
                bench.holes.append(bench.now_s())
            bench.happened(event)
    except Unavailable as error:
        raise Gone(f"the events end: {error}") from None


async def arrive(bench: Bench) -> bool:
    """Whether events come, from now on: nothing but an event tells that the stream stands."""
    for _ in range(_TRIES):
        (job,) = await bench.submit([_FIRST])
        if await bench.settled(job, _FIRST_S) is not None:
            bench.watched_s = bench.now_s()
            return True
        await asyncio.sleep(0)
    return False
