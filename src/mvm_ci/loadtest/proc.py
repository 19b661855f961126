"""What processes use, as ``/proc`` tells it. All of this blocks: use it off the event loop. Linux only."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from mvm_ci.loadtest.fleet import Sample

_TICK: Final = os.sysconf("SC_CLK_TCK")
_PARENT, _CPU, _BEGAN = 1, slice(11, 15), 19
"""Fields of ``stat`` behind the name: parent; own time and that of children that ended, user and system;
when it began.
"""
_MIB: Final = 1 << 20
_BLOCK: Final = 512


class _Seen(NamedTuple):
    """A process. ``cpu_s``: with that of children that have ended; ``began``: tells it from others that had
    its number.
    """

    children: list[int]
    cpu_s: float
    began: int


class Usage:
    """What has been used so far; knows what processes had used that are gone.

    A process's descendants count with it, those that have ended, too.
    """

    def __init__(self) -> None:
        self._spent: dict[str, dict[tuple[int, int], float]] = {}

    def samples(
        self, parts: Mapping[str, Sequence[int]], directories: Mapping[str, Sequence[Path]]
    ) -> tuple[Sample, ...]:
        """By part: of its processes (and their descendants), and its directories; nothing is raised for one
        that ends meanwhile.
        """
        processes = _processes()
        return tuple(
            self._sample(part, pids, directories.get(part, ()), processes) for part, pids in parts.items()
        )

    def _sample(
        self, part: str, pids: Sequence[int], directories: Sequence[Path], processes: Mapping[int, _Seen]
    ) -> Sample:
        spent = self._spent.setdefault(part, {})
        members: list[int] = []
        for pid in pids:
            if pid not in processes:
                continue
            family = _family(pid, processes)
            members += family
            key = (pid, processes[pid].began)
            total = sum(processes[one].cpu_s for one in family)
            # A child that was killed with its parent takes along what it had used.
            spent[key] = max(spent.get(key, 0.0), total)
        return Sample(
            part=part,
            processes=len(members),
            cpu_s=sum(spent.values()),
            memory_mb=sum(map(_memory_mb, members)),
            files=sum(map(_files, members)),
            disk_mb=sum(map(_bytes, directories)) / _MIB,
        )


def _processes() -> dict[int, _Seen]:
    """All of this machine."""
    found: dict[int, _Seen] = {}
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        name = entry.name
        if not name.isdecimal():
            continue
        try:
            text = (entry / "stat").read_text(errors="replace")
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        parents[int(name)] = int(fields[_PARENT])
        found[int(name)] = _Seen([], sum(map(int, fields[_CPU])) / _TICK, int(fields[_BEGAN]))
    for pid, parent in parents.items():
        if parent in found:
            found[parent].children.append(pid)
    return found


def _family(pid: int, processes: Mapping[int, _Seen]) -> list[int]:
    """It and its descendants."""
    family = [pid]
    for one in family:
        family += processes[one].children
    return family


def _memory_mb(pid: int) -> float:
    try:
        with Path(f"/proc/{pid}/smaps_rollup").open() as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) / 1024
    except OSError:
        pass  # it has ended
    return 0.0


def _files(pid: int) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0


def _bytes(directory: Path) -> int:
    """On the disk, of all files below."""
    total = 0
    left = [directory]
    while left:
        try:
            entries: Iterable[os.DirEntry[str]] = list(os.scandir(left.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    left.append(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
            except OSError:
                continue
    return total
