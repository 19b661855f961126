"""Results as a load test writes them, of clusters that follow a law: throughput by the Universal Scalability
Law, latency by how much of it is used.

The files in ``runs`` are written by ``python -m tests.unit.capacity.recorded``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from mvm_ci.capacity.curve import Run
from mvm_ci.capacity.results import (
    Cluster,
    Latency,
    Loop,
    Machine,
    Repetition,
    Result,
    Step,
    Usage,
    read,
)
from mvm_ci.capacity.usl import Fit

RUNS = Path(__file__).with_name("runs")
BEGAN_MS = 1_796_000_000_000
SIZES = (1, 2, 5, 10, 20, 50, 100)
MACHINE = Machine(
    cores=2,
    cpu="AMD EPYC",
    memory_mb=7900,
    kernel="6.18.44",
    python="3.11.7",
    packages={"wasmtime": "50.0.1"},
    load_average=0.1,
    shared=True,
)


@dataclass(frozen=True)
class Law:
    """``capacity``: jobs a second that n workers can do; ``service_ms``: of one job alone."""

    lambda_: float = 100.0
    sigma: float = 0.02
    kappa: float = 0.0001
    service_ms: float = 100.0

    def capacity(self, workers: int) -> float:
        return Fit(lambda_=self.lambda_, sigma=self.sigma, kappa=self.kappa, sizes=0, largest=0).throughput(
            workers
        )

    def p99(self, workers: int, rate: float) -> float:
        used = min(0.999, rate / self.capacity(workers))
        return self.service_ms * (1 + 0.1 * used / (1 - used))


def repetition(jobs_per_s: float, p99: float, usage: Sequence[Usage] = (), **fields: Any) -> Repetition:
    latency = Latency(
        mean=p99 * 0.8, p50=p99 * 0.75, p90=p99 * 0.9, p99=p99, p999=p99 * 1.2, largest=p99 * 1.5
    )
    values: dict[str, Any] = {
        "warm_up_s": 2.0,
        "measured_s": 20.0,
        "steady": True,
        "jobs": max(2000, round(jobs_per_s * 20)),
        "failed": 0,
        "late_p99_ms": 0.4,
    }
    return Repetition(jobs_per_s=jobs_per_s, latency=latency, usage=tuple(usage), **values | fields)


def usage(option: int | None, workers: int, jobs_per_s: float) -> tuple[Usage, ...]:
    """As the options of this project use it, roughly."""
    cpu = jobs_per_s * 0.0002
    plane, each = (51.0, 78.0) if option == 1 else (157.0, 46.0)
    return (
        Usage(part="control-plane", processes=1, cpu_cores=cpu, memory_mb=plane),
        Usage(part="workers", processes=workers, cpu_cores=cpu, memory_mb=each * workers),
        Usage(part="generator", processes=1, cpu_cores=cpu / 2, memory_mb=60.0),
    )


def step(workers: int, *, jobs_per_s: float, p99: float, times: int = 3, **fields: Any) -> Step:
    """One load, a request at once of each worker; fields of ``Step`` and of ``Repetition`` may be given."""
    of_step = {name: value for name, value in fields.items() if name in Step.__struct_fields__}
    of_repetition = {name: value for name, value in fields.items() if name not in of_step}
    values: dict[str, Any] = {
        "option": 4,
        "profile": "wait",
        "slots": 1,
        "simulated": False,
        "loop": Loop.CLOSED,
    } | of_step
    if values["loop"] is Loop.CLOSED:
        values.setdefault("in_flight", workers)
    parts = usage(values["option"], workers, jobs_per_s)
    values.setdefault(
        "repetitions", tuple(repetition(jobs_per_s, p99, parts, **of_repetition) for _ in range(times))
    )
    return Step(workers=workers, **values)


def ramp(law: Law | None = None, sizes: Sequence[int] = SIZES, **fields: Any) -> tuple[Step, ...]:
    """Workers, and ten requests of each at once: as fast as the law lets them."""
    law = law or Law()
    steps = []
    for workers in sizes:
        rate = min(law.capacity(workers), workers * 10 / (law.service_ms / 1000))
        # Little's law: so many at once at this rate.
        wait = max(law.service_ms, workers * 10 / rate * 1000)
        of_step = {"in_flight": workers * 10} | fields
        steps.append(step(workers, jobs_per_s=rate, p99=wait * 1.05, **of_step))
    return tuple(steps)


def rates(law: Law, workers: int, asked: Sequence[float], **fields: Any) -> tuple[Step, ...]:
    """A growing rate for the same workers."""
    steps = []
    for rate in asked:
        done = min(rate, law.capacity(workers))
        late = rate > law.capacity(workers)
        steps.append(
            step(
                workers,
                jobs_per_s=done,
                p99=5000.0 if late else law.p99(workers, rate),
                loop=Loop.OPEN,
                rate=rate,
                **{"steady": not late, "overload": "rate not sustained" if late else ""} | fields,
            )
        )
    return tuple(steps)


def result(*steps: Step, machine: Machine = MACHINE, **fields: Any) -> Result:
    values: dict[str, Any] = {
        "command": "loadtest --local --option 4 --jobs wait",
        "began_ms": BEGAN_MS,
        "took_s": 600.0,
        "complete": True,
        "profiles": {"wait": "waits 100 ms"},
        "slo": "p99=250ms",
        "cluster": Cluster(address="local", version="0.5.0"),
    }
    return Result(machine=machine, steps=steps, **values | fields)


def run(*steps: Step, name: str = "run.json", **fields: Any) -> Run:
    return Run(name=name, result=result(*steps, **fields))


@cache
def recorded(name: str) -> Run:
    """The committed file of that name."""
    return Run(name=name, result=read((RUNS / name).read_bytes(), name))


def open_loop(
    sizes: Sequence[int], law: Law, *, rate: float | None = None, **fields: Any
) -> tuple[Step, ...]:
    """A rate for all together; without, ten jobs a second from each worker."""
    return tuple(one for size in sizes for one in rates(law, size, (rate or size * 10.0,), **fields))


WEAK = Law(lambda_=60.0, sigma=0.12, kappa=0.0008)
"""Of a shared engine that has enough of about thirty workers."""
STRONG = Law(lambda_=60.0, sigma=0.005, kappa=0.00001)


def files() -> dict[str, bytes]:
    """What the files hold, by name."""
    many = (1, 2, 5, 10, 20, 30, 50, 100)
    good = {
        "clear-yes.json": result(*open_loop(many, WEAK), *ramp(Law(sigma=0.001, kappa=0.0), option=1)),
        "clear-no.json": result(*open_loop(many, STRONG), *ramp(Law(sigma=0.001, kappa=0.0), option=1)),
        "too-few-points.json": result(*open_loop((1, 2), WEAK)),
        "generator-bound.json": result(*open_loop(many, WEAK, bottleneck="it left 40 ms late (p99)")),
        "unsteady.json": result(*open_loop((1, 2, 5, 10), STRONG, steady=False)),
        "failures.json": result(*open_loop((1, 2, 5, 10), STRONG, failed=3)),
        "too-few-jobs.json": result(*open_loop((1, 2, 5, 10, 50), STRONG, jobs=60)),
        "never-breaks.json": result(*open_loop((1, 2, 5, 10), STRONG)),
        "other-profile.json": result(
            *open_loop(many, STRONG, profile="cpu"), profiles={"cpu": "computes 50 ms"}
        ),
        "only-simulated.json": result(*open_loop(many, STRONG, option=1, simulated=True)),
        "interrupted.json": result(
            *open_loop((1, 2), STRONG),
            Step(
                option=4, profile="wait", workers=5, slots=1, simulated=False, loop=Loop.OPEN, rate=50.0,
                repetitions=(), ended_by="interrupted",
            ),
            complete=False,
            ended_by="interrupted",
        ),
    }  # fmt: skip
    encoded = {name: msgspec.json.encode(one) + b"\n" for name, one in good.items()}
    return encoded | {
        "other-format.json": encoded["clear-no.json"].replace(b'"format":1,', b'"format":99,', 1),
        "damaged.json": encoded["clear-no.json"][:2000],
    }


if __name__ == "__main__":
    RUNS.mkdir(exist_ok=True)
    for name, data in files().items():
        (RUNS / name).write_bytes(data)
