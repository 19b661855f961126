"""Rules that hold for the whole tree of commands, as far as a machine can check them."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

import mvm_ci.cli
from mvm_ci.cli.lazy import LazyGroup
from mvm_ci.cli.options import as_seconds
from mvm_ci.config import settings
from tests.unit.cli.reference_page import commands

NO_JSON = {
    ("dev",): "runs until it is stopped; what a script needs stands in the credentials file",
    ("engine",): "runs until it is stopped; it prints its address, and its API has the rest",
    ("control-plane",): "runs until it is stopped; --ticket-file and --credentials-file are for scripts",
    ("completion",): "prints a script for a shell",
}
DURATIONS = re.compile(
    r"--(.*-)?(timeout|time-limit|duration|ttl|lease|grace|deadline|delay|backoff|jitter|interval|expires-in|start-within|backoff-longest|"
    r"older-than|max-age|measure|warm-up|kill-every)$"
)
DESTROYS = {"delete", "remove", "forget", "purge", "prune"}
FINDERS = {"JOB": "find_job", "WORKER": "find_worker", "MODULE": r"find_module|Entries\("}
"""What an argument that names one of these is looked up with: an id, the beginning of one, a name."""
PROMPTS = {"prompt", "confirm", "getpass", "input", "getchar", "pause"}

ALL = dict(commands())
LEAVES = {path: command for path, command in ALL.items() if not isinstance(command, LazyGroup)}


def options(command: click.Command) -> dict[str, click.Option]:
    return {name: param for param in command.params if isinstance(param, click.Option) for name in param.opts}


def every_option() -> list[tuple[str, str, click.Option]]:
    return [
        (" ".join(path), name, one) for path, command in ALL.items() for name, one in options(command).items()
    ]


def source_of(command: click.Command) -> str:
    callback: Callable[..., Any] | None = command.callback
    assert callback is not None
    return inspect.getsource(sys.modules[callback.__module__])


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_a_command_that_prints_data_can_print_json(path: tuple[str, ...]) -> None:
    assert ("--json" in options(LEAVES[path])) != (path in NO_JSON)


def test_the_commands_without_json_are_there() -> None:
    assert set(NO_JSON) <= set(LEAVES)


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_a_command_that_asks_the_control_plane_takes_all_that_says_where_it_is(path: tuple[str, ...]) -> None:
    named = set(options(LEAVES[path]))
    if "mvm_ci.cli.connection" in source_of(LEAVES[path]):
        assert {"--url", "--token-file", "--profile", "--config", "--json"} <= named


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_a_command_with_settings_takes_a_configuration_file(path: tuple[str, ...]) -> None:
    named = set(options(ALL[path]))
    if "from mvm_ci.config" in source_of(ALL[path]):
        assert "--config" in named


def test_every_duration_is_read_by_the_one_parser() -> None:
    of_settings = {setting.flag for section in settings.IN_SECTIONS.values() for setting in section}
    wrong = [
        f"{path} {name}"
        for path, name, option in every_option()
        if (option.metavar == "DURATION") != bool(DURATIONS.match(name))
        or (option.metavar == "DURATION" and option.callback is not as_seconds and name not in of_settings)
    ]
    assert wrong == []


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_what_destroys_something_can_be_told_not_to_ask(path: tuple[str, ...]) -> None:
    option = options(LEAVES[path]).get("--yes")
    assert option is not None or path[-1] not in DESTROYS
    if option is not None:
        assert option.is_flag
        assert "confirm(" in source_of(LEAVES[path])


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_what_names_a_job_a_worker_or_a_module_may_be_the_beginning_of_its_id(path: tuple[str, ...]) -> None:
    for param in LEAVES[path].params:
        if isinstance(param, click.Argument) and not isinstance(param.type, click.Path):
            finder = FINDERS.get((param.name or "").upper().removesuffix("S"))
            assert finder is None or re.search(finder, source_of(LEAVES[path]))


def test_no_option_prompts() -> None:
    assert [name for _, name, option in every_option() if option.prompt] == []


def test_nothing_asks_a_person_but_the_one_function_for_it() -> None:
    folder = Path(mvm_ci.cli.__path__[0])
    asking = {
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id in PROMPTS - {"confirm"})
            or (
                isinstance(node.func, ast.Attribute)
                and node.func.attr in PROMPTS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in {"click", "getpass"}
            )
            or (isinstance(node.func, ast.Attribute) and ast.unparse(node.func) == "sys.stdin.readline")
        )
    }
    assert asking == {"confirm.py"}


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_options_are_written_alike(path: tuple[str, ...]) -> None:
    for name, option in options(ALL[path]).items():
        assert re.fullmatch(r"--[a-z][a-z0-9-]+|-[a-z]", name)
        assert option.help
        assert option.help.endswith((".", "]")), f"{name}: {option.help}"
