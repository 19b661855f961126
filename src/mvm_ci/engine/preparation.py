"""Getting what a placement needs before a runner sees it: its compiled module, its input, and its files."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from mvm_ci.domain.errors import BadModule, NotFound, Unavailable
from mvm_ci.domain.ids import Digest, format_job_id
from mvm_ci.domain.outcome import Failed, Failure, FailureKind, Outcome, Released
from mvm_ci.domain.payload import BlobRef
from mvm_ci.engine.artifact_desk import ArtifactDesk
from mvm_ci.engine.live import Live
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import PayloadStore
from mvm_ci.ports.guest import CompiledModule

_log = structlog.get_logger(__name__)
_KNOWN: Final = 1024
_AGAIN_MS: Final = (100, 200, 500, 1000, 2000)
T = TypeVar("T")


class Preparation:
    """``ready``: the placement can run. ``failed``: it ends so. Neither is called for one that is gone."""

    def __init__(
        self,
        payloads: PayloadStore,
        desk: ArtifactDesk,
        clock: Clock,
        *,
        ready: Callable[[Live], None],
        failed: Callable[[Live, Outcome], None],
    ) -> None:
        self._payloads = payloads
        self._desk = desk
        self._clock = clock
        self._ready = ready
        self._failed = failed
        self._modules: OrderedDict[Digest, CompiledModule] = OrderedDict()
        self._loading: dict[Digest, asyncio.Task[CompiledModule]] = {}

    def prepare(self, live: Live) -> None:
        """Calls ``ready`` at once if everything is here, else later."""
        spec = live.placement.spec
        module = self._modules.get(spec.module)
        if module is not None and isinstance(spec.input, bytes) and not spec.inputs:
            live.prepared(module, spec.input)
            self._ready(live)
        else:
            live.preparing = asyncio.get_running_loop().create_task(self._prepare(live))

    def forget(self, digest: Digest) -> None:
        """A runner could not load this module's machine code: ask for it again next time."""
        self._modules.pop(digest, None)

    async def close(self) -> None:
        """Ends what goes on."""
        tasks = list(self._loading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _prepare(self, live: Live) -> None:
        spec = live.placement.spec
        try:
            module = await self._module(spec.module)
            payload = await self._input(spec.input) if isinstance(spec.input, BlobRef) else spec.input
            inputs = await self._patiently(lambda: self._desk.given(live, spec.inputs))
        except BadModule as error:
            outcome: Outcome = Failed(Failure(kind=FailureKind.MODULE, message=str(error)))
        except NotFound as error:
            outcome = Failed(Failure(kind=FailureKind.ENGINE, message=f"module or input is missing: {error}"))
        except Unavailable as error:
            # Another worker may be nearer to what this one cannot reach.
            _log.warning("job_given_back", job=format_job_id(live.placed.job), error=str(error))
            outcome = Released()
        except Exception as error:  # noqa: BLE001 - it costs this job, not the pool
            _log.exception("preparation_failed", job=format_job_id(live.placed.job))
            message = f"error in the engine: {type(error).__name__}: {error}"
            outcome = Failed(Failure(kind=FailureKind.ENGINE, message=message))
        else:
            live.preparing = None
            live.prepared(module, payload, inputs)
            if not live.gone:
                self._ready(live)
            return
        live.preparing = None
        if not live.gone:
            self._failed(live, outcome)

    async def _module(self, digest: Digest) -> CompiledModule:
        known = self._modules.get(digest)
        if known is not None:
            return known
        task = self._loading.get(digest)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._load(digest))
            self._loading[digest] = task
            task.add_done_callback(lambda done: self._loaded(digest, done))
        # Shared: one placement that is stopped does not take the module from the others.
        return await asyncio.shield(task)

    async def _load(self, digest: Digest) -> CompiledModule:
        return await self._patiently(lambda: self._payloads.module(digest))

    def _loaded(self, digest: Digest, task: asyncio.Task[CompiledModule]) -> None:
        del self._loading[digest]
        if task.cancelled() or task.exception() is not None:
            return
        self._modules[digest] = task.result()
        if len(self._modules) > _KNOWN:
            self._modules.popitem(last=False)

    async def _input(self, ref: BlobRef) -> bytes:
        return await self._patiently(lambda: self._payloads.get(ref))

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        for pause_ms in _AGAIN_MS:
            try:
                return await ask()
            except Unavailable as error:
                _log.info("payloads_unavailable", again_ms=pause_ms, error=str(error))
                await self._clock.sleep(pause_ms)
        return await ask()
