"""What the dashboard shows: rows of panels.

A panel is a line of what it shows, a line of what to make of it, a unit of Grafana's, and queries with their
legends. In a query ``{%}`` stands for the jobs and instances that are chosen at the top of the dashboard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Panel:
    """``queries``: expression and legend of each line. ``stat``: one number in place of a graph."""

    title: str
    description: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    stat: bool = False
    stacked: bool = False


def stat(title: str, description: str, unit: str, query: str) -> Panel:
    """A number."""
    return Panel(title, description, unit, ((query, "{{instance}}"),), stat=True)


def quantiles(title: str, description: str, metric: str) -> Panel:
    """Median and p99 of a histogram, from the recording rules."""
    lines = tuple((f"instance:{metric}:{name}{{%}}", f"{{{{instance}}}} {name}") for name in ("p50", "p99"))
    return Panel(title, description, "s", lines)


def by(title: str, description: str, unit: str, *queries: tuple[str, str], stacked: bool = False) -> Panel:
    """A graph of several lines."""
    return Panel(title, description, unit, queries, stacked=stacked)


def one(title: str, description: str, unit: str, query: str) -> Panel:
    """A graph with a line an instance."""
    return Panel(title, description, unit, ((query, "{{instance}}"),))


ROWS: Final[dict[str, tuple[Panel, ...]]] = {
    "At a glance": (
        stat("Up", "1 while the last scrape succeeded.", "none", "up{%}"),
        stat("Workers", "Workers that are connected.", "none", "mvm_ci_sessions{%}"),
        stat("Engines", "Engines that serve other workers; none in option 1.", "none", "mvm_ci_engines{%}"),
        stat(
            "Jobs a second", "Jobs that ended, five minutes' rate.", "ops", "instance:mvm_ci_ends:rate5m{%}"
        ),
        stat("p99 to the end", "From submission to end.", "s", "instance:mvm_ci_job_end_seconds:p99{%}"),
        stat("Oldest ready job", "0: nothing waits for a worker.", "s", "mvm_ci_oldest_ready_seconds{%}"),
        stat(
            "Slots used", "Jobs at workers over slots.", "percentunit", "instance:mvm_ci_slots_used:ratio{%}"
        ),
        stat("Free disk", "On the disk of the state.", "bytes", "mvm_ci_disk_free_bytes{%}"),
    ),
    "Jobs": (
        by(
            "Submitted and ended",
            "Submissions above ends: the queue grows.",
            "ops",
            ("instance:mvm_ci_submissions:rate5m{%}", "{{instance}} submitted"),
            ("instance:mvm_ci_ends:rate5m{%}", "{{instance}} ended"),
            ("instance:mvm_ci_claims:rate5m{%}", "{{instance}} given to workers"),
        ),
        by(
            "What happens to jobs",
            "By kind; retries and jobs given back show trouble at workers or in the jobs.",
            "ops",
            ("rate(mvm_ci_job_events_total{%}[5m])", "{{instance}} {{kind}}"),
        ),
        by(
            "Jobs by state",
            "Jobs that are kept. Pending ones wait for a worker.",
            "short",
            ("mvm_ci_jobs{%}", "{{instance}} {{state}}"),
            stacked=True,
        ),
        one(
            "Age of the oldest ready job",
            "Growing without end: too few slots, or jobs that no worker may take.",
            "s",
            "mvm_ci_oldest_ready_seconds{%}",
        ),
        one(
            "Lanes that wait",
            "Kinds of ready jobs: by namespace, queue, priority, labels, keys.",
            "short",
            "mvm_ci_ready_lanes{%}",
        ),
        by(
            "Refused submissions",
            "By why: the queue, a quota or the disk is full.",
            "ops",
            ("rate(mvm_ci_submissions_refused_total{%}[5m])", "{{instance}} {{code}}"),
        ),
    ),
    "Times": (
        quantiles(
            "To the claim",
            "From a job's submission until it was first given to a worker.",
            "mvm_ci_job_claim_seconds",
        ),
        quantiles(
            "To the start",
            "From when a worker was given a job until its start, or its end, was told.",
            "mvm_ci_job_start_seconds",
        ),
        quantiles(
            "To the end",
            "From a job's submission until its end was durable, with all its sleeps and retries.",
            "mvm_ci_job_end_seconds",
        ),
    ),
    "Workers": (
        by(
            "Workers",
            "Connected ones, and those of them that get no jobs.",
            "short",
            ("mvm_ci_sessions{%}", "{{instance}} connected"),
            ("mvm_ci_sessions_held{%} > 0", "{{instance}} {{reason}}"),
        ),
        by(
            "Slots, jobs, credits",
            "Jobs at workers near slots: they are busy. Credits: what they would still take.",
            "short",
            ("mvm_ci_slots{%}", "{{instance}} slots"),
            ("mvm_ci_jobs_at_workers{%}", "{{instance}} jobs at workers"),
            ("mvm_ci_credits{%}", "{{instance}} credits"),
        ),
        one(
            "Slots used", "Jobs at workers over slots.", "percentunit", "instance:mvm_ci_slots_used:ratio{%}"
        ),
        one(
            "Sessions lost",
            "Workers or engines that were not heard of for a lease.",
            "short",
            "increase(mvm_ci_sessions_lost_total{%}[5m])",
        ),
        by(
            "Paths",
            "How the bytes of each connection travel.",
            "short",
            ("mvm_ci_session_paths{%}", "{{instance}} {{path}}"),
            stacked=True,
        ),
        one("Share of relayed", "Of all connections.", "percentunit", "instance:mvm_ci_relayed:ratio{%}"),
    ),
    "Engines that serve workers": (
        by(
            "Guests",
            "What the engine has: asked for, waiting for a slot, running.",
            "short",
            ("mvm_ci_engine_guests{%}", "{{instance}} {{state}}"),
            ("mvm_ci_engine_slots{%}", "{{instance}} slots"),
            stacked=True,
        ),
        by(
            "Saturation",
            "Of capacity: at 1 it refuses. Of slots: above 1 guests wait in place.",
            "percentunit",
            ("instance:mvm_ci_engine_capacity_used:ratio{%}", "{{instance}} of capacity"),
            ("instance:mvm_ci_engine_slots_used:ratio{%}", "{{instance}} of slots"),
        ),
        by(
            "Room",
            "Guests at most, of them beyond the slots, and processes that run them.",
            "short",
            ("mvm_ci_engine_capacity{%}", "{{instance}} capacity"),
            ("mvm_ci_engine_extra{%}", "{{instance}} extra"),
            ("mvm_ci_engine_runners{%}", "{{instance}} runners"),
        ),
        quantiles(
            "Wait at the engine",
            "From when a worker brought a guest until it ran: how full the slots are.",
            "mvm_ci_engine_wait_seconds",
        ),
        one(
            "Refused",
            "Requests to place that found no room.",
            "ops",
            "rate(mvm_ci_engine_refused_total{%}[5m])",
        ),
        by(
            "Its workers",
            "By lease, and how many there are for each engine of a control plane.",
            "short",
            ("mvm_ci_engine_clients{%}", "{{instance}} lease {{lease}}"),
            ("instance:mvm_ci_workers_per_engine:ratio{%}", "{{instance}} workers per engine"),
        ),
        by(
            "Session and unseen ends",
            "1 while the engine's session stands; ends that its workers have not seen.",
            "short",
            ("mvm_ci_engine_connected{%}", "{{instance}} connected"),
            ("mvm_ci_engine_unseen_ends{%}", "{{instance}} unseen ends"),
        ),
        quantiles(
            "Journal lag, at the engine",
            "From when journal entries were made until they were durable, with the way there and back.",
            "mvm_ci_engine_journal_lag_seconds",
        ),
        quantiles(
            "Event loop, of the engine",
            "How late it was: all that the engine says is as late.",
            "mvm_ci_engine_loop_lag_seconds",
        ),
    ),
    "Store": (
        quantiles("Commits", "How long each took, with what it wrote.", "mvm_ci_commit_seconds"),
        quantiles("Syncs", "The part of it in which the disk is waited for.", "mvm_ci_sync_seconds"),
        quantiles(
            "Journal lag",
            "From when journal entries arrived until they were durable.",
            "mvm_ci_journal_lag_seconds",
        ),
        one("Commits a second", "Of the one writer.", "ops", "instance:mvm_ci_commits:rate5m{%}"),
        one(
            "Calls per commit",
            "How much a commit is shared; high under load is good.",
            "short",
            "instance:mvm_ci_calls_per_commit:ratio5m{%}",
        ),
        by(
            "Disk",
            "Free space, and the write-ahead log.",
            "bytes",
            ("mvm_ci_disk_free_bytes{%}", "{{instance}} free"),
            ("mvm_ci_wal_bytes{%}", "{{instance}} write-ahead log"),
        ),
    ),
    "Processes": (
        quantiles(
            "Event loop",
            "How late it was, of the control plane: all answers are as late.",
            "mvm_ci_loop_lag_seconds",
        ),
        one(
            "CPU",
            "Of one core; the loop has one, the store another.",
            "percentunit",
            "instance:mvm_ci_process_cpu:rate5m{%}",
        ),
        by(
            "Memory",
            "Resident, and address space.",
            "bytes",
            ("process_resident_memory_bytes{%}", "{{instance}} resident"),
            ("process_virtual_memory_bytes{%}", "{{instance}} virtual"),
        ),
        by(
            "Open files",
            "At the limit no connection is taken.",
            "short",
            ("process_open_fds{%}", "{{instance}} open"),
            ("process_max_fds{%}", "{{instance}} limit"),
        ),
        one("Uptime", "Since the process started.", "s", "time() - process_start_time_seconds{%}"),
        by(
            "Who waits",
            "Callers that wait for ends or output, and readers of events.",
            "short",
            ("mvm_ci_waits{%}", "{{instance}} waits"),
            ("mvm_ci_event_streams{%}", "{{instance}} event streams"),
        ),
        by(
            "Versions",
            "1 for each version that runs.",
            "short",
            ("mvm_ci_build_info{%}", "{{instance}} control plane {{version}}"),
            ("mvm_ci_engine_build_info{%}", "{{instance}} engine {{version}}"),
        ),
    ),
    "Refused and recorded": (
        one(
            "Refused tokens",
            "An old token in a program, or somebody who tries.",
            "ops",
            "rate(mvm_ci_tokens_refused_total{%}[5m])",
        ),
        one(
            "Stale reports",
            "Reports of workers on jobs that are not theirs any more.",
            "ops",
            "rate(mvm_ci_stale_reports_total{%}[5m])",
        ),
        by(
            "Audit log",
            "Entries, by outcome.",
            "ops",
            ("rate(mvm_ci_audit_entries_total{%}[5m])", "{{instance}} {{outcome}}"),
        ),
    ),
}
