"""Processes that start, stop, and cannot start: one clear line, an exit code, never a traceback."""

from __future__ import annotations

import contextlib
import signal
import socket
import sqlite3

import pytest

from mvm_ci.testing.cluster import Cluster, Process


def said(process: Process, code: int, *words: str) -> None:
    """It ended with ``code``, and its last line says why."""
    assert process.wait() == code, process.stderr
    last = process.stderr.splitlines()[-1]
    assert last.startswith("error: "), process.stderr
    assert all(word in last for word in words), last
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_is_clean(empty: Cluster, number: signal.Signals) -> None:
    control = empty.control_plane()
    worker = empty.worker("one")
    for process in (worker, control):
        assert process.end(number) == 0, process.stderr
        assert "Traceback" not in process.stderr


def test_files_that_hold_secrets_are_for_their_owner(control: Cluster) -> None:
    assert control.credentials.stat().st_mode & 0o777 == 0o600
    state = control.directory / "control-plane"
    assert state.stat().st_mode & 0o077 == 0
    printed = "".join("".join(process.lines) + process.stderr for process in control.processes)
    assert "mvm_api_" not in printed


def test_the_address_is_printed_and_recorded(empty: Cluster) -> None:
    process = empty.start(
        "control-plane",
        *("--bind", "127.0.0.1:0", "--state-dir", "state", "--credentials-file", str(empty.credentials)),
    )
    url = process.line("api: ")
    ticket = process.line("ticket: ")
    assert url in empty.credentials.read_text()
    assert not url.endswith(":0")
    assert empty.json("status")["workers"] == 0
    process.end()
    again = empty.start("control-plane", "--bind", "127.0.0.1:0", "--state-dir", "state")
    # Key and port persist, so a ticket stays valid.
    assert again.line("ticket: ") == ticket


def test_a_port_in_use(empty: Cluster) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said(empty.start("control-plane", "--bind", f"127.0.0.1:{port}"), 2, port, "in use")


@pytest.mark.parametrize("command", ["control-plane", "worker"])
def test_a_p2p_port_in_use(empty: Cluster, command: str) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        more = ["--bind", "127.0.0.1:0"] if command == "control-plane" else ["--ticket", "x"]
        started = empty.start(command, "--state-dir", "state", "--p2p-bind", f"127.0.0.1:{port}", *more)
        said(started, 2, port)


def test_a_state_directory_in_use(control: Cluster) -> None:
    state = str(control.directory / "control-plane")
    said(control.start("control-plane", "--bind", "127.0.0.1:0", "--state-dir", state), 2, state)


@pytest.mark.parametrize("command", ["control-plane", "worker"])
def test_a_state_directory_that_cannot_be_written(empty: Cluster, command: str) -> None:
    (empty.directory / "file").write_text("")
    state = str(empty.directory / "file" / "state")
    more = ["--bind", "127.0.0.1:0"] if command == "control-plane" else ["--ticket", "x"]
    said(empty.start(command, "--state-dir", state, *more), 2, state)


@pytest.mark.parametrize("command", ["control-plane", "worker"])
def test_a_state_directory_in_a_place_that_is_read_only(empty: Cluster, command: str) -> None:
    # In /proc nobody makes directories, root neither: the test is the same for every user.
    state = "/proc/self/mvm-ci-state"
    more = ["--bind", "127.0.0.1:0"] if command == "control-plane" else ["--ticket", "x"]
    said(empty.start(command, "--state-dir", state, *more), 2, state)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE meta SET value = '999' WHERE key = 'schema_version'", "newer"),
        ("PRAGMA application_id = 1", "another program"),
    ],
)
def test_the_database_of_another_program_or_a_newer_version(
    empty: Cluster, statement: str, words: str
) -> None:
    empty.control_plane().end()
    state = empty.directory / "control-plane"
    (file,) = state.rglob("*.db")
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute(statement)
    said(
        empty.start("control-plane", "--bind", "127.0.0.1:0", "--state-dir", str(state)), 2, words, str(state)
    )


@pytest.mark.parametrize("command", ["control-plane", "worker"])
def test_the_directory_of_something_else(empty: Cluster, command: str) -> None:
    state = empty.directory / "thesis"
    state.mkdir()
    (state / "chapter-1.txt").write_text("precious")
    more = ["--bind", "127.0.0.1:0"] if command == "control-plane" else ["--ticket", "x"]
    said(empty.start(command, "--state-dir", str(state), *more), 2, str(state))
    assert [path.name for path in state.iterdir()] == ["chapter-1.txt"]


def test_a_worker_needs_permission(control: Cluster) -> None:
    worker = control.start("worker", "--ticket-file", str(control.ticket), "--state-dir", "one")
    said(worker, 4, "join token")


def test_a_ticket_that_is_none(control: Cluster) -> None:
    token = control.ok("join-token", "create")
    worker = control.start(
        "worker", "--ticket", "nonsense", "--state-dir", "one", environ={"MVM_CI_JOIN_TOKEN": token}
    )
    said(worker, 2, "ticket")


def test_a_join_token_is_used_up(control: Cluster) -> None:
    token = control.ok("join-token", "create", "--uses", "1")
    control.worker("one", token=token)
    said(control.worker_process("two", token=token), 4, "join token")


def test_a_join_token_that_was_never_given(control: Cluster) -> None:
    token = control.ok("join-token", "create")
    wrong = token[:-6] + ("aaaaaa" if not token.endswith("aaaaaa") else "bbbbbb")
    worker = control.worker_process("one", token=wrong)
    assert worker.wait() in (2, 4), worker.stderr
    assert worker.stderr.splitlines()[-1].startswith("error: ")
    assert wrong not in worker.stderr


def test_a_revoked_worker_is_refused_for_good(control: Cluster) -> None:
    worker = control.worker("one")
    control.ok("worker", "revoke", "one")
    said(worker, 4, "revoked")
    token = control.ok("join-token", "create")
    said(control.worker_process("one", token=token), 4)


def test_a_worker_comes_back_by_its_key_alone(control: Cluster) -> None:
    control.worker("one").end()
    again = control.start(
        "worker",
        *(
            "--name",
            "one",
            "--state-dir",
            str(control.directory / "one"),
            "--ticket-file",
            str(control.ticket),
        ),
        *("--p2p-bind", "127.0.0.1:0", "--slots", "1"),
    )
    control.connected("one", again)


def test_a_worker_is_looked_after(control: Cluster) -> None:
    worker = control.worker("one", "--label", "os=linux", "--label", "gpu")
    assert "one" in control.ok("worker", "list", "--label", "gpu")
    assert control.json("worker", "list", "--label", "os=macos")["workers"] == []
    control.ok("worker", "drain", "one")
    shown = control.json("worker", "show", "one")
    assert (shown["state"], shown["labels"]) == ("draining", {"os": "linux", "gpu": ""})
    control.ok("worker", "resume", "one")
    assert control.json("worker", "show", "one")["state"] == "active"
    assert control.run("worker", "forget", "one", "--yes").returncode == 6
    assert worker.end() == 0, worker.stderr
    assert "forgotten" in control.ok("worker", "forget", "one", "--yes")
    assert control.json("worker", "list")["workers"] == []


def test_a_fleet_of_ephemeral_workers_leaves_nothing(control: Cluster) -> None:
    secret = control.ok("join-token", "create", "--uses", "3", "--name", "fleet")
    temporary = control.directory / "temporary"
    temporary.mkdir()
    fleet = [
        control.start(
            "worker",
            *("--ephemeral", "--name", f"e{number}", "--slots", "1", "--p2p-bind", "127.0.0.1:0"),
            *("--ticket-file", str(control.ticket)),
            environ={"MVM_CI_JOIN_TOKEN": secret, "TMPDIR": str(temporary)},
            name=f"e{number}",
        )
        for number in range(3)
    ]
    for process in fleet:
        control.connected(process.name, process)
    (token,) = [one for one in control.json("join-token", "list")["tokens"] if one["name"] == "fleet"]
    assert (token["uses"], token["uses_left"]) == (3, 0)
    assert "revoked" in control.ok("join-token", "revoke", "fleet")
    for process in fleet:
        assert process.end() == 0, process.stderr
    assert control.json("worker", "list")["workers"] == []
    assert list(temporary.iterdir()) == []


def test_a_second_worker_on_one_state_directory_is_told_who_has_it(control: Cluster) -> None:
    worker = control.worker("one")
    state = str(control.directory / "one")
    second = control.start("worker", "--state-dir", state, "--ticket-file", str(control.ticket))
    said(second, 2, state, f"in use by process {worker.popen.pid}")


def test_an_ephemeral_worker_takes_no_state_directory(empty: Cluster) -> None:
    said(empty.start("worker", "--ephemeral", "--state-dir", "x", "--ticket", "t"), 2, "--state-dir")


def test_a_wrong_api_token_is_refused(control: Cluster) -> None:
    done = control.run("status", environ={"MVM_CI_TOKEN": "mvm_api_" + "a" * 43})
    assert done.returncode == 4, done.stderr


def test_nobody_is_there(empty: Cluster) -> None:
    done = empty.run("status", "--url", "http://127.0.0.1:9", environ={"MVM_CI_TOKEN": "x"})
    assert done.returncode == 3
    assert "127.0.0.1:9" in done.stderr
