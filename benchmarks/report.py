"""The figures as Markdown, ready for ``docs/performance.md``, and the machine behind them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from benchmarks.options_table import PREFIX, number, table
from benchmarks.workload import Measured
from mvm_ci.loadtest.machine import this_machine

GOALS: Final = {
    "w1_jobs_per_s": "≥ 15,000",
    "w1_50k_jobs_per_s": "≥ 15,000",
    "w1_single_jobs_per_s": "≥ 6,000",
    "w2_p50_ms": "≤ 2",
    "w2_p99_ms": "≤ 5",
    "w4_kept_rate": "≥ 0.95",
    "w5_recovery_s": "≤ 1.5",
    "w5_rerun": "0",
    "w5_lost_recovery_s": "≤ lease + 1",
    "idle_writes_per_s": "< 1",
    "idle_cpu_pct": "< 5",
    "idle_rss_server_mb": "≤ 250",
    "scrape_1000_ms": "< 100",
    "python_job_ms": "≤ 2",
    "rss_server_mb": "≤ 80",
    "rss_worker_mb": "≤ 80",
    "engine_noop_ratio": "≤ 0.25",
    "host_call_us": "≤ 5",
    "journaled_call_us": "≤ 15",
    "replay_per_entry_us_100": "≤ 20",
    "replay_per_entry_us_10000": "≤ 20",
    "replay_per_entry_us_100000": "≤ 20",
    "hot_suspended": "8,000",
    "hot_suspended_kb": "≤ 30",
    "neighbour_p99_ratio": "≤ 3",
    "stop_computing_ms": "≤ 100",
    "metrics_added_pct": "< 2",
    "scrape_ms": "< 100",
    "generator_p50_off_pct": "within 5",
    "generator_p90_off_pct": "within 5",
    "generator_p99_off_pct": "within 5",
}


def conditions(*, quick: bool, runs: int) -> dict[str, Any]:
    """The machine and the versions behind the figures."""
    machine = this_machine(shared=True)
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": machine.cores,
        "cpu": machine.cpu,
        "kernel": machine.kernel,
        "python": machine.python,
        "packages": machine.packages,
        "load_average": machine.load_average,
        "quick": quick,
        "runs": runs,
    }


def described(machine: Mapping[str, Any]) -> str:
    """Date, machine and versions in one line."""
    packages = machine["packages"]
    return (
        f"{machine['at'][:10]}, {machine['cores']} cores ({machine['cpu']}), Linux {machine['kernel']}, "
        f"Python {machine['python']}, wasmtime {packages['wasmtime']}, iroh {packages['iroh']}"
    )


def markdown(found: Mapping[str, Measured], machine: Mapping[str, Any]) -> str:
    """Two or three tables: figures, what they were measured on, where a no-op job's time goes."""
    lines = [
        f"{described(machine)}; median of {machine['runs']} runs (lowest to highest)"
        + ("; QUICK, so these figures mean nothing" if machine["quick"] else ""),
        "",
        "| figure | value | runs | goal |",
        "|---|---|---|---|",
    ]
    for measured in found.values():
        for key, values in measured.figures.items():
            if key.startswith(PREFIX):
                continue  # side by side, below
            spread = f"{number(min(values))} to {number(max(values))}" if len(values) > 1 else ""
            lines.append(f"| `{key}` | {number(measured.medians[key])} | {spread} | {GOALS.get(key, '')} |")
    options = {
        key: value for one in found.values() for key, value in one.medians.items() if key.startswith(PREFIX)
    }
    if options:
        lines += ["", *table(options)]
    lines += ["", "| workload | measured on |", "|---|---|"]
    lines += [f"| `{name}` | {measured.conditions} |" for name, measured in found.items()]
    profile = {part: us for measured in found.values() for part, us in measured.profile.items()}
    if profile:
        lines += ["", "| part | µs of CPU for one no-op job |", "|---|---|"]
        lines += [f"| {part} | {us:.1f} |" for part, us in sorted(profile.items(), key=lambda item: -item[1])]
    return "\n".join(lines)
