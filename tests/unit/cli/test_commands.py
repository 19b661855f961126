"""The other commands, and what holds for all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from mvm_ci.cli.lazy import LazyGroup
from mvm_ci.wire import api
from tests.unit.cli.fake_api import DIGEST, WORKER, CommandLine, module_view, worker_view
from tests.unit.cli.reference_page import PAGE, commands, page

HEAVY = (
    "asyncio",
    "httpx",
    "msgspec",
    "rich",
    "structlog",
    "tomllib",
    "httptools",
    "uvloop",
    "wasmtime",
    "iroh",
)


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_command_has_help(cli: CommandLine, path: tuple[str, ...]) -> None:
    result = cli(*path, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: mvm-ci")
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("path", "command"),
    [(path, command) for path, command in commands() if path],
    ids=str,
)
def test_the_line_in_the_list_is_the_commands_own(path: tuple[str, ...], command: click.Command) -> None:
    parent = dict(commands())[path[:-1]]
    assert isinstance(parent, LazyGroup)
    assert (command.help or "").split("\n\n")[0].replace("\n", " ") == parent.lazy[path[-1]].summary


@pytest.mark.parametrize(
    "args", [["--help"], ["job", "--help"], ["--version"], ["worker", "--help"], ["nonsense"]]
)
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    code = (
        "import sys\nfrom mvm_ci.cli.main import root\n"
        f"try: root.main({args!r}, prog_name='mvm-ci')\n"
        f"except SystemExit: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["job", "nonsense"],
        ["job", "list", "--limit", "many"],
        ["job", "list", "--limit", "0"],
        ["job", "show"],
        ["job", "show", "a", "b"],
        ["job", "submit", "m", "--max-attempts", "0"],
        ["job", "submit", "m", "--nonsense"],
        ["module", "push"],
        ["join-token", "create", "--uses", "-1"],
        ["join-token", "create", "--ttl", "forever"],
        ["worker", "--slots", "none", "--ticket", "t"],
        ["worker", "--slots", "1", "list"],
        ["worker"],
        ["control-plane", "--bind", "nowhere"],
        ["control-plane", "--lease", "0s"],
        ["control-plane", "--log-level", "loud"],
        ["dev", "--allow-network", "10.0.0.1/8"],
        ["dev", "--allow-host", "http://example.org/"],
    ],
)
def test_bad_usage_exits_with_2_and_one_line(cli: CommandLine, args: list[str]) -> None:
    result = cli(*args)
    assert result.exit_code == 2
    assert cli.api.requests == []
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")


@pytest.mark.parametrize("args", [[], ["job"]])
def test_a_group_alone_shows_its_help(cli: CommandLine, args: list[str]) -> None:
    result = cli(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: mvm-ci")
    assert result.stderr.rstrip().splitlines()[-1].startswith("  ")


def test_version(cli: CommandLine) -> None:
    assert cli("--version").stdout.startswith("mvm-ci ")


def test_push_prints_the_digest(cli: CommandLine, tmp_path: Path) -> None:
    module = tmp_path / "nothing.wasm"
    module.write_bytes(b"")
    result = cli("module", "push", str(module))
    assert (result.exit_code, cli.api.requests) == (2, [])
    assert "not a WebAssembly module" in result.stderr


def test_push_of_a_missing_file(cli: CommandLine) -> None:
    result = cli("module", "push", "missing.wasm")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: cannot read missing.wasm: No such file or directory\n",
    )


def test_modules_are_listed(cli: CommandLine) -> None:
    cli.api.answer(
        "GET", "/v1/modules", api.ModuleList(modules=(module_view(allow_hosts=("a.test", "b.test")),))
    )
    assert "a.test b.test" in cli("module", "list").stdout
    assert json.loads(cli("module", "list", "--json").stdout)["modules"][0]["digest"] == DIGEST


def test_workers_are_listed(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/workers", api.WorkerList(workers=(worker_view(slots=4, running=1),)))
    assert "1/4" in cli("worker", "list").stdout
    (shown,) = json.loads(cli("worker", "list", "--json").stdout)["workers"]
    assert set(shown) == set(api.WorkerView.__struct_fields__)


@pytest.mark.parametrize(
    ("command", "state"), [("drain", "draining"), ("resume", "active"), ("revoke", "revoked")]
)
@pytest.mark.parametrize("text", ["one", WORKER, WORKER[:4]])
def test_a_worker_is_named_or_identified(cli: CommandLine, command: str, state: str, text: str) -> None:
    cli.api.answer("GET", "/v1/workers", api.WorkerList(workers=(worker_view(),)))
    cli.api.answer("POST", f"/v1/workers/{WORKER}/{command}", worker_view(state=state))
    result = cli("worker", command, text)
    assert (result.exit_code, result.stdout) == (0, f"one {WORKER[:12]}: {state}\n")


def test_a_drain_may_have_a_deadline(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/workers", api.WorkerList(workers=(worker_view(),)))
    cli.api.answer("POST", f"/v1/workers/{WORKER}/drain", worker_view(state="draining"))
    assert cli("worker", "drain", "one", "--deadline", "10m").exit_code == 0
    assert cli.api.requests[-1].query == {"deadline_s": ["600"]}
    assert cli("worker", "drain", "one", "--deadline", "soon").exit_code == 2


def test_a_worker_is_shown_with_all_that_is_known(cli: CommandLine) -> None:
    view = worker_view(
        labels={"os": "linux", "gpu": ""}, version="0.0.1", outdated=True, stalled=True, jobs=2
    )
    cli.api.answer("GET", "/v1/workers", api.WorkerList(workers=(view,)))
    shown = cli("worker", "show", "one")
    assert all(part in shown.stdout for part in ("active, stalled", "gpu,os=linux", "0.0.1 (old)", "2 ("))
    assert set(json.loads(cli("worker", "show", "one", "--json").stdout)) == set(
        api.WorkerView.__struct_fields__
    )
    assert "gpu,os=linux" in cli("worker", "list", "--label", "gpu").stdout
    assert cli.api.requests[-1].query == {"label": ["gpu"]}


def test_a_worker_is_forgotten(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/workers", api.WorkerList(workers=(worker_view(),)))
    cli.api.answer("DELETE", f"/v1/workers/{WORKER}", worker_view())
    assert cli("worker", "forget", "one").exit_code == 2
    assert cli("worker", "forget", "one", "--yes").stdout == f"one {WORKER[:12]}: forgotten\n"


@pytest.mark.parametrize("text", ["t1", "fleet"])
def test_a_join_token_is_revoked_by_id_or_name(cli: CommandLine, text: str) -> None:
    view = api.JoinTokenView(id="t1", uses_left=3, created_ms=1, expires_ms=2, name="fleet")
    cli.api.answer("GET", "/v1/join-tokens", api.JoinTokenList(tokens=(view,)))
    cli.api.answer("DELETE", "/v1/join-tokens/t1", view)
    assert cli("join-token", "revoke", text).stdout == "t1 fleet: revoked\n"


def test_two_workers_of_one_name_are_not_confused(cli: CommandLine) -> None:
    workers = (worker_view(), worker_view(id="ef" * 32))
    cli.api.answer("GET", "/v1/workers", api.WorkerList(workers=workers))
    result = cli("worker", "revoke", "one")
    assert result.exit_code == 2
    assert all(worker.id in result.stderr for worker in workers)


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [("cdcd", 2, (0, 1)), (WORKER[:-1] + "c", 0, ()), ("cdc", 5, ()), ("cdce", 5, ())],
)
def test_the_beginning_of_a_workers_id_must_mean_one(
    cli: CommandLine, text: str, code: int, found: tuple[int, ...]
) -> None:
    workers = (worker_view(), worker_view(id=WORKER[:-1] + "c", name="two"))
    cli.api.answer("GET", "/v1/workers", api.WorkerList(workers=workers))
    cli.api.answer("POST", f"/v1/workers/{workers[1].id}/drain", worker_view(state="draining"))
    result = cli("worker", "drain", text)
    assert result.exit_code == code
    assert all(workers[at].id in result.stderr for at in found)


def test_a_join_token_is_data_and_the_rest_is_not(cli: CommandLine) -> None:
    view = api.JoinTokenView(id="t1", uses_left=3, created_ms=1, expires_ms=2, token="mvm_join_x")
    cli.api.answer("POST", "/v1/join-tokens", view)
    result = cli("join-token", "create", "--uses", "3", "--ttl", "1.5h")
    assert (result.exit_code, result.stdout) == (0, "mvm_join_x\n")
    assert json.loads(cli.api.requests[0].body) == {"uses": 3, "ttl_s": 5400}


def test_join_tokens_are_listed(cli: CommandLine) -> None:
    view = api.JoinTokenView(id="t1", uses_left=3, created_ms=1, expires_ms=2)
    cli.api.answer("GET", "/v1/join-tokens", api.JoinTokenList(tokens=(view,)))
    assert "t1" in cli("join-token", "list").stdout
    assert json.loads(cli("join-token", "list", "--json").stdout)["tokens"][0]["id"] == "t1"


def test_status(cli: CommandLine) -> None:
    view = api.Status(
        version="9",
        started_ms=1,
        jobs={"pending": 2, "dead": 0},
        workers=2,
        connected=1,
        slots=4,
        stale_refused=0,
    )
    cli.api.answer("GET", "/v1/status", view)
    shown = cli("status").stdout
    assert "2 pending" in shown
    assert "dead" not in shown
    assert json.loads(cli("status", "--json").stdout)["jobs"] == {"pending": 2, "dead": 0}


def test_the_reference_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.unit.cli.reference_page"
