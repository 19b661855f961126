"""Settings of an engine."""

from pathlib import Path
from typing import Final

import msgspec

from mvm_ci.engine.runner_process import RunnerSettings

DEFAULT_RUNTIME: Final = "mvm_ci.adapters.wasm.runtime:WasmRuntime"


class PoolSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``worker``: its name, as journals record it. ``directory``: where runners run; there must be one.

    ``slots``: how many guests compute at once (0: one per core). ``suspend_after_ms``: guests that sleep
    longer are suspended. ``runtime``: ``module:factory`` of the ``GuestRuntime`` in the runners.
    """

    worker: str
    directory: Path
    slots: int = 0
    suspend_after_ms: int = 5_000
    runtime: str = DEFAULT_RUNTIME

    @property
    def runners(self) -> RunnerSettings:
        """How its runners are started."""
        return RunnerSettings(
            place=self.worker,
            suspend_after_ms=self.suspend_after_ms,
            directory=self.directory,
            runtime=self.runtime,
        )
