"""What all workloads have in common: a cluster, modules, submissions, medians."""

import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.client import Address, Client, load
from guest.build_c import build_c
from mvm_ci.testing.cluster import Cluster

ROOT: Final = Path(__file__).resolve().parent.parent
EXAMPLES: Final = ROOT / "guest" / "examples"
GUESTS: Final = Path(__file__).resolve().parent / "guests"
WORKERS: Final = ("worker-1", "worker-2")
INPUT: Final = "x" * 198
"""200 bytes as JSON."""
WAIT_S: Final = 60.0


@dataclass(frozen=True)
class Measured:
    """``figures``: the values of every run; the median counts. ``conditions``: what they were measured on.

    ``profile``: microseconds of CPU for one job, by part of the system.
    """

    figures: dict[str, list[float]]
    conditions: str
    profile: dict[str, float] = field(default_factory=dict)

    @property
    def medians(self) -> dict[str, float]:
        return {key: statistics.median(values) for key, values in self.figures.items()}


class Bench:
    """A running cluster of which a workload measures something."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        credentials = json.loads(cluster.credentials.read_text())
        self.address = Address(credentials["url"], credentials["token"])

    def module(self, path: Path, given: object = INPUT) -> str:
        """Stores a module; returns its digest. Jobs of it run, so that it is compiled on every worker."""
        digest: str = self.cluster.json("module", "push", str(path))["digest"]
        for _ in range(4):
            self.load([self.submission(digest, [given] * 8)], 1)
        return digest

    def c_module(self, source: Path, given: object = INPUT) -> str:
        """The same of a C source."""
        return self.module(build_c(source), given)

    def submission(
        self, module: str, inputs: Sequence[object], wait_s: float = WAIT_S, **options: object
    ) -> tuple[bytes, int]:
        """A request with one job for each input, answered when all have ended; and how many these are."""
        jobs = [{"module": module, "input": given, **options} for given in inputs]
        body = json.dumps({"jobs": jobs, "wait_s": wait_s}).encode()
        return self.address.request("POST", "/v1/jobs", body), len(jobs) if wait_s else 0

    def load(self, requests: Sequence[tuple[bytes, int]], connections: int) -> float:
        """Seconds from the first submit to the last answer."""
        began = time.perf_counter()
        load(self.address, requests, connections)
        return time.perf_counter() - began

    def rate(self, module: str, jobs: int, a_request: int = 100, connections: int = 8) -> float:
        """Jobs per second, from the first submit to the last completion."""
        request = self.submission(module, [INPUT] * a_request)
        return jobs / self.load([request] * (jobs // a_request), connections)

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """A blocking connection."""
        client = Client(self.address)
        try:
            yield client
        finally:
            client.close()

    def counts(self, client: Client) -> Mapping[str, int]:
        """Jobs by state."""
        counts: Mapping[str, int] = client.get("/v1/status")["jobs"]
        return counts


@contextlib.contextmanager
def cluster(
    *,
    lease: str = "15s",
    workers: Sequence[str] = WORKERS,
    worker_options: Sequence[str] = (),
    option: int = 1,
) -> Iterator[Bench]:
    """A control plane and workers in a directory of their own; all end with the block. ``option``: see
    ``Cluster``.
    """
    with tempfile.TemporaryDirectory(prefix="mvm-ci-bench-") as directory:
        made = Cluster(Path(directory), lease=lease, option=option)
        try:
            made.control_plane()
            if workers:
                made.workers(workers, *worker_options)
            yield Bench(made)
        except Exception as error:
            # What the processes said is gone with them.
            error.add_note(made.logs())
            raise
        finally:
            made.close()


def times(runs: int, run: Callable[[], float]) -> list[float]:
    """The results of ``runs`` runs."""
    return [run() for _ in range(runs)]


def until(what: str, look: Callable[[], Any], seconds: float, pause_s: float = 0.02) -> Any:  # noqa: ANN401
    """What ``look`` returns as soon as that is true. Raises ``TimeoutError`` after so long."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(pause_s)
    return found
