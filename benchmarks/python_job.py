"""A small Python job: how long it keeps a worker's slot."""

from benchmarks.workload import EXAMPLES, INPUT, WORKERS, Bench, Measured, times

JOBS = 200


def measure(bench: Bench, runs: int, *, quick: bool) -> Measured:
    jobs = 20 if quick else JOBS
    target = bench.cluster.directory / "noop.wasm"
    bench.cluster.ok("build", str(EXAMPLES / "noop.py"), "--output", str(target))
    request = bench.submission(bench.module(target), [INPUT] * jobs)
    took = times(runs, lambda: bench.load([request], 1) * 1000 / jobs * len(WORKERS))
    return Measured(
        {"python_job_ms": took},
        f"{jobs} Python jobs that return their input, in one request, machine code cached; "
        "time of one worker's slot",
    )
