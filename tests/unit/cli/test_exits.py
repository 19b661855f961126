"""Exit codes: one for each kind of error, and never a traceback that nobody asked for."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mvm_ci.cli import exits, status
from mvm_ci.cli.main import root
from mvm_ci.domain import errors
from tests.unit.cli.fake_api import TOKEN, CommandLine, problem

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "exit-codes.md"


@pytest.mark.parametrize(
    ("status_code", "code", "expected"),
    [
        (400, "bad-input", 2),
        (413, "too-large", 2),
        (422, "bad-module", 2),
        (503, "unavailable", 3),
        (429, "unavailable", 3),
        (401, "refused", 4),
        (403, "refused", 4),
        (404, "not-found", 5),
        (409, "conflict", 6),
        (409, "illegal-transition", 6),
        (409, "stale-epoch", 6),
        (400, "of-a-later-version", 2),
    ],
)
def test_a_problem_of_the_api_has_its_exit_code(
    cli: CommandLine, status_code: int, code: str, expected: int
) -> None:
    cli.api.answer("GET", "/v1/status", problem(status_code, code, "what\nwhere, what to do"))
    result = cli("status")
    # With a refused token it is good to know whose answer that is.
    who = "http://control.test: " if status_code == 401 else ""
    assert (result.exit_code, result.stderr) == (expected, f"error: {who}what where, what to do\n")
    assert result.stdout == ""


@pytest.mark.parametrize(("status_code", "expected"), [(200, 3), (302, 3), (404, 5), (500, 3), (502, 3)])
def test_what_is_no_control_plane_is_said(cli: CommandLine, status_code: int, expected: int) -> None:
    cli.api.answer("GET", "/v1/status", (status_code, b"<html>another server</html>"))
    result = cli("status")
    assert result.exit_code == expected
    assert "control plane" in result.stderr
    assert result.stderr.count("\n") == 1


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        monkeypatch.setenv("MVM_CI_URL", url)
        monkeypatch.setenv("MVM_CI_TOKEN", TOKEN)
        result = CliRunner().invoke(root, ["status"])
    assert result.exit_code == 3
    assert url in result.stderr
    assert TOKEN not in result.output


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("MVM_CI_URL", "MVM_CI_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(root, ["status"])
    assert result.exit_code == 2
    assert "mvm-ci dev" in result.stderr


def test_a_bug_is_one_line_with_a_hint(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "ask", lambda *_: 1 / 0)
    result = cli("status")
    assert result.exit_code == 70
    assert result.stderr.count("\n") == 1
    assert "MVM_CI_DEBUG=1" in result.stderr


def test_a_bug_shows_its_traceback_to_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "ask", lambda *_: 1 / 0)
    monkeypatch.setenv("MVM_CI_DEBUG", "1")
    result = CliRunner().invoke(root, ["status"])
    assert result.exit_code == 70
    assert "ZeroDivisionError" in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (errors.Misconfigured("x"), 2),
        (errors.ProtocolError("x"), 3),
        (exits.JobFailed("x"), 1),
        (exits.WaitTimedOut("x"), 124),
        (errors.CorruptJournal("x"), 70),
        (RuntimeError("x"), 70),
    ],
)
def test_every_error_has_a_code(error: BaseException, code: int) -> None:
    assert exits.exit_code(error) == code


def test_the_page_lists_every_code() -> None:
    named = {value for name, value in vars(exits).items() if name.isupper() and not name.startswith("_")}
    documented = {int(number) for number in re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.MULTILINE)}
    assert documented == named
