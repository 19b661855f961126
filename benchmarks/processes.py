"""What processes cost: CPU time by thread, memory as proportional set size. Linux only."""

import os
from collections import Counter
from pathlib import Path

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
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def cpu_seconds(pids: list[int]) -> Counter[str]:
    """User and system time so far, by name of thread, summed over the processes."""
    spent: Counter[str] = Counter()
    for pid in pids:
        for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
            head, _, rest = stat.read_text().rpartition(")")
            fields = rest.split()
            spent[head.partition("(")[2]] += (int(fields[11]) + int(fields[12])) / _TICK  # type: ignore[assignment]
    return spent
