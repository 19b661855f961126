"""A configuration file in place of flags, for every process and for the command line."""

from __future__ import annotations

import json

from mvm_ci.testing.cluster import Cluster

CONFIG = """
[control-plane]
bind = "127.0.0.1:0"
p2p_bind = "127.0.0.1:0"
state_dir = "control-plane"
ticket_file = "ticket"
credentials_file = "made.json"

[worker]
name = "from-the-file"
slots = 1
state_dir = "worker"
ticket_file = "ticket"
join_token_file = "join.token"
p2p_bind = "127.0.0.1:0"
"""


def test_processes_and_command_line_live_on_a_file_alone(empty: Cluster, noop: str) -> None:
    file = empty.directory / "config.toml"
    file.write_text(CONFIG)
    environ = {"MVM_CI_CONFIG": str(file), "MVM_CI_CREDENTIALS": ""}
    empty.start("control-plane", "--config", str(file)).line("ticket: ")
    made = json.loads((empty.directory / "made.json").read_text())
    added = empty.run(
        *("profile", "add", "here", "--url", made["url"], "--token-file", "-"),
        stdin=made["token"],
        environ=environ,
    )
    assert (added.returncode, added.stdout) == (0, "here\n")
    assert empty.run("profile", "use", "here", environ=environ).returncode == 0
    token = empty.run("join-token", "create", "--ttl", "1h30m", environ=environ)
    (empty.directory / "join.token").write_text(token.stdout)
    empty.start("worker", environ=environ)
    job = empty.run("job", "submit", noop, "--wait", "--json", environ=environ)
    assert json.loads(job.stdout)["state"] == "completed", job.stderr
    (worker,) = json.loads(empty.run("worker", "list", "--json", environ=environ).stdout)["workers"]
    assert worker["name"] == "from-the-file"


def test_a_process_does_not_start_on_a_file_with_a_mistake(empty: Cluster) -> None:
    file = empty.directory / "config.toml"
    file.write_text(CONFIG.replace("slots", "slot"))
    process = empty.start("control-plane", "--config", str(file))
    assert process.wait() == 2
    assert process.stderr == f"error: {file}: there is no setting worker.slot; did you mean slots?\n"


def test_dev_says_how_to_reach_it_while_a_profile_is_in_use(empty: Cluster) -> None:
    file = empty.directory / "config.toml"
    file.write_text('profile = "away"\n[profiles.away]\nurl = "http://127.0.0.1:9"\n')
    environ = {"MVM_CI_CONFIG": str(file), "MVM_CI_CREDENTIALS": ""}
    dev = empty.start("dev", "--bind", "127.0.0.1:0", "--slots", "1", environ=environ)
    dev.line("the profile away is in use")
    credentials = dev.line("    export MVM_CI_CREDENTIALS=")
    found = empty.run("status", environ=environ | {"MVM_CI_CREDENTIALS": credentials})
    assert found.returncode == 0, found.stderr
