"""The figures of the deployment options, side by side."""

from collections.abc import Mapping, Sequence
from typing import Final

PREFIX: Final = "options."
_ROWS: Final = (
    ("no-op jobs a second", "noop_jobs_per_s"),
    ("no-op job, p99, ms", "noop_p99_ms"),
    ("jobs a second that wait 100 ms", "wait_jobs_per_s"),
    ("job that waits 100 ms, p99, ms", "wait_p99_ms"),
    ("jobs a second that compute 50 ms", "cpu_jobs_per_s"),
    ("job that computes 50 ms, p99, ms", "cpu_p99_ms"),
)
_ONCE: Final = (
    ("memory of a worker, MiB", "rss_worker_mb"),
    ("memory of what hosts the engine, MiB", "rss_engine_host_mb"),
    ("cold start of a worker, s", "cold_start_s"),
    ("recovery: a worker, s", "recovery_worker_s"),
    ("recovery: the control plane, s", "recovery_control_plane_s"),
)


def table(figures: Mapping[str, float]) -> list[str]:
    """The lines of a Markdown table: values, and in brackets their ratio to option 1."""
    options = sorted({key.split(".")[1] for key in figures if key.startswith(PREFIX)})
    lines = [
        "| | workers | " + " | ".join(f"option {option}" for option in options) + " |",
        "|---|---|" + "---|" * len(options),
    ]
    for title, what in _ROWS:
        counts = sorted(
            int(key.rpartition("_")[2])
            for key in figures
            if key.startswith(f"{PREFIX}1.{what}_") and key.rpartition("_")[2].isdecimal()
        )
        lines += [_row(f"{title} | {count}", f"{what}_{count}", figures, options) for count in counts]
    lines += [_row(f"{title} | ", what, figures, options) for title, what in _ONCE]
    return lines


def _row(title: str, what: str, figures: Mapping[str, float], options: Sequence[str]) -> str:
    cells = []
    for option in options:
        value = figures[f"{PREFIX}{option}.{what}"]
        ratio = figures.get(f"{PREFIX}{option}.{what}_ratio")
        cells.append(number(value) + ("" if ratio is None else f" ({ratio:.2f})"))
    return f"| {title} | {' | '.join(cells)} |"


def number(value: float) -> str:
    """As many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}".rstrip("0").rstrip(".") or "0"
