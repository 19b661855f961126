"""``mvm-ci dev``: everything in one process, closed, and stopped with Ctrl-C."""

from __future__ import annotations

import signal

from mvm_ci.testing.cluster import Cluster


def test_dev_runs_a_job_and_stops(empty: Cluster, noop: str) -> None:
    dev = empty.start("dev", "--bind", "127.0.0.1:0", "--slots", "1")
    dev.line("api: ")
    dev.line("ready")
    assert empty.credentials.stat().st_mode & 0o777 == 0o600
    job = empty.ok("job", "submit", noop, "--wait", "--json")
    assert '"state": "completed"' in job
    assert empty.json("status")["connected"] == 1
    assert dev.end(signal.SIGINT) == 0, dev.stderr
    assert "Traceback" not in dev.stderr
    # The next start takes up the same state.
    again = empty.start("dev", "--bind", "127.0.0.1:0", "--slots", "1")
    again.line("ready")
    assert [one["state"] for one in empty.json("job", "list")["jobs"]] == ["completed"]
    assert len(empty.json("worker", "list")["workers"]) == 1


def test_dev_does_not_replace_the_credentials_of_another_control_plane(empty: Cluster) -> None:
    empty.credentials.write_text('{"url": "https://elsewhere.test", "token": "precious"}')
    empty.credentials.chmod(0o600)
    dev = empty.start("dev", "--bind", "127.0.0.1:0", "--slots", "1")
    dev.line("ready")
    assert "precious" in empty.credentials.read_text()
    hint = "".join(dev.lines)
    assert "MVM_CI_CREDENTIALS=" in hint


def test_dev_on_a_port_in_use(empty: Cluster) -> None:
    first = empty.start("dev", "--bind", "127.0.0.1:0", "--slots", "1")
    address = first.line("api: ").removeprefix("http://")
    second = empty.start("dev", "--bind", address, "--state-dir", "other")
    assert second.wait() == 2
    assert second.stderr.splitlines()[-1].startswith(f"error: the API cannot listen on {address}")
    third = empty.start("dev", "--bind", "127.0.0.1:0")
    assert third.wait() == 2
    assert "in use" in third.stderr.splitlines()[-1]
