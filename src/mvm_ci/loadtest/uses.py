"""What the parts of a cluster used of their machines between several looks, and the generator itself."""

import resource
import time
from collections.abc import Sequence
from typing import Final

from mvm_ci.capacity.results import ALONE, Usage
from mvm_ci.loadtest.fleet import Sample

_KIB_PER_MIB: Final = 1024


class Uses:
    """Begins with the first look. Processes that end take their CPU with them: what a part used is the sum of
    what it grew by from look to look. Of memory the most that was seen counts.
    """

    def __init__(self) -> None:
        self._first_s = self._last_s = 0.0
        self._last: dict[str, Sample] = {}
        self._cpu_s: dict[str, float] = {}
        self._memory_mb: dict[str, float] = {}
        self._own_s = 0.0

    def look(self, samples: Sequence[Sample], at_s: float) -> None:
        """What the parts have used by ``at_s``, by a clock that goes on evenly."""
        if not self._last_s:
            self._first_s, self._own_s = at_s, time.process_time()
        self._last_s = at_s
        for sample in samples:
            part = sample.part
            grown = sample.cpu_s - self._last[part].cpu_s if part in self._last else 0.0
            self._cpu_s[part] = self._cpu_s.get(part, 0.0) + max(0.0, grown)
            self._memory_mb[part] = max(self._memory_mb.get(part, 0.0), sample.memory_mb)
            self._last[part] = sample

    def own_cores(self, now_s: float) -> float:
        """CPU of this process since the first look."""
        return (time.process_time() - self._own_s) / (now_s - self._first_s) if now_s > self._first_s else 0.0

    def usage(self, own_cores: float) -> tuple[Usage, ...]:
        """Of all parts, the generator last: its memory is the most that this process ever held."""
        between = self._last_s - self._first_s
        parts = [
            Usage(
                part=part,
                processes=sample.processes,
                cpu_cores=self._cpu_s[part] / between,
                memory_mb=self._memory_mb[part],
            )
            for part, sample in self._last.items()
            if between > 0
        ]
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_MIB
        return (*parts, Usage(part=ALONE, processes=1, cpu_cores=own_cores, memory_mb=held))
