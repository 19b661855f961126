"""What processes cost: CPU time by kind of thread, memory as proportional set size. Linux only."""

import os
from pathlib import Path

from mvm_ci.testing.cluster import Cluster
from mvm_ci.testing.memory import rollup_kb

_TICK = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def memory_mb(pids: list[int]) -> float:
    """Proportional set size of these processes together, in MiB."""
    return sum(rollup_kb(pid, "Pss") for pid in pids) / 1024


def cpu_seconds(pid: int) -> dict[str, float]:
    """User and system time of a process so far: its first thread (the event loop), iroh's, all others."""
    spent = {"event loop": 0.0, "iroh": 0.0, "other threads": 0.0}
    for task in Path(f"/proc/{pid}/task").iterdir():
        head, _, rest = (task / "stat").read_text().rpartition(")")
        name = head.partition("(")[2]
        fields = rest.split()
        # iroh's runtime names its threads; Python's are named like the process.
        kind = (
            "event loop" if int(task.name) == pid else "iroh" if name.startswith("async") else "other threads"
        )
        spent[kind] += (int(fields[11]) + int(fields[12])) / _TICK
    return spent


def cpu_by_part(cluster: Cluster) -> dict[str, float]:
    """CPU seconds of a cluster so far, by part of the system."""
    total: dict[str, float] = {}
    for process in cluster.processes:
        role = "control plane" if process.name == "control-plane" else "workers"
        main = process.popen.pid
        for pid in family(main):
            for kind, spent in cpu_seconds(pid).items():
                part = f"{role}: {kind}" if pid == main else "runners"
                total[part] = total.get(part, 0.0) + spent
    return total
