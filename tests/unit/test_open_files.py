"""How many files a process may have open."""

import resource
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest

from mvm_ci.serving.limits import affordable
from mvm_ci.wiring import running


@pytest.mark.parametrize(
    ("soft", "hard", "files", "connections"),
    [
        (1_024, 524_288, 16_384, 10_000),  # what most systems give a service
        (1_024, resource.RLIM_INFINITY, 16_384, 10_000),
        (1_024, 4_096, 4_096, 3_840),
        (300, 300, 300, 150),
        (18_000, 20_000, 18_000, 10_000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY, 10_000),
    ],
)
def test_as_many_as_the_system_lets_it(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, files: int, connections: int
) -> None:
    now = [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda _which: now[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: now.append(limits))
    running.allow_open_files()
    assert now[-1] == (files, hard)
    assert affordable(10_000) == connections


@pytest.mark.parametrize("run", [running.run_control_plane, running.run_worker, running.run_dev])
def test_every_process_asks_for_them_before_it_serves(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[Any], None]
) -> None:
    order: list[str] = []
    monkeypatch.setattr(running, "allow_open_files", lambda: order.append("files"))
    monkeypatch.setattr(running, "run_service", lambda _service: order.append("serve"))
    run(Mock())
    assert order == ["files", "serve"]
