"""Shells complete commands, options and the names of profiles."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mvm_ci.cli.main import COMMANDS
from tests.unit.cli.fake_api import CommandLine

BIN = Path(sys.executable).parent
BASH = """
source <(mvm-ci completion bash)
complete -p mvm-ci >&2
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_mvm_ci_completion mvm-ci
printf '%s\\n' "${COMPREPLY[@]}"
"""


def run(command: list[str], **environ: str) -> subprocess.CompletedProcess[str]:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        env={**os.environ, "PATH": path, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def completed_by_bash(*words: str) -> list[str]:
    done = run(["bash", "--norc", "--noprofile", "-c", BASH, "bash", "mvm-ci", *words])
    assert "-F _mvm_ci_completion mvm-ci" in done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["jo"], ["job", "join-token"]),
        ([""], list(COMMANDS)),
        (["job", "s"], ["submit", "show"]),
        (["job", "wait", "--ti"], ["--timeout"]),
        (["worker", "--all"], ["--allow-host", "--allow-network"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["no-such-command", ""], []),
        (["job", "no-such-command", "--"], []),
    ],
    ids=" ".join,
)
def test_bash_completes(words: list[str], expected: list[str]) -> None:
    assert set(expected) <= set(completed_by_bash(*words))
    assert all(word.startswith(words[-1]) for word in completed_by_bash(*words))


def test_names_of_profiles_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        "".join(f'[profiles.{name}]\nurl = "http://a.test"\n' for name in ("prod", "play", "test"))
    )
    monkeypatch.setenv("MVM_CI_CONFIG", str(config))
    assert completed_by_bash("job", "list", "--profile", "p") == ["prod", "play"]
    assert completed_by_bash("profile", "use", "pr") == ["prod"]
    config.write_text("not TOML")
    assert completed_by_bash("job", "list", "--profile", "p") == []


@pytest.mark.parametrize(
    ("shell", "environ"),
    [
        ("zsh", {"COMP_WORDS": "mvm-ci jo", "COMP_CWORD": "1"}),
        ("fish", {"COMP_WORDS": "mvm-ci jo", "COMP_CWORD": "jo"}),
    ],
)
def test_other_shells_are_answered(shell: str, environ: dict[str, str]) -> None:
    script = run([str(BIN / "mvm-ci"), "completion", shell]).stdout
    assert f"_MVM_CI_COMPLETE={shell}_complete" in script
    answer = run([str(BIN / "mvm-ci")], _MVM_CI_COMPLETE=f"{shell}_complete", **environ).stdout
    assert "job" in answer
    assert "join-token" in answer


def test_a_shell_that_is_not_known(cli: CommandLine) -> None:
    result = cli("completion", "tcsh")
    assert result.exit_code == 2
    assert "bash" in result.stderr
