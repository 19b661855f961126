"""W3: executions of five journaled steps, buffered and strict."""

from benchmarks.workload import EXAMPLES, GUESTS, Bench, Measured, times

FLOWS = 5_000


def measure(bench: Bench, runs: int, *, quick: bool) -> Measured:
    flows = 500 if quick else FLOWS
    five_steps = bench.c_module(EXAMPLES / "five_steps.c")
    bench.rate(five_steps, 1_000)
    rates = times(runs, lambda: bench.rate(five_steps, flows))
    strict = bench.c_module(GUESTS / "strict_steps.c")
    bench.rate(strict, 500)
    strict_rates = times(runs, lambda: bench.rate(strict, flows))
    return Measured(
        {"w3_flows_per_s": rates, "w3_strict_flows_per_s": strict_rates},
        f"{flows:,} executions of five journaled clock readings, 100 a request, 8 connections; strict: each "
        "step is durable before the next",
    )
