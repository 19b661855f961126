"""Commands on secrets: where a value comes from, and that it is shown nowhere."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mvm_ci.wire import api
from tests.unit.cli.fake_api import TOKEN, CommandLine, problem

PATH = "/v1/secrets/API_TOKEN"
VALUE = "hunter22"


def view(**fields: Any) -> api.SecretView:
    defaults: dict[str, Any] = {"name": "API_TOKEN", "version": 2, "versions": 1, "modules": ("crawl",)}
    return api.SecretView(changed_ms=1_700_000_000_000, **defaults | fields)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (VALUE, VALUE),
        (f"{VALUE}\n", VALUE),
        (f"{VALUE}\r\n", VALUE),
        (f"{VALUE}\n\n", f"{VALUE}\n"),
        ("-----BEGIN\nä\n-----END\n", "-----BEGIN\nä\n-----END"),
    ],
)
def test_the_value_is_what_comes_in_without_its_line_end(
    cli: CommandLine, tmp_path: Path, text: str, value: str
) -> None:
    cli.api.answer("PUT", PATH, view(), view())
    file = tmp_path / "value"
    file.write_bytes(text.encode())
    for result in (
        cli("secret", "set", "API_TOKEN", text=text),
        cli("secret", "set", "API_TOKEN", "--from-file", str(file)),
    ):
        assert (result.exit_code, result.stderr) == (0, "")
        assert value not in result.stdout
        assert json.loads(cli.api.requests[-1].body) == {"value": value}


def test_whose_jobs_may_read_it(cli: CommandLine) -> None:
    cli.api.answer("PUT", PATH, view(modules=("crawl", "*")))
    result = cli("secret", "set", "API_TOKEN", "--module", "crawl", "--module", "*", text=VALUE)
    assert json.loads(cli.api.requests[-1].body) == {"value": VALUE, "modules": ["crawl", "*"]}
    assert "modules  crawl *" in result.stdout
    cli.api.answer("PUT", f"{PATH}/modules", view(modules=()), view())
    assert "none: no job may read it" in cli("secret", "allow", "API_TOKEN").stdout
    assert json.loads(cli.api.requests[-1].body) == {"modules": []}
    cli("secret", "allow", "API_TOKEN", "crawl", "other@1")
    assert json.loads(cli.api.requests[-1].body) == {"modules": ["crawl", "other@1"]}


def test_a_new_value(cli: CommandLine) -> None:
    cli.api.answer("POST", f"{PATH}/rotate", view(version=3, versions=2))
    result = cli("secret", "rotate", "API_TOKEN", text=VALUE)
    assert json.loads(cli.api.requests[-1].body) == {"value": VALUE}
    assert "earlier versions  1, kept for jobs that may have read them" in result.stdout


def test_what_there_is(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/secrets", api.SecretList(secrets=(view(), view(name="B", modules=()))))
    lines = cli("secret", "list").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["NAME", "VERSION"], ["API_TOKEN", "2"], ["B", "2"]]
    cli.api.answer("GET", PATH, view())
    assert json.loads(cli("secret", "show", "API_TOKEN", "--json").stdout) == {
        "name": "API_TOKEN",
        "version": 2,
        "versions": 1,
        "modules": ["crawl"],
        "changed_ms": 1_700_000_000_000,
    }


def test_one_that_is_in_use_stays(cli: CommandLine) -> None:
    assert cli("secret", "rm", "API_TOKEN").exit_code == 2, "nobody can be asked"
    assert cli.api.requests == []
    cli.api.answer("DELETE", PATH, view())
    assert cli("secret", "rm", "API_TOKEN", "--yes").stdout == "API_TOKEN: removed\n"
    cli.api.answer("DELETE", PATH, problem(409, "conflict", "a job names it"))
    result = cli("secret", "rm", "API_TOKEN", "--yes")
    assert (result.exit_code, "a job names it" in result.stderr) == (6, True)


def test_what_cannot_be_a_value_is_said_before_anything_travels(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "bytes"
    file.write_bytes(b"\xff\xfehunter22")
    for arguments, says in (
        (("--from-file", str(file)), "is text in UTF-8"),
        (("--from-file", str(tmp_path / "nowhere")), "No such file"),
        (("hunter22",), "unexpected extra argument"),
    ):
        result = cli("secret", "set", "API_TOKEN", *arguments)
        assert (result.exit_code, cli.api.requests) == (2, [])
        assert says in result.stderr


def test_a_terminal_is_not_read_since_it_shows_what_is_typed() -> None:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mvm_ci", "secret", "set", "API_TOKEN"],
            env=os.environ | {"MVM_CI_URL": "http://127.0.0.1:9", "MVM_CI_TOKEN": TOKEN},
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(theirs)
        os.close(ours)
    assert done.returncode == 2
    assert "stdin is a terminal" in done.stderr
