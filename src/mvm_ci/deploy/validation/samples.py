"""Looks at the control plane's figures and its workers, again and again."""

import asyncio
from collections.abc import Iterable
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from mvm_ci.deploy.validation.bench import Bench
from mvm_ci.deploy.validation.fleet import SILENCE_S
from mvm_ci.deploy.validation.leaks import Point
from mvm_ci.domain.errors import Refused

FLEET_EVERY_S: Final = 1.0
_MIB: Final = 1 << 20
_OF_METRICS: Final = {
    "memory": ("process_resident_memory_bytes", _MIB),
    "files": ("process_open_fds", 1),
    "waits": ("mvm_ci_waits", 1),
    "log": ("mvm_ci_wal_bytes", _MIB),
}
"""By figure: the metric, and what it is divided by."""
COUNTED: Final = {
    "stale reports refused": "mvm_ci_stale_reports_total",
    "submissions refused": "mvm_ci_submissions_refused_total",
    "jobs that lost their worker": 'mvm_ci_job_events_total{kind="requeued"}',
    "CPU seconds of the control plane": "process_cpu_seconds_total",
    "commits": "mvm_ci_commit_seconds_count",
}
"""What these grew by during the validation; of all namespaces."""


class Samples:
    """``points``: by figure; ``counted``: the first and the last value of each counter."""

    def __init__(self, bench: Bench, every_s: float) -> None:
        self.points: dict[str, list[Point]] = {}
        self.counted: dict[str, tuple[float, float]] = {}
        self.refused = ""
        """Why there are no metrics."""
        self._bench = bench
        self._every_s = every_s
        self._lag = (0.0, 0.0)

    async def fleet(self) -> None:
        """Looks at workers, until it is cancelled. Raises ``Gone``."""
        while True:
            await look_at_fleet(self._bench)
            await asyncio.sleep(FLEET_EVERY_S)

    async def metrics(self) -> None:
        """Takes samples, until it is cancelled, or at once if the token may not. Raises ``Gone``."""
        while True:
            try:
                text = await self._bench.patiently(self._bench.client.metrics)
            except Refused as error:
                self.refused = str(error)
                return
            self._take(text.decode())
            await asyncio.sleep(self._every_s)

    def _take(self, text: str) -> None:
        at_s = self._bench.now_s()
        values = dict(_values(text))
        for name, (metric, divisor) in _OF_METRICS.items():
            if metric in values:
                self.points.setdefault(name, []).append((at_s, values[metric] / divisor))
        for name, metric in COUNTED.items():
            value = sum(
                found for full, found in values.items() if full == metric or full.startswith(metric + "{")
            )
            self.counted[name] = (self.counted.get(name, (value, value))[0], value)
        # The lag since the last look: a mean over all time would hide what grows.
        looked, (count, total) = self._lag, self._lag_of(values)
        if count > looked[0] > 0:
            mean_ms = (total - looked[1]) / (count - looked[0]) * 1000
            self.points.setdefault("lag", []).append((at_s, mean_ms))
        self._lag = (count, total)

    def _lag_of(self, values: dict[str, float]) -> tuple[float, float]:
        name = "mvm_ci_loop_lag_seconds"
        return values.get(f"{name}_count", 0.0), values.get(f"{name}_sum", 0.0)


async def look_at_fleet(bench: Bench) -> None:
    """Looks once at the workers and at the control plane's start."""
    asked_s = bench.now_s()
    status = await bench.patiently(bench.client.status)
    workers = await bench.patiently(bench.client.workers)
    at_s = bench.now_s()
    if at_s - asked_s >= SILENCE_S:
        bench.fleet.silent("its answer came, but late", asked_s, at_s)  # a process that was frozen
    bench.fleet.look(workers, status.started_ms, at_s)


def _values(text: str) -> Iterable[tuple[str, float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            yield f"{sample.name}{{{labels}}}" if labels else sample.name, sample.value
