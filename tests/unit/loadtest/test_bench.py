"""Whether a process of the load test's own was the limit of what it measured."""

from __future__ import annotations

from typing import cast
from unittest import mock

import pytest

from mvm_ci.capacity.results import Usage
from mvm_ci.client import ApiClient
from mvm_ci.loadtest.bench import Bench
from mvm_ci.loadtest.fleet import Fleet
from tests.unit.capacity.recorded import repetition

BUSY = "used 0.90 cores, and one is about all it can use"
EARLIER = "1 of 100 requests left 9 ms late or more"


@pytest.mark.parametrize(
    ("kind", "part", "cores", "told"),
    [
        ("processes", "stub", 0.9, f"the stub {BUSY}"),
        ("processes", "stub", 0.89, ""),
        ("processes", "workers", 7.0, ""),
        ("processes", "control-plane", 1.9, ""),
        ("simulated", "workers", 0.9, f"the process of the simulated workers {BUSY}"),
        ("simulated", "workers", 0.89, ""),
        ("simulated", "control-plane", 1.9, ""),
    ],
)
@pytest.mark.parametrize("before", ["", EARLIER])
def test_a_process_that_can_use_one_core_is_the_limit_when_it_does(
    kind: str, part: str, cores: float, told: str, before: str
) -> None:
    fleet = cast("Fleet", mock.Mock(simulated=kind == "simulated"))
    bench = Bench(fleet, cast("ApiClient", None), "queue", "module", None)
    used = Usage(part=part, processes=1, cpu_cores=cores, memory_mb=50.0)
    found = bench.judged(repetition(100.0, 50.0, [used], bottleneck=before))
    assert found.bottleneck == "; ".join(filter(None, (before, told)))
    assert (found.jobs_per_s, found.usage) == (100.0, (used,))
