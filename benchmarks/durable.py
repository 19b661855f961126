"""What a journal costs: flows of many steps, journaled and not."""

from benchmarks.workload import GUESTS, Bench, Measured

STEPS = 5_000


def measure(bench: Bench, runs: int, *, quick: bool) -> Measured:
    module = bench.c_module(GUESTS / "many_steps.c")
    figures: dict[str, list[float]] = {}
    for flows in (10, 20) if quick else (10, 100):
        ratios = figures[f"durable_over_ephemeral_{flows}"] = []
        for _ in range(runs):
            ephemeral = _seconds(bench, module, flows, "none")
            ratios.append(_seconds(bench, module, flows, "journaled") / ephemeral)
    return Measured(
        figures,
        f"executions of {STEPS:,} clock readings, 10 and 100 submitted at once: seconds with durability "
        "journaled over seconds with none, the best of three each",
    )


def _seconds(bench: Bench, module: str, flows: int, durability: str) -> float:
    request = bench.submission(module, ["x"] * flows, durability=durability)
    return min(bench.load([request], 1) for _ in range(3))
