"""The deployment options on one machine: rate, latency, memory, cold start, recovery; ratios to option 1."""

import json
import signal
import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

from benchmarks.client import Client, check_completed
from benchmarks.processes import family, memory_mb
from benchmarks.workload import EXAMPLES, GUESTS, Bench, Measured, cluster, until
from guest.build_c import build_c

OPTIONS: Final = (1, 2, 4)
WORKERS: Final = (1, 2, 5, 10)
WAIT_MS, CPU_MS = 100, 50
LEASE: Final = "5s"
IN_FLIGHT: Final = 20
"""Jobs that sleep for a second when a part is killed."""
_TURNS, _TRIES = 20_000_000, 8
_RECOVERY_S: Final = 60.0


class Profile(NamedTuple):
    """``jobs``: for the rate, ``callers``: each with one job after the other, for the latency."""

    name: str
    given: str
    jobs: int
    a_request: int
    callers: int
    calls: int


def measure(runs: int, *, quick: bool) -> Measured:
    """Clusters are what differs: the runs are what is repeated on each."""
    figures: dict[str, list[float]] = {}
    counts = WORKERS[:2] if quick else WORKERS
    with started(1, 1) as bench:
        turns = _turns(bench)
    for option in OPTIONS:
        for workers in counts:
            with started(option, workers) as bench:
                for key, values in _loads(bench, runs, turns, quick=quick).items():
                    figures[f"options.{option}.{key}_{workers}"] = values
                if workers == 2:
                    figures |= {f"options.{option}.{key}": [mb] for key, mb in _memory(bench, option).items()}
        figures[f"options.{option}.cold_start_s"] = [_cold_start(option) for _ in range(runs)]
        for part in ("worker", "control_plane"):
            figures[f"options.{option}.recovery_{part}_s"] = [_recovery(option, part) for _ in range(runs)]
    for key, values in list(figures.items()):
        _, option_name, what = key.split(".", 2)
        if option_name != "1":
            base = statistics.median(figures[f"options.1.{what}"])
            figures[f"options.{option_name}.{what}_ratio"] = [statistics.median(values) / base]
    return Measured(
        figures,
        f"{', '.join(map(str, counts))} workers of 1 slot; the engine of options 2 and 4 has 2 runners, one "
        f"a core. Rates: batches of 100 no-op jobs, of 100 that wait {WAIT_MS} ms, 20 that compute "
        f"{CPU_MS} ms. p99: 4 callers, a job at a time each. Memory: proportional set size, 2 workers, idle. "
        "Cold start: from the start of a worker with new state to the end of its first job. Recovery: "
        f"{IN_FLIGHT} jobs sleep for 1 s; from kill -9 of a part, started again at once, to the last end; "
        f"lease {LEASE}",
    )


def started(option: int, workers: int) -> AbstractContextManager[Bench]:
    """A cluster of this option; all ends with the block."""
    return cluster(
        lease=LEASE, workers=[f"worker-{number}" for number in range(1, workers + 1)], option=option
    )


def _loads(bench: Bench, runs: int, turns: int, *, quick: bool) -> dict[str, list[float]]:
    noop = bench.c_module(EXAMPLES / "noop.c")
    module = bench.c_module(GUESTS / "profile.c", "w1")
    scale = 10 if quick else 1
    profiles = (
        (noop, Profile("noop", "x", 4_000 // scale, 100, 4, 100 // scale)),
        (module, Profile("wait", f"w{WAIT_MS}", 1_000 // scale, 100, 4, 20 // scale)),
        (module, Profile("cpu", f"c{turns}", 100 // scale, 20 if scale == 1 else 5, 4, 15 // scale)),
    )
    figures: dict[str, list[float]] = {}
    for digest, profile in profiles:
        rates, tails = [], []
        for _ in range(runs):
            rates.append(_rate(bench, digest, profile))
            tails.append(_p99_ms(bench, digest, profile))
        figures[f"{profile.name}_jobs_per_s"] = rates
        figures[f"{profile.name}_p99_ms"] = tails
    return figures


def _turns(bench: Bench) -> int:
    """How many turns of the guest's loop take ``CPU_MS`` on this machine, with nothing beside it."""
    module = bench.c_module(GUESTS / "profile.c", "w1")

    def quickest(given: str) -> float:
        request, one = bench.submission(module, [given])
        took = []
        with bench.client() as client:
            for _ in range(_TRIES):
                began = time.perf_counter()
                check_completed(client.send(request), one)
                took.append(time.perf_counter() - began)
        return min(took)

    one_s = quickest(f"c{_TURNS}") - quickest("c1")
    return max(1, int(_TURNS * CPU_MS / 1000 / one_s))


def _rate(bench: Bench, module: str, profile: Profile) -> float:
    request = bench.submission(module, [profile.given] * profile.a_request)
    return profile.jobs / bench.load([request] * (profile.jobs // profile.a_request), 8)


def _p99_ms(bench: Bench, module: str, profile: Profile) -> float:
    request, one = bench.submission(module, [profile.given])
    took: list[float] = []

    def call() -> None:
        client = Client(bench.address)
        try:
            for _ in range(max(2, profile.calls)):
                began = time.perf_counter()
                check_completed(client.send(request), one)
                took.append((time.perf_counter() - began) * 1000)
        finally:
            client.close()

    callers = [threading.Thread(target=call) for _ in range(profile.callers)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    return statistics.quantiles(took, n=100)[98]


def _memory(bench: Bench, option: int) -> dict[str, float]:
    """A worker with all its processes; what hosts the engine, likewise."""
    held = {one.name: memory_mb(family(one.popen.pid)) for one in bench.cluster.processes}
    host = held["control-plane"] if option != 1 else held["worker-1"]
    return {"rss_worker_mb": held["worker-1"], "rss_engine_host_mb": host}


def _cold_start(option: int) -> float:
    with started(option, 0) as bench:
        digest = bench.cluster.json("module", "push", str(build_c(EXAMPLES / "noop.c")))["digest"]
        token = bench.cluster.ok("join-token", "create")
        request, one = bench.submission(digest, ["x"])
        began = time.perf_counter()
        bench.cluster.worker_process("worker-1", token=token)
        with bench.client() as client:
            check_completed(client.send(request), one)
        return time.perf_counter() - began


def _recovery(option: int, part: str) -> float:
    with started(option, 2) as bench:
        module = bench.c_module(GUESTS / "profile.c", "w1")
        address = json.loads(bench.cluster.credentials.read_text())["url"].removeprefix("http://")
        before = _completed(bench)
        bench.load([bench.submission(module, ["w1000"] * IN_FLIGHT, wait_s=0)], 1)
        until("the jobs run", lambda: _running(bench) >= IN_FLIGHT, _RECOVERY_S)
        name = "worker-1" if part == "worker" else "control-plane"
        victim = next(one for one in bench.cluster.processes if one.name == name)
        began = time.perf_counter()
        victim.end(signal.SIGKILL)
        if part == "worker":
            bench.cluster.worker_process("worker-1", token="")
        else:
            bench.cluster.control_plane("--bind", address)
        until("all completed", lambda: _completed(bench) >= before + IN_FLIGHT, _RECOVERY_S)
        return time.perf_counter() - began


def _completed(bench: Bench) -> int:
    return _counted(bench, ("completed",))


def _running(bench: Bench) -> int:
    return _counted(bench, ("in_progress", "completed"))


def _counted(bench: Bench, states: Sequence[str]) -> int:
    with bench.client() as client:
        counts = bench.counts(client)
    return sum(counts.get(state, 0) for state in states)
