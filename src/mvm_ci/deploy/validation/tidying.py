"""What a validation brings with it, and takes away again."""

import asyncio
from hashlib import sha256
from typing import Final

from mvm_ci.client import ApiClient
from mvm_ci.deploy.validation import guest
from mvm_ci.domain.errors import Conflict, MvmCiError, Refused
from mvm_ci.wire import api

NAME: Final = "mvm-ci-validate"
"""Of the module."""
_CLEAN_S: Final = 30.0
_AGAIN_S: Final = 0.2


class Tidy:
    """Of one validation."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._digest = ""
        self._ours = False

    async def push(self) -> str:
        """Pushes the guest; its digest. Again, if it was taken away."""
        data = guest.module()
        digest = sha256(data).hexdigest()
        if not self._digest:
            self._ours = not await self._client.modules(prefix=digest)
        self._digest = digest
        return (await self._client.push_module(data, NAME)).digest

    async def clean(self, which: api.JobSelection) -> tuple[str, ...]:
        """Ends and removes these jobs, and the module if it was not there before; what is left."""
        left: list[str] = []
        try:
            async with asyncio.timeout(_CLEAN_S):
                await self._jobs(which)
        except (MvmCiError, TimeoutError) as error:
            why = str(error) or f"they have not ended within {_CLEAN_S:.0f} s"
            left.append(f"jobs of the queue {which.queue}: {why}")
        if self._ours:
            try:
                async with asyncio.timeout(_CLEAN_S):
                    await self._client.delete_module(self._digest)
            except (Refused, Conflict) as error:
                left.append(f"the module {NAME} {self._digest[:12]}, a kilobyte: {error}")
            except (MvmCiError, TimeoutError) as error:
                left.append(f"the module {NAME} {self._digest[:12]}: {str(error) or 'no answer'}")
        return tuple(left)

    async def _jobs(self, which: api.JobSelection) -> None:
        while not (await self._client.cancel_jobs(which)).complete:
            pass
        while True:
            await self._client.delete_jobs(which)
            if not (await self._client.jobs(which, limit=1)).jobs:
                return
            await asyncio.sleep(_AGAIN_S)
