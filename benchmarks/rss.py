"""What processes hold in memory that have run a few jobs and do nothing."""

from benchmarks.processes import family, memory_mb
from benchmarks.workload import EXAMPLES, WORKERS, Bench, Measured


def measure(bench: Bench, runs: int, *, quick: bool) -> Measured:
    """Fresh processes differ by less than a megabyte from start to start: one look is enough."""
    del runs, quick
    bench.c_module(EXAMPLES / "noop.c")  # so all runners are there
    parts = {process.name: family(process.popen.pid) for process in bench.cluster.processes}
    return Measured(
        {
            "rss_server_mb": [memory_mb(parts["control-plane"])],
            "rss_worker_mb": [memory_mb(parts[WORKERS[0]])],
        },
        "proportional set size, idle after a few no-op jobs: the control plane with 2 workers connected; "
        "a worker together with its 1 runner",
    )
