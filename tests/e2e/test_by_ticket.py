"""The command line, where a ticket stands in place of an address."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mvm_ci.testing.cluster import ROOT, Cluster
from tests.e2e.conftest import Gate, asked


@pytest.fixture
def ticket(shared: Cluster) -> dict[str, str]:
    """Where the environment names the control plane by its ticket."""
    token = shared.directory / "control-plane" / "admin-token"
    return {"MVM_CI_URL": shared.ticket.read_text(), "MVM_CI_TOKEN_FILE": str(token)}


def test_a_job_is_built_run_and_shown(shared: Cluster, ticket: dict[str, str]) -> None:
    source = ROOT / "guest" / "examples" / "hello.py"
    done = shared.run("run", str(source), "--input", '{"name": "Ada"}', environ=ticket)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["greeting"] == "Hello, Ada!"
    listed = shared.run("job", "list", "--json", environ=ticket)
    assert json.loads(listed.stdout)["jobs"][0]["name"] == "hello"


def test_logs_are_followed(shared: Cluster, ticket: dict[str, str], steps: str, gate: Gate) -> None:
    todo = asked(("print", "before the gate"), ("get", gate.url), ("print", "behind it"))
    options = ("--allow-host", "127.0.0.1:*", "--input", todo)
    job = shared.run("job", "submit", steps, *options, environ=ticket).stdout.strip()
    follower = shared.start("job", "logs", "-f", job, environ=ticket)
    assert follower.line("before the gate") == ""
    gate.opened.set()
    assert follower.wait() == 0
    assert "".join(follower.lines).splitlines() == ["before the gate", "behind it"]


def test_files_go_up_and_come_down(shared: Cluster, ticket: dict[str, str], tmp_path: Path) -> None:
    source, data = tmp_path / "keep.py", bytes(range(256)) * 20_000
    source.write_text(
        "import mvm_ci\n\n\ndef run(input):\n"
        "    with open('/inputs/given', 'rb') as given:\n"
        "        mvm_ci.put_artifact('kept', given.read())\n"
    )
    (tmp_path / "given").write_bytes(data)
    given = f"given={tmp_path / 'given'}"
    module = tmp_path / "keep.wasm"
    shared.ok("build", str(source), "-o", str(module))
    job = shared.run("job", "submit", str(module), "--artifact", given, environ=ticket).stdout.strip()
    assert shared.run("job", "wait", job, environ=ticket).stdout == "completed\n"
    target = tmp_path / "kept"
    done = shared.run("artifact", "get", job, "kept", "--output", str(target), environ=ticket)
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == data


def test_what_goes_wrong_is_told(shared: Cluster, ticket: dict[str, str], tmp_path: Path) -> None:
    cut = ticket | {"MVM_CI_URL": ticket["MVM_CI_URL"][:-9]}
    done = shared.run("job", "list", environ=cut)
    assert done.returncode == 2
    assert "not an endpoint ticket" in done.stderr
    short = shared.run("job", "list", "--url", "endpointabc")
    assert short.returncode == 2
    other = tmp_path / "token"
    other.write_text("mvm_api_" + "A" * 43)
    refused = shared.run("job", "list", environ=ticket | {"MVM_CI_TOKEN_FILE": str(other)})
    assert refused.returncode != 0
    assert "token is not valid" in refused.stderr
    # The token of the credentials file is for its own address.
    bound = shared.run("job", "list", "--url", ticket["MVM_CI_URL"])
    assert bound.returncode == 2
    assert "not for endpoint" in bound.stderr
