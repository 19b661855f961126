"""What the files in ``docs/deployment/runs`` say: results of ``mvm-ci loadtest``, reports of ``mvm-ci
validate``, figures of ``python -m benchmarks`` and of containers, each asked in the same way.

A figure has a name; what it is of is chosen by pairs such as ``option=4``. Memory is in MiB, CPU in cores.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from docs.tools.load_test import LoadTest
from docs.tools.measured import Chosen, NoFigure, Run, Value, date, hardware, machine, one_of, without
from mvm_ci.capacity import results
from mvm_ci.deploy.validation.report import Outcome, Report

RUNS: Final = Path(__file__).resolve().parent.parent / "deployment" / "runs"


class Validation(Run):
    """A report of ``mvm-ci validate``. ``delay``, ``growth`` and ``check`` choose one of them."""

    _RUN: Final[Mapping[str, Callable[[Report], Value]]] = {
        "date": lambda report: date(report.began_ms),
        "minutes": lambda report: report.took_s / 60,
        "jobs": lambda report: int(report.figures["jobs submitted"]),
        "children": lambda report: int(report.figures["their children"]),
        "rate": lambda report: report.figures["jobs submitted"] / report.duration_s,
        "moved": lambda report: int(report.figures["jobs that lost their worker"]),
        "cpu": lambda report: report.figures["CPU seconds of the control plane"] / report.took_s,
        "problems": lambda report: len(report.problems),
        "checks": lambda report: len(report.checks),
        "passed": lambda report: sum(check.outcome is Outcome.PASSED for check in report.checks),
    }
    _DELAY: Final = ("p50", "p99", "largest")

    def __init__(self, name: str, report: Report) -> None:
        super().__init__(name)
        self.report = report

    def figure(self, what: str, chosen: Chosen) -> Value:
        if what in self._RUN:
            return self._RUN[what](self.report)
        if what in self._DELAY:
            delay, _ = without(chosen, "delay", self.name)
            return float(getattr(one_of(self.report.delays, delay, self.name), what))
        if what in {"first", "last"}:
            wanted, _ = without(chosen, "growth", self.name)
            growth = one_of({one.name: one for one in self.report.growth}, wanted, self.name)
            return growth.lowest[0 if what == "first" else -1]
        raise self.no(what, [*self._RUN, *self._DELAY, "first", "last"])


class Benchmark(Run):
    """Figures of ``python -m benchmarks options``: ``option``, ``workers`` and ``profile`` choose."""

    _LOADED: Final = {"rate": "{profile}_jobs_per_s_{workers}", "p99": "{profile}_p99_ms_{workers}"}
    _ONCE: Final = {
        "worker-memory": "rss_worker_mb",
        "engine-memory": "rss_engine_host_mb",
        "cold-start": "cold_start_s",
        "worker-recovery": "recovery_worker_s",
        "plane-recovery": "recovery_control_plane_s",
    }

    def __init__(self, name: str, found: Mapping[str, Any]) -> None:
        super().__init__(name)
        self.found = found

    def figure(self, what: str, chosen: Chosen) -> Value:
        conditions = self.found["conditions"]
        if what == "date":
            return str(conditions["at"][:10])
        if what == "runs":
            return int(conditions["runs"])
        if what == "hardware":
            return hardware(conditions["cores"], conditions["cpu"])
        if what == "machine":
            return machine(*(conditions[key] for key in ("cores", "cpu", "kernel", "python", "packages")))
        form = {**self._LOADED, **self._ONCE}.get(what)
        if form is None:
            raise self.no(what, ["date", "hardware", "machine", "runs", *self._LOADED, *self._ONCE])
        try:
            key = f"options.{{option}}.{form}".format_map(chosen)
        except KeyError as missing:
            raise NoFigure(f"{self.name}: say which {missing.args[0]}: {missing.args[0]}=…") from None
        if key not in self.found:
            raise NoFigure(f"{self.name} has no {key}; python -m benchmarks options would supply it")
        return float(self.found[key])


class Containers(Run):
    """What ``tests/deploy/docker/test_guide.py`` left: sizes of images, seconds until all had joined."""

    def __init__(self, name: str, found: Mapping[str, Any]) -> None:
        super().__init__(name)
        self.found = found

    def figure(self, what: str, chosen: Chosen) -> Value:
        conditions = self.found["conditions"]
        known = {
            "date": str(conditions["at"][:10]),
            "hardware": hardware(conditions["cores"], conditions["cpu"]),
            "load-average": float(conditions["load_average"]),
            **{key.replace("_", "-"): value for key, value in self.found["containers"].items()},
        }
        if what not in known or chosen:
            raise self.no(" ".join([*chosen, what]), list(known))
        value: Value = known[what]
        return value


def read(name: str) -> Run:
    """The run of this name, which is its file's without ``.json``. Raises ``NoFigure``."""
    file = RUNS / f"{name}.json"
    if not file.exists():
        known = ", ".join(sorted(path.stem for path in RUNS.glob("*.json")))
        raise NoFigure(
            f"there is no {file.name} in docs/deployment/runs (there are: {known}); a run of mvm-ci loadtest "
            f"with --output docs/deployment/runs/{file.name} would supply it"
        )
    data = file.read_bytes()
    found = json.loads(data)
    if "containers" in found:
        return Containers(file.name, found)
    if "conditions" in found:
        return Benchmark(file.name, found)
    if "checks" in found:
        return Validation(file.name, msgspec.json.decode(data, type=Report))
    return LoadTest(file.name, results.read(data, file.name))
