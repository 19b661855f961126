"""Wall clocks that are an hour wrong: it is told, no lease notices, and work goes on; mended, all is well."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.bad_setup import Setup, built, setup
from tests.faults.conftest import HOOKS

__all__ = ["built", "setup"]  # fixtures, found here by their names

pytestmark = pytest.mark.timeout(120)
HOUR_MS = 3_600_000


@pytest.mark.parametrize("offset_ms", [HOUR_MS, -HOUR_MS], ids=["ahead", "behind"])
@pytest.mark.parametrize("wrong", ["worker", "engine", "control-plane"])
def test_a_clock_that_is_an_hour_wrong(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, offset_ms: int
) -> None:
    clock = tmp_path / "clock" / "clock-offset-ms"
    clock.parent.mkdir()
    shutil.copy(HOOKS, clock.parent / "sitecustomize.py")
    clock.write_text(str(offset_ms))
    moved = {"PYTHONPATH": str(clock.parent)}
    if wrong == "control-plane":
        with monkeypatch.context() as there:
            there.setenv("PYTHONPATH", str(clock.parent))
            plane = setup.plane(option=3)
    else:
        plane = setup.plane(option=3)
    if wrong == "worker":
        peer = setup.peer("worker", "one", environ=setup.token() | moved)
        peers = [peer]
    else:
        environ = setup.token() | (moved if wrong == "engine" else {})
        peer = setup.peer("engine", "engine", "--bind", "127.0.0.1:0", environ=environ)
        url = peer.line("engine: ")
        token = str(setup.directory / "engine" / "engine-token")
        reach = ("--engine", url, "--engine-token-file", token)
        peers = [peer, setup.peer("worker", "one", *reach, environ=setup.token())]
    ahead = (offset_ms > 0) == (wrong != "control-plane")
    way = "3600 s ahead of the control plane's" if ahead else "3600 s behind the control plane's"
    setup.says(peer, "clocks_differ", way, "set both clocks")
    # Times of the day count by the control plane's clock, a sleep in place by the guest's.
    late = setup.submit("run-at", more=("--run-at", "+3s"))
    setup.completes(setup.submit("at-once"), setup.submit("in-place", ("sleep", 2)))
    if wrong != "control-plane" or offset_ms > 0:
        setup.completes(late)
    if not ahead:
        # It is woken too early, and sleeps on: placed once a second at most.
        early = setup.submit("early", ("sleep", 8))
        setup.completes(early)
        assert setup.cluster.json("job", "show", early)["epoch"] <= 9
    new = clock.with_suffix(".new")
    new.write_text("0")
    new.replace(clock)
    setup.completes(late, setup.submit("mended", ("sleep", 7)))
    setup.alive(plane, *peers)
    assert all("session_lost" not in one.stderr for one in (plane, *peers))
