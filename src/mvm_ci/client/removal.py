"""Removing all jobs of a selection, whatever they are doing."""

import asyncio
import time
from typing import Final

from mvm_ci.client.api import AsyncClient
from mvm_ci.domain.errors import MvmCiError
from mvm_ci.wire import api

_AGAIN_S: Final = 0.2
_DONE: Final = "done"


async def remove_jobs(client: AsyncClient, which: api.JobSelection, within_s: float) -> str:
    """Ends and removes them; why some are left, or nothing. It goes on for as long as there is something to
    remove, and gives up when nothing has ended for ``within_s``.
    """
    where = f"jobs of the queue {which.queue}"
    deadline = time.monotonic() + within_s
    try:
        while True:
            # Again, too: some may come late, from requests that nobody waits for any more.
            cancelled = await client.cancel_jobs(which)
            removed = await client.delete_jobs(which)
            if not (await client.jobs(which, limit=1)).jobs:
                return ""
            if _DONE in removed.counts or _DONE in cancelled.counts:
                deadline = time.monotonic() + within_s
            elif time.monotonic() > deadline:
                return f"{where}: some have not ended within {within_s:.0f} s of being cancelled"
            else:
                await asyncio.sleep(_AGAIN_S)  # some have yet to end
    except MvmCiError as error:
        return f"{where}: {error}"
