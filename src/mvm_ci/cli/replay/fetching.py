"""From the control plane to a replay on this machine."""

import asyncio
from collections.abc import AsyncIterator

from mvm_ci.cli import output
from mvm_ci.cli.replay.builds import Build
from mvm_ci.client import ApiClient
from mvm_ci.domain.errors import BadModule, NotFound
from mvm_ci.domain.ids import Digest, format_job_id
from mvm_ci.engine.rehearsals import Written
from mvm_ci.lifecycle.rehearse import Undecided
from mvm_ci.ports.guest import CompiledModule
from mvm_ci.wire.recording import Recording, decode_recording
from mvm_ci.wiring.replay import Replayed, Replays


class Fetcher:
    """Replays jobs of one control plane; compiles each module once."""

    def __init__(self, client: ApiClient, replays: Replays, time_s: float | None) -> None:
        self._client = client
        self._replays = replays
        self._time_s = time_s
        self._modules: dict[str, asyncio.Task[CompiledModule | Undecided]] = {}

    async def recording(self, job: str, attempt: int | None = None) -> Recording:
        """Raises ``NotFound``, ``Unavailable``, ``ProtocolError``."""
        return decode_recording(await self._client.recording(job, attempt=attempt))

    async def replay(
        self, recording: Recording, build: Build | None, wrote: Written | None = None
    ) -> Replayed:
        """With the job's own module, or ``build``. Raises ``Refused``, ``Unavailable``, ``ProtocolError``."""
        job = format_job_id(recording.job.job)
        digest = recording.job.module if build is None else build.digest
        compiling = self._modules.get(digest)
        if compiling is None:
            compiling = self._modules[digest] = asyncio.create_task(self._module(job, digest, build))
        module = await compiling
        if isinstance(module, Undecided):
            return Replayed(module)
        attempt = recording.job.attempt

        async def payload(wanted: str, first: int) -> bytes:
            return await self._client.payload(job, wanted, attempt=attempt, first=first)

        def given(name: str) -> AsyncIterator[bytes]:
            return self._client.artifact(job, name)

        return await self._replays.replay(recording, module, payload, given, time_s=self._time_s, wrote=wrote)

    async def _module(self, job: str, digest: Digest, build: Build | None) -> CompiledModule | Undecided:
        async def fetch() -> bytes:
            output.note(f"compiling the module {digest[:12]}")
            return await self._client.job_module(job) if build is None else build.data

        try:
            return await self._replays.module(digest, fetch)
        except BadModule as error:
            if build is not None:
                raise BadModule(f"{build.file} cannot run here: {error}") from error
            return Undecided(reason=f"the module cannot run here: {error}")
        except NotFound as error:
            return Undecided(reason=str(error))
