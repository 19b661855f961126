"""A worker or the control plane is killed in the middle of an artifact: it is whole in the end, and there
once.
"""

from __future__ import annotations

import json
import shutil
import signal
import urllib.request
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from guest.build_c import build_c
from mvm_ci.testing.cluster import ROOT, Process
from tests.faults.conftest import Rig

pytestmark = pytest.mark.timeout(240)
MEGABYTES = 20


@pytest.fixture
def holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the hooks, for all processes that start from now on."""
    directory = tmp_path / "holds"
    directory.mkdir()
    shutil.copy(Path(__file__).parent / "artifact_hooks.py", directory / "sitecustomize.py")
    monkeypatch.setenv("PYTHONPATH", str(directory))
    return directory


def put(rig: Rig, pause_ms: int = 0, **fields: Any) -> str:
    """A job that puts an artifact."""
    module = build_c(ROOT / "guest" / "tests" / "artifacts.c")
    digest = rig.cluster.ok("module", "push", str(module))
    spec = {"module": digest, "input": f"put {MEGABYTES} {pause_ms}", "memory_mb": 8, **fields}
    job: str = rig.ask("POST", "/v1/jobs", {"jobs": [spec]})["jobs"][0]["id"]
    return job


def until_held(rig: Rig, holds: Path, place: str) -> None:
    rig.cluster.until((holds / f"at-{place}").exists, f"a process is at {place}")


def check(rig: Rig, job: str, epoch: int) -> None:
    """It has completed, with its artifact, whole, and nothing else is left."""
    ended = rig.ended(job)
    assert (ended["state"], ended["epoch"], ended.get("attempt", 1)) == ("completed", epoch, 1), ended
    result = rig.ask("GET", f"/v1/jobs/{job}/result")["ok"]
    [artifact] = rig.ask("GET", f"/v1/jobs/{job}/artifacts")["artifacts"]
    assert (artifact["name"], artifact["digest"]) == ("dir/big.bin", result["digest"])
    request = rig.cluster.request("GET", f"/v1/jobs/{job}/artifacts/dir%2Fbig.bin")
    with urllib.request.urlopen(request, timeout=60) as answer:
        whole = answer.read()
    assert (len(whole), sha256(whole).hexdigest()) == (MEGABYTES << 20, artifact["digest"])
    blobs = rig.cluster.directory / "control-plane" / "blobs"
    modules = {module["digest"] for module in rig.ask("GET", "/v1/modules")["modules"]}
    assert {file.name for file in blobs.rglob("*") if file.is_file()} - modules == {artifact["digest"]}


@pytest.mark.parametrize("place", ["write", "upload"])
def test_a_worker_killed_while_a_guest_puts_costs_a_repetition(rig: Rig, holds: Path, place: str) -> None:
    (holds / f"hold-{place}").touch()
    first = rig.worker("first")
    job = put(rig)
    until_held(rig, holds, place)
    first.end(signal.SIGKILL)
    (holds / f"hold-{place}").unlink()
    rig.worker("second")
    check(rig, job, epoch=2)


def test_the_same_worker_comes_back_and_cleans_up(rig: Rig, holds: Path) -> None:
    (holds / "hold-upload").touch()
    first = rig.worker("first")
    job = put(rig)
    until_held(rig, holds, "upload")
    files = rig.cluster.directory / "first" / "artifacts"
    assert [file.suffix for file in files.iterdir()] == [".new"]
    first.end(signal.SIGKILL)
    (holds / "hold-upload").unlink()
    rig.started("first", "first", {})
    check(rig, job, epoch=2)
    digest = rig.ask("GET", f"/v1/jobs/{job}/artifacts")["artifacts"][0]["digest"]
    assert [file.name for file in files.iterdir()] == [digest]


@pytest.mark.parametrize("rig", ["30s"], indirect=True)
def test_the_control_plane_killed_during_an_upload_gets_it_again(rig: Rig, holds: Path) -> None:
    rig.worker("first")
    # The hooks are for those that start from now on.
    restart(rig, signal.SIGTERM)
    (holds / "hold-receive").touch()
    job = put(rig)
    until_held(rig, holds, "receive")
    incoming = rig.cluster.directory / "control-plane" / "blobs" / "incoming"
    assert len(list(incoming.iterdir())) == 1
    (holds / "hold-receive").unlink()
    restart(rig, signal.SIGKILL)
    check(rig, job, epoch=1)
    assert list(incoming.iterdir()) == []


def restart(rig: Rig, number: signal.Signals) -> None:
    plane: Process | None = rig.plane
    assert plane is not None
    plane.end(number)
    rig.start_again()


@pytest.mark.parametrize("point", ["ask.before", "ask.after"])
def test_a_worker_killed_when_it_names_the_artifact(rig: Rig, point: str) -> None:
    hooks, environ = rig.hooked()
    (hooks / "plan.json").write_text(json.dumps([point, 1]))
    first = rig.worker("first", environ=environ)
    job = put(rig)
    assert first.wait() == -signal.SIGKILL
    rig.worker("second")
    check(rig, job, epoch=2)


def test_what_was_put_before_a_kill_is_not_put_again(rig: Rig, web: Any) -> None:
    """The journal has it: the second worker sends nothing."""
    environ: Mapping[str, str] = {}
    first = rig.worker("first", environ=environ)
    module = rig.cluster.ok("module", "push", str(build_c(ROOT / "guest" / "tests" / "artifacts.c")))
    spec = {
        "module": module,
        "input": f"putget {web.url}/gate/get",
        "memory_mb": 8,
        "allow_hosts": ["127.0.0.1:*"],
    }
    job = rig.ask("POST", "/v1/jobs", {"jobs": [spec]})["jobs"][0]["id"]
    web.at_the_gate()
    first.end(signal.SIGKILL)
    second = rig.worker("second")
    web.at_the_gate()
    web.gate.set()
    assert rig.ended(job)["state"] == "completed"
    assert list((rig.cluster.directory / "second" / "artifacts").iterdir()) == [], second.stderr
    [artifact] = rig.ask("GET", f"/v1/jobs/{job}/artifacts")["artifacts"]
    assert artifact["size"] == 1 << 20
