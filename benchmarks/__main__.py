"""Runs the benchmarks, prints a table and writes ``build/bench/latest.json``.

Everything (control plane, two workers with a runner each, client) shares this machine's cores. ``QUICK=1``:
fewer jobs and one run, to see that the benchmarks work; its figures mean nothing.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.client import Client, completed, load, submission
from benchmarks.processes import cpu_seconds, family, memory_mb
from guest.build_c import build_c
from mvm_ci.testing.cluster import Cluster, ClusterFailed

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "bench" / "latest.json"
EXAMPLES = ROOT / "guest" / "examples"
QUICK = bool(os.environ.get("QUICK"))
RUNS = 1 if QUICK else 3
W1_JOBS, W2_JOBS, W3_FLOWS, PYTHON_JOBS = (500, 20, 100, 20) if QUICK else (5000, 200, 1000, 200)
WORKERS = ("worker-1", "worker-2")
INPUT = "x" * 198  # 200 bytes as JSON


class Bench:
    """A running cluster and what was measured on it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        credentials = json.loads(cluster.credentials.read_text())
        self.url, self.token = credentials["url"], credentials["token"]
        self.figures: dict[str, float] = {}
        self.profile: dict[str, float] = {}

    def module(self, path: Path) -> str:
        """Stores a module; returns its digest. One job of it runs, so that it is compiled on every worker."""
        digest: str = self.cluster.json("module", "push", str(path))["digest"]
        for _ in range(4):
            load(self.url, self.token, [submission(digest, [INPUT] * 8)], 1)
        return digest

    def batches(self, digest: str, jobs: int) -> list[bytes]:
        """Requests of 100 jobs each."""
        return [submission(digest, [INPUT] * 100) for _ in range(jobs // 100)]

    def rate(self, digest: str, jobs: int) -> float:
        """Jobs per second, from the first submit to the last completion: 100 a request, 8 connections."""
        bodies = self.batches(digest, jobs)
        began = time.perf_counter()
        done = load(self.url, self.token, bodies, 8)
        return done / (time.perf_counter() - began)

    def no_ops(self, digest: str) -> None:
        """W1, with the CPU time that each part spends on a job."""
        before = self.cpu()
        own = time.process_time()
        self.figures["w1_jobs_per_s"] = median(lambda: self.rate(digest, W1_JOBS))
        jobs = RUNS * W1_JOBS
        after = self.cpu()
        self.profile = {part: (spent - before[part]) / jobs * 1e6 for part, spent in after.items()}
        self.profile["client"] = (time.process_time() - own) / jobs * 1e6

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far, by part of the system."""
        total: dict[str, float] = {}
        for process in self.cluster.processes:
            role = "control plane" if process.name == "control-plane" else "workers"
            main = process.popen.pid
            for pid in family(main):
                for kind, spent in cpu_seconds(pid).items():
                    part = f"{role}: {kind}" if pid == main else "runners"
                    total[part] = total.get(part, 0.0) + spent
        return total

    def single(self, digest: str) -> None:
        """W2: one job submitted and waited for in one request, again and again, on an idle system."""
        client = Client(self.url, self.token)
        body = submission(digest, [INPUT])
        times = []
        for _ in range(W2_JOBS):
            began = time.perf_counter()
            completed(client.post("/v1/jobs", body))
            times.append((time.perf_counter() - began) * 1000)
            time.sleep(0.004)  # idle in between: the case that the figure is about
        client.close()
        self.figures["w2_p50_ms"] = statistics.median(times)
        self.figures["w2_p99_ms"] = statistics.quantiles(times, n=100)[98]

    def python(self, digest: str) -> None:
        """One small Python job after another on one worker's slot, all in one request."""
        body = submission(digest, [INPUT] * PYTHON_JOBS)

        def run() -> float:
            began = time.perf_counter()
            load(self.url, self.token, [body], 1)
            return (time.perf_counter() - began) * 1000 / PYTHON_JOBS * len(WORKERS)

        self.figures["python_job_ms"] = median(run)

    def memory(self) -> None:
        """What the idle processes hold."""
        parts = {process.name: family(process.popen.pid) for process in self.cluster.processes}
        self.figures["rss_server_mb"] = memory_mb(parts["control-plane"])
        self.figures["rss_worker_mb"] = memory_mb(parts[WORKERS[0]])


def median(run: Callable[[], float]) -> float:
    """The median of ``RUNS`` runs."""
    return statistics.median(run() for _ in range(RUNS))


def build_guests(directory: Path) -> dict[str, Path]:
    """Builds the guests of the benchmarks: two in C, one in Python."""
    return {
        "noop": build_c(EXAMPLES / "noop.c"),
        "five_steps": build_c(EXAMPLES / "five_steps.c"),
        "python": directory / "hello.wasm",
    }


def measure(cluster: Cluster) -> Bench:
    """Starts the cluster and runs everything."""
    guests = build_guests(cluster.directory)
    cluster.control_plane()
    cluster.workers(WORKERS)
    bench = Bench(cluster)
    bench.memory()
    noop = bench.module(guests["noop"])
    bench.no_ops(noop)
    bench.single(noop)
    flows = bench.module(guests["five_steps"])
    bench.figures["w3_flows_per_s"] = median(lambda: bench.rate(flows, W3_FLOWS))
    cluster.ok("build", str(EXAMPLES / "noop.py"), "--output", str(guests["python"]))
    bench.python(bench.module(guests["python"]))
    return bench


def conditions() -> dict[str, object]:
    """The machine and the versions behind the figures."""
    model = next(
        (line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ""
    )
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": model.partition(":")[2].strip(),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("mvm-ci", "wasmtime", "iroh", "msgspec", "uvicorn")},
        "quick": QUICK,
        "runs": RUNS,
    }


def show(console: Console, bench: Bench) -> None:
    """Prints the figures and the profile."""
    figures = Table("figure", "value", title="MVM-CI on this machine", title_justify="left")
    for name, value in bench.figures.items():
        figures.add_row(name, f"{value:,.2f}" if value < 100 else f"{value:,.0f}")
    console.print(figures)
    profile = Table("part", "µs CPU per job", title="Where a no-op job's time goes", title_justify="left")
    for name, value in sorted(bench.profile.items(), key=lambda item: -item[1]):
        profile.add_row(name, f"{value:.1f}")
    console.print(profile)


def main() -> int:
    """0, or 1 with the reason."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="mvm-ci-bench-") as directory:
        cluster = Cluster(Path(directory), lease="15s")
        try:
            bench = measure(cluster)
        except (ClusterFailed, RuntimeError) as error:
            console.print(f"[bold red]The benchmark failed:[/] {error}", highlight=False)
            console.print(cluster.logs(), highlight=False, markup=False, soft_wrap=True)
            return 1
        finally:
            cluster.close()
    show(console, bench)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(
        json.dumps(
            {**bench.figures, "profile_us_per_job": bench.profile, "conditions": conditions()}, indent=2
        )
    )
    console.print(f"written to {OUTPUT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
