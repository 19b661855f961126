"""The metrics of a control plane, in Prometheus' text format. They are looked up when they are asked for;
what happens to jobs adds to histograms of times, a batch at a time, and to nothing else.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric

from mvm_ci.control_plane.engine_door import EngineDoor
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.events import OF_NO_JOB, EventKind
from mvm_ci.domain.grant import PeerRole
from mvm_ci.domain.ids import SERIAL_BITS
from mvm_ci.domain.job import JobState
from mvm_ci.lifecycle.backpressure import Backpressure
from mvm_ci.lifecycle.counts import JobCounts
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.events import Events
from mvm_ci.lifecycle.link import Link
from mvm_ci.lifecycle.record import Recorder
from mvm_ci.lifecycle.session import Session
from mvm_ci.lifecycle.sessions import Sessions
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.disk import Disk
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.ports.store_figures import StoreFigures
from mvm_ci.serving.families import Families, Ready
from mvm_ci.serving.loop_lag import LoopLag

ABOUT: Final = {
    "mvm_ci_build_info": "1; the label is the version.",
    "mvm_ci_jobs": "Jobs that are kept, by state. Of many jobs a count may be some seconds old.",
    "mvm_ci_job_events": "What happened to jobs since the start, by kind.",
    "mvm_ci_ready_lanes": "Kinds of ready jobs (namespace, queue, priority, labels, keys) that wait.",
    "mvm_ci_oldest_ready_seconds": "Since the submission of the oldest job that is ready; 0 if none is.",
    "mvm_ci_claims": "Jobs given to workers since the start.",
    "mvm_ci_job_claim_seconds": "From a job's submission until it was first given to a worker.",
    "mvm_ci_job_start_seconds": "From when a worker was given a job until its start, or its end, was told.",
    "mvm_ci_job_end_seconds": "From a job's submission until its end was durable.",
    "mvm_ci_sessions": "Workers that are connected.",
    "mvm_ci_sessions_held": "Connected workers that get no jobs, by why: leaving, draining or stalled.",
    "mvm_ci_sessions_lost": "Sessions that ended because they were not heard of for a lease.",
    "mvm_ci_session_paths": "Connections of workers and engines, by how their bytes travel now.",
    "mvm_ci_engines": "Engines that serve other workers and are connected.",
    "mvm_ci_slots": "Guests that can compute at once at connected workers.",
    "mvm_ci_credits": "Jobs that connected workers would take now.",
    "mvm_ci_jobs_at_workers": "Jobs that were given to connected workers and have not come back.",
    "mvm_ci_commit_seconds": "Commits of the store, and how long each took.",
    "mvm_ci_commit_calls": "Calls that these commits carried out.",
    "mvm_ci_sync_seconds": "Of each commit, how long it took to make durable what was written.",
    "mvm_ci_journal_lag_seconds": "From when journal entries arrived, together, until they were durable.",
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


_of: Final = Families(ABOUT)


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
    door: EngineDoor


class Metrics:
    """Writes them down."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._process = ProcessCollector(registry=None)

    async def text(self, tokens_refused: int, audited: Mapping[str, int]) -> bytes:
        """All metrics, as of now. Raises ``Unavailable``."""
        watched = self._watched
        connected = [session for session in watched.sessions.all() if session.link is not None]
        families = [
            *self._jobs(await watched.counts.get(), await watched.queue.oldest_ready()),
            *self._times(),
            *self._workers(connected),
            *self._store(await self._free()),
            *self._refused(tokens_refused),
            _of.counters("mvm_ci_audit_entries", "outcome", audited),
            *self._process_itself(),
            *watched.door.figures(),
        ]
        links = [session.link for session in connected if session.link is not None]
        # Looks at files, of the process and of the store, and at every connection.
        return await asyncio.to_thread(self._written, families, links)

    def _written(self, families: Iterable[Metric], links: Sequence[Link]) -> bytes:
        paths = Counter(link.path() for link in links)
        shown = {"direct": paths["direct"], "relayed": paths["relayed"]}
        looked_up = (
            _of.gauge("mvm_ci_wal_bytes", self._watched.store.log_bytes()),
            _of.gauges("mvm_ci_session_paths", "path", shown),
        )
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Ready([*families, *looked_up]))
        registry.register(self._process)
        return generate_latest(registry)

    def _jobs(self, counts: Mapping[JobState, int], oldest: int | None) -> Iterator[Metric]:
        watched = self._watched
        yield _of.gauges("mvm_ci_build_info", "version", {watched.version: 1})
        yield _of.gauges("mvm_ci_jobs", "state", {state.label: counts.get(state, 0) for state in JobState})
        happened = {kind.label: watched.events.counts[kind] for kind in EventKind if kind not in OF_NO_JOB}
        yield _of.counters("mvm_ci_job_events", "kind", happened)
        yield _of.gauge("mvm_ci_ready_lanes", len(watched.dispatcher.scheduler.known()))
        now = watched.clock.now_ms()
        age_ms = 0 if oldest is None else max(0, now - (oldest >> SERIAL_BITS))
        yield _of.gauge("mvm_ci_oldest_ready_seconds", age_ms / 1000)

    def _times(self) -> Iterator[Metric]:
        times = self._watched.dispatcher.times
        yield _of.counter("mvm_ci_claims", times.claims)
        yield _of.histogram("mvm_ci_job_claim_seconds", times.claim_s)
        yield _of.histogram("mvm_ci_job_start_seconds", times.start_s)
        yield _of.histogram("mvm_ci_job_end_seconds", times.end_s)
        yield _of.histogram("mvm_ci_journal_lag_seconds", self._watched.recorder.journal_lag_s)

    def _workers(self, connected: Sequence[Session]) -> Iterator[Metric]:
        seats = list(self._watched.dispatcher.seats)
        sessions = [self._watched.sessions.by_id(seat.session) for seat in seats]
        yield _of.gauge("mvm_ci_sessions", len(seats))
        yield _of.gauge("mvm_ci_slots", sum(session.slots for session in sessions if session is not None))
        yield _of.gauge("mvm_ci_credits", sum(seat.credits for seat in seats))
        yield _of.gauge("mvm_ci_jobs_at_workers", sum(seat.sent for seat in seats))
        held = {
            "leaving": sum(session.leaving for session in connected),
            "draining": sum(session.draining for session in connected),
            "stalled": sum(session.stalled for session in connected),
        }
        yield _of.gauges("mvm_ci_sessions_held", "reason", held)
        yield _of.counter("mvm_ci_sessions_lost", self._watched.sessions.lost)
        yield _of.gauge("mvm_ci_engines", sum(session.role is PeerRole.ENGINE for session in connected))

    def _store(self, free: int | None) -> Iterator[Metric]:
        store = self._watched.store
        yield _of.histogram("mvm_ci_commit_seconds", store.commit_s)
        yield _of.counter("mvm_ci_commit_calls", store.calls)
        yield _of.histogram("mvm_ci_sync_seconds", store.sync_s)
        if free is not None:
            yield _of.gauge("mvm_ci_disk_free_bytes", free)

    def _refused(self, tokens: int) -> Iterator[Metric]:
        watched = self._watched
        yield _of.counter("mvm_ci_stale_reports", watched.recorder.stale)
        yield _of.counters("mvm_ci_submissions_refused", "code", watched.backpressure.refused)
        yield _of.counter("mvm_ci_tokens_refused", tokens)

    def _process_itself(self) -> Iterator[Metric]:
        watched = self._watched
        yield _of.gauge("mvm_ci_waits", len(watched.waiters))
        yield _of.gauge("mvm_ci_event_streams", watched.events.listeners)
        yield _of.histogram("mvm_ci_loop_lag_seconds", watched.lag.lag_s)

    async def _free(self) -> int | None:
        try:
            return await self._watched.disk.free_bytes()
        except Unavailable:
            return None  # the other figures are wanted all the more
