"""Removing all jobs of a selection, whatever they are doing."""

import asyncio
from typing import Final

from mvm_ci.client.api import AsyncClient
from mvm_ci.domain.errors import MvmCiError
from mvm_ci.wire import api

_AGAIN_S: Final = 0.2


async def remove_jobs(client: AsyncClient, which: api.JobSelection, within_s: float) -> str:
    """Ends and removes them; why some are left, or nothing."""
    try:
        async with asyncio.timeout(within_s):
            while not (await client.cancel_jobs(which)).complete:
                pass
            while True:
                removed = await client.delete_jobs(which)
                if removed.complete and not (await client.jobs(which, limit=1)).jobs:
                    return ""
                if removed.complete:
                    await asyncio.sleep(_AGAIN_S)  # some have yet to end
    except TimeoutError:
        return f"jobs of the queue {which.queue}: they have not ended within {within_s:.0f} s"
    except MvmCiError as error:
        return f"jobs of the queue {which.queue}: {error}"
