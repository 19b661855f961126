"""The load tests that are named as missing: their defaults are those of the command."""

from __future__ import annotations

import shlex

import click

from mvm_ci.capacity.commands import BUILT_IN, loadtest
from mvm_ci.capacity.objective import DEFAULT
from mvm_ci.cli.loadtest import loadtest as command
from mvm_ci.loadtest.profiles import NAMES


def words(profile: str = "wait", rate: float = 100.0) -> list[str]:
    made = loadtest(("--local",), profile=profile, workers=(1,), rates=(rate,), objective=DEFAULT, more=())
    return shlex.split(made)


def test_the_kinds_that_need_no_file_are_those_of_load_tests() -> None:
    assert BUILT_IN == NAMES
    assert words("flow")[3:5] == ["--jobs", "flow"]
    assert words("crawl")[3:5] == ["--jobs-file", "crawl.toml"]


def test_a_load_that_the_defaults_measure_long_enough_has_no_times() -> None:
    defaults = {param.name: param.default for param in command.params if isinstance(param, click.Option)}
    assert (defaults["repetitions"], defaults["measure"]) == (3, "10s")
    assert "--measure" not in words(rate=8.0), "240 jobs in all, a fifth more than are needed"
    assert words(rate=4.0)[-4:-2] == ["--measure", "20s"]
