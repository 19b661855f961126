"""The implementation guide, followed with containers: every block that is for them, in one shell."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.report import conditions
from tests.deploy.docker.conftest import WORKERS, free_port
from tests.deploy.docker.fleet import BASE, ROOT, SCRIPT, Fleet
from tests.unit.documents.commands import CONTAINERS, GUIDE, blocks

GUIDE_S = 900
FIGURES = ROOT / "build" / "containers.json"
SHORTER = {
    "scripts/start-cluster.sh": str(SCRIPT),
    "--duration 30m": "--duration 20s",
    '"steps": 30': '"steps": 12',
    "--workers 20\n": "--workers 6\n",
    "--workers 1,2,5,10,20": "--workers 1,6 --measure 1s --warm-up 1s --repetitions 1",
    # Of so short a run nothing can be decided.
    "--results engine.json\n": "--results engine.json || test $? = 7\n",
}
pytestmark = pytest.mark.timeout(GUIDE_S + 300)


@pytest.fixture
def reader(docker_host: str, tmp_path: Path) -> Iterator[Fleet]:
    """Whoever follows the guide: nothing is set but what a machine without a registry needs."""
    one = Fleet(docker_host, "mvm-ci", "4", tmp_path, free_port(), {"LEASE": "5s"})
    yield one
    one.script("--option", "4", "--down", "--volumes")


def test_the_guide_works(reader: Fleet) -> None:
    began = [block.code for block in blocks(GUIDE) if block.kind == CONTAINERS]
    code = "".join(began)
    for long, short in SHORTER.items():
        assert long in code
        code = code.replace(long, short)
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", code],
        cwd=reader.directory,
        env={**reader.environment, "PATH": f"{Path(sys.executable).parent}:{reader.environment['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=GUIDE_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-8000:]}{done.stderr[-8000:]}{reader.logs()}"
    for name in ("Ada", "Barbara"):
        assert f'{{"greeting":"Hello, {name}"}}' in done.stdout.replace(": ", ":")
    assert done.stdout.count("all checks that were judged passed") == 2
    assert "workers lost  1" in done.stdout
    assert "not enough evidence" in done.stdout
    assert done.stdout.rstrip().endswith("--down --volumes deletes them.")


def test_what_containers_cost_is_left_for_the_documents(reader: Fleet) -> None:
    """In ``build/containers.json``; whoever wants it told moves it to ``docs/deployment/runs``."""
    reader.start(WORKERS)  # builds the images, if no test did before
    assert reader.script("--option", "4", "--down", "--volumes").returncode == 0
    began = time.monotonic()
    reader.start(WORKERS)
    started_s = time.monotonic() - began
    images = {
        "base": BASE["PYTHON_IMAGE"],
        "control_plane": "mvm-ci-control-plane:local",
        "worker": "mvm-ci-worker:local",
    }
    sizes = {
        f"{name}_image_mb": int(reader.docker("image", "inspect", "--format", "{{.Size}}", image)) / 1e6
        for name, image in images.items()
    }
    assert sizes["base_image_mb"] < min(sizes["control_plane_image_mb"], sizes["worker_image_mb"])
    found = {"containers": {**sizes, "workers": WORKERS, "start_s": started_s}}
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps({**found, "conditions": conditions(quick=False, runs=1)}, indent=2) + "\n")
