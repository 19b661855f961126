"""What the processes of a local cluster are started with."""

from itertools import pairwise
from pathlib import Path

import pytest

from mvm_ci.loadtest.commands import Commands, Local

HOME = Path("/here")


def commands(option: int, stub: str = "") -> Commands:
    made = Commands(Local(option=option, stub=stub), HOME)
    made.engine_url = "http://127.0.0.1:5"
    return made


@pytest.mark.parametrize(
    ("option", "engine", "worker"),
    [
        (1, [], []),
        (2, ["embedded"], ["p2p"]),
        (3, [], ["http://127.0.0.1:5"]),
        (4, ["embedded"], ["http://127.0.0.1:5"]),
    ],
)
def test_the_option_says_where_the_engine_is(option: int, engine: list[str], worker: list[str]) -> None:
    def given(words: object) -> list[str]:
        assert isinstance(words, tuple)
        return [after for word, after in pairwise(words) if word == "--engine"]

    assert given(commands(option).control_plane()) == engine
    assert given(commands(option).worker("one")) == worker


@pytest.mark.parametrize("option", [1, 2, 3, 4])
def test_whoever_runs_guests_lets_them_reach_the_stub_and_nobody_else_does(option: int) -> None:
    made = commands(option, "127.0.0.1")
    runs = {1: made.worker("one"), 2: made.control_plane(), 3: made.engine(), 4: made.control_plane()}
    reach = ("--allow-host", "127.0.0.1:*", "--allow-network", "127.0.0.1/32")
    for number, words in runs.items():
        if number == option:
            assert tuple(words[words.index("--allow-host") :]) == reach
    others = [made.worker("one")] if option != 1 else [made.control_plane()]
    assert all("--allow-host" not in words for words in others)


def test_an_ipv6_stub() -> None:
    words = commands(1, "::1").worker("one")
    assert tuple(words[-4:]) == ("--allow-host", "[::1]:*", "--allow-network", "::1/128")


def test_no_settings_of_whoever_runs_it_reach_its_processes() -> None:
    around = {
        "MVM_CI_TOKEN": "t",
        "XDG_CONFIG_HOME": "/c",
        "NOTIFY_SOCKET": "/s",
        "PATH": "/bin",
        "LANG": "C",
    }
    made = commands(1).environment(around)
    assert made["LANG"] == "C"
    assert made["HOME"] == str(HOME)
    assert made.keys().isdisjoint({"MVM_CI_TOKEN", "XDG_CONFIG_HOME", "NOTIFY_SOCKET"})
    assert made["MVM_CI_MODULE_CACHE"].endswith("mvm-ci/compiled")


def test_a_module_cache_that_is_set_counts() -> None:
    assert commands(1).environment({"MVM_CI_MODULE_CACHE": "/m"})["MVM_CI_MODULE_CACHE"] == "/m"


@pytest.mark.parametrize("option", [1, 2, 4])
def test_the_join_token_of_simulated_workers_is_in_no_traceback(option: int) -> None:
    simulation = commands(option).simulation("secret")
    assert simulation.join_token == "secret"
    assert "secret" not in repr(simulation)
    assert simulation.engine == {1: None, 2: "p2p", 4: "http://127.0.0.1:5"}[option]
