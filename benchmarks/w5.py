"""W5: a worker is killed in the middle of the work; the same command is given again, or never.

Guests that wait hold no slot, so nearly all of the jobs are in the workers' memory when one is killed.
"""

import signal
import time
from typing import NamedTuple

from benchmarks.client import RequestFailed
from benchmarks.effects import Effects, counted_effects
from benchmarks.workload import GUESTS, WORKERS, Bench, Measured, cluster, until

JOBS = 1_000
KILLED_AT = 300
BACK_AFTER_S = 1.0
SLOTS = 16
LEASE_S, LOST_LEASE_S = 15, 5
_LONGEST_S = 120.0
_LOOK_S = 0.005
_OPTIONS = ("--allow-host", "127.0.0.1:*", "--allow-network", "127.0.0.0/8")


class Plan(NamedTuple):
    """``killed_at``: ends seen when a worker is killed; ``slots``: of each worker."""

    jobs: int
    killed_at: int
    slots: int

    @property
    def options(self) -> tuple[str, ...]:
        return ("--slots", str(self.slots), *_OPTIONS)


def measure(runs: int, *, quick: bool) -> Measured:
    plan = Plan(200, 60, 4) if quick else Plan(JOBS, KILLED_AT, SLOTS)
    figures: dict[str, list[float]] = {"w5_recovery_s": [], "w5_rerun": [], "w5_lost_recovery_s": []}
    for _ in range(runs):
        took, rerun = _run(plan, comes_back=True)
        figures["w5_recovery_s"].append(took)
        lost_took, lost_rerun = _run(plan, comes_back=False)
        figures["w5_lost_recovery_s"].append(lost_took)
        figures["w5_rerun"].append(rerun + lost_rerun)
    return Measured(
        figures,
        f"{plan.jobs:,} jobs, each one POST to a server that counts, and 20 ms of sleep; 2 workers of "
        f"{plan.slots} slots, one killed by SIGKILL at {plan.killed_at} ends; from then to the last "
        f"completion. Recovery: the same command again {BACK_AFTER_S:g} s later, lease {LEASE_S} s. Lost: it "
        f"never returns, lease {LOST_LEASE_S} s. Rerun: requests that the server saw more than once, in both",
    )


def _run(plan: Plan, *, comes_back: bool) -> tuple[float, int]:
    lease = LEASE_S if comes_back else LOST_LEASE_S
    with counted_effects() as effects, cluster(lease=f"{lease}s", worker_options=plan.options) as bench:
        took = _recovery(bench, effects, plan, comes_back=comes_back)
        # A request that was under way at the kill may never have been sent, and is not repeated.
        if len(effects.counts) < plan.jobs // 2:
            raise RequestFailed(f"only {len(effects.counts)} of {plan.jobs} effects arrived")
        return took, effects.repeated


def _recovery(bench: Bench, effects: Effects, plan: Plan, *, comes_back: bool) -> float:
    """Seconds from the kill to the last completion."""
    module = bench.c_module(GUESTS / "effect.c", _request(effects, "warm"))
    effects.counts.clear()
    requests = [_request(effects, str(number)) for number in range(plan.jobs)]
    with bench.client() as client:
        before = bench.counts(client).get("completed", 0)

        def done() -> int:
            return bench.counts(client).get("completed", 0) - before

        bench.load([bench.submission(module, requests, wait_s=0, allow_hosts=[effects.address])], 1)
        until(f"{plan.killed_at} jobs completed", lambda: done() >= plan.killed_at, _LONGEST_S, _LOOK_S)
        victim = next(one for one in bench.cluster.processes if one.name == WORKERS[0])
        killed = time.monotonic()
        victim.popen.send_signal(signal.SIGKILL)
        victim.wait()
        if comes_back:
            time.sleep(max(0.0, killed + BACK_AFTER_S - time.monotonic()))
            bench.cluster.worker_process(WORKERS[0], *plan.options, token="")
        until(f"all {plan.jobs} jobs completed", lambda: done() >= plan.jobs, _LONGEST_S, _LOOK_S)
        return time.monotonic() - killed


def _request(effects: Effects, path: str) -> dict[str, str]:
    return {"method": "POST", "url": f"http://{effects.address}/{path}"}
