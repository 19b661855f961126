"""What a process holds of the machine's memory. Linux only."""

from pathlib import Path


def rollup_kb(pid: int | str, name: str) -> int:
    """One line of a process's ``smaps_rollup``, such as ``Pss`` or ``Anonymous``; ``pid``: or ``self``."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/{pid}/smaps_rollup has no line {name}")
