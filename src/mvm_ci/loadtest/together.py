"""Several things at once, of which the first that fails ends the others."""

import asyncio
from collections.abc import Coroutine


async def together(*parts: Coroutine[None, None, object]) -> None:
    """Returns when all have ended. Raises what the first that failed raised, when all have ended."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except BaseExceptionGroup as failed:
        error: BaseException = failed
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
