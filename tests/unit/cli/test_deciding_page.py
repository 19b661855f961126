"""``docs/operations/deciding.md``: its commands are run, and print what stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from mvm_ci.capacity.decide import HEADROOM, LEAST_LOADS
from mvm_ci.capacity.objective import BROKEN, DEFAULT
from mvm_ci.capacity.plan import MANY
from mvm_ci.cli.lazy import LazyGroup
from mvm_ci.cli.main import root
from tests.e2e.test_tutorial import MARK
from tests.unit.capacity.recorded import RUNS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "operations" / "deciding.md"
TEXT = PAGE.read_text()


def test_commands_print_what_the_page_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ramp.json").write_bytes((RUNS / "clear-no.json").read_bytes())
    found = [(one["kind"], one["code"]) for one in MARK.finditer(TEXT)]
    assert [kind for kind, _ in found] == ["run", "prints"] * 3
    assert TEXT.count("\n```sh\n") == 3
    for (_, command), (_, printed) in zip(found[::2], found[1::2], strict=True):
        result = CliRunner().invoke(root, shlex.split(command)[1:])
        assert result.stdout.startswith(printed)
        assert (result.exit_code == 7) == ("not enough evidence" in printed)
    assert Path("decision.md").read_text().startswith("# Proceed with option 1?")


def test_the_load_test_has_these_options() -> None:
    (command,) = re.findall(r"^    mvm-ci loadtest (.*)$", TEXT, re.MULTILINE)
    assert isinstance(root, LazyGroup)
    loadtest = root.get_command(root.make_context("mvm-ci", [], resilient_parsing=True), "loadtest")
    assert loadtest is not None
    known = {name for param in loadtest.params for name in param.opts}
    assert {word for word in shlex.split(command) if word.startswith("--")} <= known


def test_the_thresholds_are_those_of_the_code() -> None:
    assert (HEADROOM, LEAST_LOADS, MANY, DEFAULT.least_jobs, BROKEN) == (0.3, 3, 20, 200, 0.01)
    for words in (
        "30 % of the capacity",
        "divided by 0.7",
        "fewer than three loads",
        "more than 20 workers",
        "200 jobs for p99",
        "more than 1 % of the jobs failed",
    ):
        assert words in " ".join(TEXT.split())
