"""What a validation brings with it, and takes away again."""

import asyncio
from hashlib import sha256
from typing import Final

from mvm_ci.client import ApiClient
from mvm_ci.client.removal import remove_jobs
from mvm_ci.deploy.validation import guest
from mvm_ci.domain.errors import Conflict, MvmCiError, Refused
from mvm_ci.wire import api

NAME: Final = "mvm-ci-validate"
"""Of the module."""
_CLEAN_S: Final = 30.0


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
        why = await remove_jobs(self._client, which, _CLEAN_S)
        left = [why] if why else []
        if self._ours:
            try:
                async with asyncio.timeout(_CLEAN_S):
                    await self._client.delete_module(self._digest)
            except (Refused, Conflict) as error:
                left.append(f"the module {NAME} {self._digest[:12]}, a kilobyte: {error}")
            except (MvmCiError, TimeoutError) as error:
                left.append(f"the module {NAME} {self._digest[:12]}: {str(error) or 'no answer'}")
        return tuple(left)
