"""The process of the simulated workers, seen from the load test."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from mvm_ci.domain.errors import Unavailable
from mvm_ci.loadtest.children import Child
from mvm_ci.loadtest.simulation import Simulation, Standing, Wanted

PROGRAM: Final = ("-m", "mvm_ci.wiring.simulated")
_START_S: Final = 60.0
_EACH_S: Final = 0.5
"""What one may take to come or go."""


class Crowd:
    """It runs until ``close``, or until this process ends."""

    def __init__(self, simulation: Simulation, directory: Path, environ: Mapping[str, str]) -> None:
        self.child = Child("simulated", PROGRAM, directory, environ, stdin=subprocess.PIPE)
        self._read = 0
        self._standing = Standing(workers=0, connected=0)
        self._known = 0
        """Workers that had ended by themselves before the last ``scale``."""
        self._say(simulation)

    async def scale(self, workers: int) -> None:
        """Returns when exactly so many are connected. Raises ``Unavailable``."""
        self._known = self._look().ended
        self._say(Wanted(workers=workers))

        def there() -> bool:
            self.check()
            return self._standing.workers == self._standing.connected == workers

        most = max(workers, self._standing.workers)
        await self.child.until(there, f"{workers} simulated workers", _START_S + most * _EACH_S)

    def check(self) -> None:
        """Raises ``Unavailable`` if a worker has ended by itself since the last ``scale``."""
        standing = self._look()
        if standing.ended != self._known:
            raise Unavailable(f"a simulated worker ended: {standing.problem}")

    def _say(self, what: msgspec.Struct) -> None:
        stdin = self.child.stdin
        if stdin is None:
            raise RuntimeError("it was started without a stdin")
        try:
            stdin.write(msgspec.json.encode(what) + b"\n")
            stdin.flush()
        except OSError:
            raise Unavailable(f"the simulated workers are gone: {self.child.last_words()}") from None

    def _look(self) -> Standing:
        """What it said last."""
        with self.child.said.open("rb") as file:
            file.seek(self._read)
            whole, _, _ = file.read().rpartition(b"\n")
        if whole:
            self._read += len(whole) + 1
            self._standing = msgspec.json.decode(whole.splitlines()[-1], type=Standing)
        return self._standing
