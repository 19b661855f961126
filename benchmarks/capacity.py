"""Makes the results behind ``docs/deployment``: ``python -m benchmarks.capacity [NAME ...]``.

All of them, or those alone; they are written to ``docs/deployment/runs/NAME.json``. On an idle machine; an
hour and a half. After it: ``make figures``.
"""

import subprocess
import sys
from typing import Final

from benchmarks.workload import ROOT

RUNS: Final = ROOT / "docs" / "deployment" / "runs"
_ALL: Final = "--jobs noop --jobs wait --jobs http --jobs cpu --jobs memory --jobs mixed"
_EACH: Final = "--measure 5s --warm-up 5s --repetitions 2 --slo p99=250ms"
_FLOW: Final = "--measure 5s --warm-up 5s --repetitions 2 --slo p99=1s"
"""Five answers of a stub take longer than 250 ms, once in a hundred times."""
_WORKERS: Final = "--workers 1,2,5,10,20,50,100"
COMMANDS: Final = {
    "option-1": f"--option 1 {_ALL} {_WORKERS} {_EACH}",
    "option-1-many": f"--option 1 --jobs noop --jobs wait --jobs http --workers 100,150,200,300 {_EACH}",
    "option-2": f"--option 2 --simulated {_ALL} {_WORKERS},200 {_EACH}",
    "option-4": f"--option 4 --simulated {_ALL} {_WORKERS},200 {_EACH}",
    "flow": f"--option 1 --jobs flow {_WORKERS} {_FLOW}",
    "flow-shared": f"--option 2 --option 4 --simulated --jobs flow {_WORKERS},200 {_FLOW}",
    "rates": f"--option 1 --option 4 --jobs wait --workers 10 --rate 50,100,200,400,800,1600 {_EACH}",
    "scenarios": "--option 1 --option 4 --jobs wait --jobs flow --workers 5 "
    f"--scenario 100 --scenario 500 --scenario 1000 {_EACH}",
    "thousand": "--option 1 --simulated --jobs wait --workers 50,100,200,500,1000 --rate 200 --in-flight 1 "
    "--measure 8s --warm-up 8s --repetitions 2 --slo p99=250ms",
    "control-plane": "--option 1 --simulated --jobs wait --workers 10,20,50,100,200,500,1000 "
    "--measure 8s --warm-up 8s --repetitions 2 --slo p99=500ms",
    "soak": "--option 1 --workers 5 --jobs mixed --rate 20 --duration 30m --kill-every 2m",
}


def main(names: list[str]) -> int:
    """The exit code of the first command that failed, or 0."""
    unknown = [name for name in names if name not in COMMANDS]
    if unknown:
        print(f"no run {unknown[0]!r}; there are: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    for name in names or COMMANDS:
        print(f"== {name}", flush=True)
        given = ("loadtest", "--local", *COMMANDS[name].split(), "--output", f"{name}.json")
        code = subprocess.run([sys.executable, "-m", "mvm_ci", *given], cwd=RUNS, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
