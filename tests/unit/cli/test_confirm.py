"""Asking: on a terminal, on stderr; nowhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.fake_api import CommandLine

END = b"\x1c"
PROFILE = '[profiles.a]\nurl = "http://a.test"\n'


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(PROFILE)
    monkeypatch.setenv("MVM_CI_CONFIG", str(path))
    return path


def answered(answer: bytes) -> tuple[int, bytes, bytes]:
    """Removes the profile on a terminal where ``answer`` is typed: code, stdout, what it shows."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        done = subprocess.run(
            [sys.executable, "-m", "mvm_ci", "profile", "remove", "a"],
            check=False,
            stdin=theirs,
            stderr=theirs,
            stdout=subprocess.PIPE,
            timeout=60,
        )
        os.write(theirs, END)
        shown = b""
        while END not in shown:  # a terminal gives what it has, not all that was written
            shown += os.read(ours, 4096)
        return done.returncode, done.stdout, shown
    finally:
        os.close(theirs)
        os.close(ours)


@pytest.mark.parametrize("answer", [b"y\n", b" YES \n"])
def test_yes_is_yes_and_the_question_is_no_data(answer: bytes, config: Path) -> None:
    code, data, shown = answered(answer)
    assert (code, data) == (0, b"a\n")
    assert f"Remove the profile a from {config}? [y/N]".encode() in shown
    assert config.read_text() == ""


@pytest.mark.parametrize("answer", [b"\n", b"n\n", b"yep\n", b"\x04"])
def test_anything_else_is_no(answer: bytes, config: Path) -> None:
    code, data, shown = answered(answer)
    assert (code, data) == (130, b"")
    assert b"error: not done: remove the profile a" in shown
    assert config.read_text() == PROFILE


def test_off_a_terminal_nobody_is_asked(cli: CommandLine, config: Path) -> None:
    result = cli("profile", "remove", "a", text="y\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: not done: remove the profile a")
    assert "--yes" in result.stderr
    assert config.read_text() == PROFILE


def test_yes_beforehand(cli: CommandLine, config: Path) -> None:
    result = cli("profile", "remove", "a", "--yes")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "a\n", "")
    assert config.read_text() == ""
