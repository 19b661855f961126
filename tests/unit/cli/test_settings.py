"""``config show`` and the commands on profiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mvm_ci.config import settings
from tests.unit.cli.fake_api import TOKEN, CommandLine

STATUS = {
    "version": "9",
    "started_ms": 1,
    "jobs": {},
    "workers": 0,
    "connected": 0,
    "slots": 0,
    "stale_refused": 0,
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(
        'profile = "one"\n[profiles.one]\nurl = "http://one.test"\ntoken = "hidden-one"\n'
        '[profiles.two]\nurl = "http://two.test"\n[worker]\nslots = 4\nallow_host = ["a.test", "b.test"]\n'
    )
    path.chmod(0o600)
    monkeypatch.setenv("MVM_CI_CONFIG", str(path))
    return path


def shown(cli: CommandLine, *flags: str) -> dict[str, dict[str, Any]]:
    result = cli("config", "show", "--json", *flags)
    assert (result.exit_code, result.stderr) == (0, "")
    rows = json.loads(result.stdout)["settings"]
    return {f"{row['section']}.{row['key']}": row for row in rows}


def test_show_says_where_each_value_comes_from(
    cli: CommandLine, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MVM_CI_GRACE", "1m")
    found = shown(cli, "--url", "http://flag.test")
    picked = {key: (row["value"], row["source"], row["where"]) for key, row in found.items()}
    assert picked["client.url"] == ("http://flag.test", "flag", "--url")
    assert picked["client.token"] == ("********", "environment", "MVM_CI_TOKEN")
    assert picked["client.profile"] == ("one", "file", f"{config}:profile")
    assert picked["client.config"] == (str(config), "environment", "MVM_CI_CONFIG")
    assert picked["worker.slots"] == ("4", "file", f"{config}:worker.slots")
    assert picked["worker.allow_host"] == (["a.test", "b.test"], "file", f"{config}:worker.allow_host")
    assert picked["worker.grace"] == ("1m", "environment", "MVM_CI_GRACE")
    assert picked["control-plane.lease"] == ("15s", "default", None)
    assert picked["worker.ticket"] == (None, "default", None)


def test_show_has_every_setting(cli: CommandLine) -> None:
    rows = shown(cli)
    for section, known in settings.IN_SECTIONS.items():
        keys = {
            setting.key.removesuffix("_file") if setting in settings.SECRETS else setting.key
            for setting in known
        }
        assert {f"{section}.{key}" for key in keys} <= set(rows)
    assert {f"client.{key}" for key in ("config", "credentials", "debug", "profile", "url", "token")} <= set(
        rows
    )


def test_show_of_a_profile_shows_no_secret(
    cli: CommandLine, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MVM_CI_URL", "MVM_CI_TOKEN"):
        monkeypatch.delenv(name)
    found = shown(cli)
    assert (found["client.url"]["value"], found["client.url"]["source"]) == ("http://one.test", "profile")
    assert found["client.token"]["where"] == f"{config}:profiles.one.token"
    for flags in ((), ("--json",)):
        assert "hidden" not in cli("config", "show", *flags).output
    assert shown(cli, "--profile", "two")["client.token"]["value"] is None


def test_show_for_people(cli: CommandLine, config: Path) -> None:
    lines = [line.split() for line in cli("config", "show").stdout.splitlines()]
    assert lines[0] == ["SETTING", "VALUE", "FROM"]
    assert ["worker.slots", "4", "file", f"{config}:worker.slots"] in lines
    assert ["worker.ticket", "-", "default"] in lines


def test_a_wrong_setting_is_named(cli: CommandLine, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MVM_CI_SLOTS", "many")
    result = cli("config", "show")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: MVM_CI_SLOTS: 'many' is not a number")


def test_a_command_goes_to_the_profile_that_is_typed(cli: CommandLine, config: Path) -> None:
    cli.api.answer("GET", "/v1/status", json.dumps(STATUS).encode())
    assert cli("status").exit_code == 0
    assert cli("status", "--profile", "one").exit_code == 0
    sent = [request.headers for request in cli.api.requests]
    assert [headers["host"] for headers in sent] == ["control.test", "one.test"]
    assert [headers["authorization"] for headers in sent] == [f"Bearer {TOKEN}", "Bearer hidden-one"]


def test_profiles_are_listed_without_secrets(cli: CommandLine, config: Path) -> None:
    assert "hidden" not in cli("profile", "list").stdout
    one, two = json.loads(cli("profile", "list", "--json").stdout)["profiles"]
    assert one == {
        "name": "one",
        "url": "http://one.test",
        "has_token": True,
        "token_file": None,
        "in_use": True,
    }
    assert (two["has_token"], two["in_use"]) == (False, False)


def test_profiles_are_added_and_chosen(cli: CommandLine, tmp_path: Path) -> None:
    path = str(tmp_path / "new.toml")
    add = ("profile", "add", "a", "--url", "http://a.test", "--token-file", "-", "--config", path)
    assert cli(*add, text="hidden-a\n").stdout == "a\n"
    assert cli(*add, text="hidden-a\n").exit_code == 6
    assert json.loads(cli("profile", "use", "a", "--config", path, "--json").stdout) == {
        "name": "a",
        "config": path,
    }
    (row,) = json.loads(cli("profile", "list", "--config", path, "--json").stdout)["profiles"]
    assert (row["has_token"], row["in_use"]) == (True, True)
    assert cli("profile", "use", "b", "--config", path).exit_code == 5
    assert cli("profile", "list").stdout.split() == ["NAME", "URL", "TOKEN", "IN", "USE"]


@pytest.mark.parametrize("args", [("worker", "--config", "{}", "list"), ("worker", "list", "--config", "{}")])
def test_the_file_may_be_named_before_or_after_a_command_of_worker(
    cli: CommandLine, config: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    for name in ("MVM_CI_URL", "MVM_CI_TOKEN", "MVM_CI_CONFIG"):
        monkeypatch.delenv(name)
    cli.api.answer("GET", "/v1/workers", b'{"workers":[]}')
    assert cli(*(arg.format(config) for arg in args)).exit_code == 0
    assert cli.api.requests[0].headers["host"] == "one.test"
