"""The implementation guide, followed as far as it needs no containers: load tests, the plan, the decision."""

from __future__ import annotations

import json
import shlex

import pytest

from mvm_ci.capacity import results
from mvm_ci.testing.cluster import Cluster
from tests.unit.documents.commands import GUIDE, PROCESSES, blocks

pytestmark = pytest.mark.timeout(400)
SHORTER = {
    "--workers 1,2,5,10,20,50,100": "--workers 1,2 --measure 1s --warm-up 1s --repetitions 1",
    "--duration 30m --kill-every 2m": "--duration 30s --kill-every 10s",
}
NOT_ENOUGH = 7


def test_load_tests_and_the_decision(empty: Cluster) -> None:
    code = "".join(block.code for block in blocks(GUIDE) if block.kind == PROCESSES)
    for long, short in SHORTER.items():
        assert long in code
        code = code.replace(long, short)
    said = {}
    for line in code.splitlines():
        program, *args = shlex.split(line)
        assert program == "mvm-ci"
        running = empty.start(*args)
        ended = running.wait(120)
        # Of so short a run nothing can be decided.
        assert ended == (NOT_ENOUGH if args[0] == "decide" else 0), running.stderr + "".join(running.lines)
        said[args[0]] = "".join(running.lines)
    ramp = results.read((empty.directory / "ramp.json").read_bytes(), "ramp.json")
    assert {(step.option, step.workers) for step in ramp.steps} == {(1, 1), (1, 2), (4, 1), (4, 2)}
    assert "<svg" in (empty.directory / "ramp.html").read_text()
    soak = json.loads((empty.directory / "soak.json").read_text())["soak"]
    assert (soak["lost"], soak["doubled"]) == (0, 0)
    assert len(soak["losses"]) >= 1
    assert said["plan"].startswith("option 4 for 10 workers")
    assert "not enough evidence" in said["decide"]
    assert "until the missing run is there" in (empty.directory / "decision.md").read_text()
