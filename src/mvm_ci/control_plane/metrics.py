"""The metrics of a control plane, in Prometheus' text format. All of it is looked up when it is asked for:
what happens to a job touches none of it.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from mvm_ci.control_plane.loop_lag import LoopLag
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.events import OF_NO_JOB, EventKind
from mvm_ci.domain.histogram import Histogram
from mvm_ci.domain.ids import SERIAL_BITS
from mvm_ci.domain.job import JobState
from mvm_ci.lifecycle.backpressure import Backpressure
from mvm_ci.lifecycle.counts import JobCounts
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.events import Events
from mvm_ci.lifecycle.record import Recorder
from mvm_ci.lifecycle.sessions import Sessions
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.disk import Disk
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.ports.store_figures import StoreFigures

ABOUT: Final = {
    "mvm_ci_build_info": "1; the label is the version.",
    "mvm_ci_jobs": "Jobs that are kept, by state. Of many jobs a count may be some seconds old.",
    "mvm_ci_job_events": "What happened to jobs since the start, by kind.",
    "mvm_ci_ready_lanes": "Kinds of ready jobs (namespace, queue, priority, labels, keys) that wait.",
    "mvm_ci_oldest_ready_seconds": "Since the submission of the oldest job that is ready; 0 if none is.",
    "mvm_ci_claims": "Jobs given to workers since the start.",
    "mvm_ci_sessions": "Workers that are connected.",
    "mvm_ci_slots": "Guests that can compute at once at connected workers.",
    "mvm_ci_credits": "Jobs that connected workers would take now.",
    "mvm_ci_jobs_at_workers": "Jobs that were given to connected workers and have not come back.",
    "mvm_ci_commit_seconds": "Commits of the store, and how long each took.",
    "mvm_ci_commit_calls": "Calls that these commits carried out.",
    "mvm_ci_wal_bytes": "Size of the store's write-ahead log.",
    "mvm_ci_disk_free_bytes": "Free space on the disk of the state.",
    "mvm_ci_stale_reports": "Reports and appends refused because their placement was over.",
    "mvm_ci_submissions_refused": "Submissions refused by back-pressure, by the error's code.",
    "mvm_ci_tokens_refused": "Requests without a valid token.",
    "mvm_ci_audit_entries": "Entries of the audit log since the start, by outcome: done, or a code.",
    "mvm_ci_waits": "Jobs for whose end, or output, somebody waits.",
    "mvm_ci_event_streams": "Readers that follow the events.",
    "mvm_ci_loop_lag_seconds": "How late the event loop was, twice a second.",
}
"""Every metric of ours, as the page on metrics has it. A counter's name ends in ``_total`` outside."""


class Watched(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the figures come from."""

    version: str
    queue: JobQueue
    counts: JobCounts
    clock: Clock
    disk: Disk
    store: StoreFigures
    dispatcher: Dispatcher
    sessions: Sessions
    recorder: Recorder
    backpressure: Backpressure
    waiters: Waiters
    events: Events
    lag: LoopLag


class Metrics:
    """Writes them down."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._process = ProcessCollector(registry=None)

    async def text(self, tokens_refused: int, audited: Mapping[str, int]) -> bytes:
        """All metrics, as of now. Raises ``Unavailable``."""
        watched = self._watched
        families = [
            *self._jobs(await watched.counts.get(), await watched.queue.oldest_ready()),
            *self._workers(),
            *self._store(await self._free()),
            *self._refused(tokens_refused),
            _counters("mvm_ci_audit_entries", "outcome", audited),
            *self._process_itself(),
        ]
        # Looks at files, of the process and of the store.
        return await asyncio.to_thread(self._written, families)

    def _written(self, families: Iterable[Metric]) -> bytes:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Ready([*families, _gauge("mvm_ci_wal_bytes", self._watched.store.log_bytes())]))
        registry.register(self._process)
        return generate_latest(registry)

    def _jobs(self, counts: Mapping[JobState, int], oldest: int | None) -> Iterator[Metric]:
        watched = self._watched
        build = GaugeMetricFamily("mvm_ci_build_info", ABOUT["mvm_ci_build_info"], labels=("version",))
        build.add_metric((watched.version,), 1)
        yield build
        jobs = GaugeMetricFamily("mvm_ci_jobs", ABOUT["mvm_ci_jobs"], labels=("state",))
        for state in JobState:
            jobs.add_metric((state.label,), counts.get(state, 0))
        yield jobs
        happened = {kind.label: watched.events.counts[kind] for kind in EventKind if kind not in OF_NO_JOB}
        yield _counters("mvm_ci_job_events", "kind", happened)
        yield _gauge("mvm_ci_ready_lanes", len(watched.dispatcher.scheduler.known()))
        now = watched.clock.now_ms()
        age_ms = 0 if oldest is None else max(0, now - (oldest >> SERIAL_BITS))
        yield _gauge("mvm_ci_oldest_ready_seconds", age_ms / 1000)

    def _workers(self) -> Iterator[Metric]:
        seats = list(self._watched.dispatcher.seats)
        sessions = [self._watched.sessions.by_id(seat.session) for seat in seats]
        yield _counter("mvm_ci_claims", self._watched.dispatcher.claims)
        yield _gauge("mvm_ci_sessions", len(seats))
        yield _gauge("mvm_ci_slots", sum(session.slots for session in sessions if session is not None))
        yield _gauge("mvm_ci_credits", sum(seat.credits for seat in seats))
        yield _gauge("mvm_ci_jobs_at_workers", sum(seat.sent for seat in seats))

    def _store(self, free: int | None) -> Iterator[Metric]:
        store = self._watched.store
        yield _histogram("mvm_ci_commit_seconds", store.commit_s)
        yield _counter("mvm_ci_commit_calls", store.calls)
        if free is not None:
            yield _gauge("mvm_ci_disk_free_bytes", free)

    def _refused(self, tokens: int) -> Iterator[Metric]:
        watched = self._watched
        yield _counter("mvm_ci_stale_reports", watched.recorder.stale)
        yield _counters("mvm_ci_submissions_refused", "code", watched.backpressure.refused)
        yield _counter("mvm_ci_tokens_refused", tokens)

    def _process_itself(self) -> Iterator[Metric]:
        watched = self._watched
        yield _gauge("mvm_ci_waits", len(watched.waiters))
        yield _gauge("mvm_ci_event_streams", watched.events.listeners)
        yield _histogram("mvm_ci_loop_lag_seconds", watched.lag.lag_s)

    async def _free(self) -> int | None:
        try:
            return await self._watched.disk.free_bytes()
        except Unavailable:
            return None  # the other figures are wanted all the more


class _Ready(Collector):
    """Figures that were looked up before."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _gauge(name: str, value: float) -> Metric:
    return GaugeMetricFamily(name, ABOUT[name], value=value)


def _counter(name: str, value: float) -> Metric:
    return CounterMetricFamily(name, ABOUT[name], value=value)


def _counters(name: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, ABOUT[name], labels=(label,))
    for value, count in values.items():
        family.add_metric((value,), count)
    return family


def _histogram(name: str, values: Histogram) -> Metric:
    ends = [*(repr(bound) for bound in values.bounds), "+Inf"]
    buckets = list(zip(ends, values.cumulative(), strict=True))
    return HistogramMetricFamily(name, ABOUT[name], buckets=buckets, sum_value=values.total)
