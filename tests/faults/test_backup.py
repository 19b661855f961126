"""A backup is made while jobs run and others are submitted; everything is killed; the state goes on
elsewhere.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path

from tests.faults.conftest import Rig, Web


def test_a_backup_under_load_goes_on_elsewhere(rig: Rig, web: Web) -> None:
    worker = rig.worker("first")
    ended_before = rig.submit([("post", f"{web.url}/before"), ("bytes", 10_000)])[0]
    assert rig.ended(ended_before)["state"] == "completed"
    todo = [("post", f"{web.url}/once"), ("get", f"{web.url}/gate"), ("post", f"{web.url}/end")]
    (running,) = rig.submit(todo)
    web.at_the_gate()
    answered: list[str] = []
    enough, stop = threading.Event(), threading.Event()

    def load() -> None:
        while not stop.is_set():
            answered.extend(rig.submit([("length", "x" * 10_000)], [("length", "y")]))
            if len(answered) >= 20:
                enough.set()

    loading = threading.Thread(target=load)
    loading.start()
    try:
        assert enough.wait(timeout=60)
        before = tuple(answered)
        state = rig.cluster.directory / "control-plane"
        file = rig.cluster.directory / "backup"
        made = rig.cluster.json("backup", "create", str(file), "--state-dir", str(state))
    finally:
        stop.set()
        loading.join(timeout=60)
    assert made["blobs"] >= 2
    # The world goes on without the backup: the job that ran is finished there.
    web.gate.set()
    assert rig.ended(running)["state"] == "completed"
    (unknown,) = rig.submit([("post", f"{web.url}/after")])
    assert rig.ended(unknown)["state"] == "completed"
    assert rig.plane is not None
    rig.plane.end(signal.SIGKILL)
    state.rename(rig.cluster.directory / "lost")

    assert rig.cluster.json("backup", "verify", str(file))["blobs"] == made["blobs"]
    restored = rig.cluster.json("backup", "restore", str(file), "--state-dir", str(state))
    assert restored["going_on"] >= 1
    rig.start_again()
    # The worker that saw the lost world comes back with its key, and holds nothing any more.
    rig.cluster.connected("first", worker)
    assert rig.job(ended_before)["state"] == "completed"
    assert rig.ask("GET", f"/v1/jobs/{ended_before}/result") is not None
    for job in (running, *before):
        assert rig.ended(job)["state"] == "completed", job
    assert rig.job(running)["epoch"] > 1_000_000
    # What was finished when the backup was made is not done again; what came after it is, as documented.
    assert web.posts == {"/before": 1, "/once": 1, "/end": 2, "/after": 1}
    listed = {job["id"] for job in rig.ask("GET", "/v1/jobs?limit=1000")["jobs"]}
    assert set(before) <= listed
    assert unknown not in listed


def test_commands_on_what_is_no_backup_and_no_state(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "diary").write_text("dear diary")
    for args, words in (
        (("backup", "verify", "diary"), "backup"),
        (("backup", "verify", "absent"), "absent"),
        (("backup", "restore", "diary", "--state-dir", "new"), "backup"),
        (("backup", "create", "backup", "--state-dir", str(tmp_path)), "no state of a control plane"),
    ):
        done = rig.cluster.run(*args)
        assert done.returncode == 2, done.stderr
        assert words in done.stderr.splitlines()[-1]
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "backup").exists()
