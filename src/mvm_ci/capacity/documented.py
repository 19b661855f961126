"""Figures of the documentation, for what no run measured. A test compares them with their pages. Pure."""

from typing import Final

WHERE: Final = "docs/performance.md, Deployment options, 2026-12-01, 2 cores (AMD EPYC)"
WORKER_MB: Final = {1: 76.48, 2: 33.4, 4: 33.55}
"""A worker with its runner, idle after load; MiB by option."""
HOST_MB: Final = {2: 145.0, 4: 144.0}
"""The control plane with its engine and two runners, idle after load; MiB by option."""
CONTROL_PLANE: Final = "docs/performance.md, Figures, 2026-11-30, 2 cores (AMD EPYC)"
CONTROL_PLANE_MB: Final = 51.0
"""A control plane without an engine; resident."""
MOST_WORKERS: Final = {2: 5, 4: 20}
"""The limits that the pages of the options give."""
LIMITS: Final = {2: "docs/deployment/option-2.md, Limits", 4: "docs/deployment/option-4.md, Limits"}
JOBS_PER_S: Final = {
    2: {"noop": 5240.0, "wait": 2588.0, "cpu": 34.35},
    4: {"noop": 5126.0, "wait": 2245.0, "cpu": 32.28},
}
"""Of five workers, by option and kind of jobs; as many as go."""
DISK_MB: Final = 2048
DISK: Final = "docs/deployment/option-4.md, Steps"
ALIKE: Final = 4
"""Option whose workers are those of option 3, too: their engine is reached over TCP."""
