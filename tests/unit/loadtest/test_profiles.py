"""Profiles: those that are built in, and files of the user's with all that can be wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mvm_ci.capacity.commands import BUILT_IN
from mvm_ci.domain.errors import BadInput
from mvm_ci.loadtest.profiles import MAX_FILE, MAX_KINDS, NAMES, Kind, profile, read_profile
from mvm_ci.loadtest.steps import Step

GOOD = '[[job]]\nshare = 3\nsteps = "w100 c50"\n\n[[job]]\nshare = 0.5\nsteps = "g2 p"\n'


def refused(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadInput) as error:
        read_profile(path)
    said = str(error.value)
    assert said.startswith(str(path))
    assert "\n" not in said
    return said.removeprefix(f"{path}: ")


def test_all_are_told_in_words() -> None:
    told = {name: profile(name).words for name in NAMES}
    assert told["noop"] == "does nothing"
    assert told["wait"] == "waits 100 ms"
    assert told["flow"] == "sends 5 POST to a stub, each an effect"
    assert told["mixed"].startswith("30 %: does nothing; 30 %: waits 100 ms; 15 %: sends 1 GET")
    assert set(told) == {"noop", "wait", "http", "cpu", "memory", "flow", "mixed"}


def test_what_they_need() -> None:
    assert {name for name in NAMES if profile(name).asks} == {"http", "flow", "mixed"}
    assert {name for name in NAMES if profile(name).computes} == {"cpu", "mixed"}


def test_those_who_name_them_in_commands_know_all_of_them() -> None:
    assert BUILT_IN == NAMES


def test_how_long_those_take_that_only_wait(tmp_path: Path) -> None:
    assert {name: profile(name).waits_ms for name in NAMES if profile(name).waits_ms is not None} == {
        "noop": 0.0,
        "wait": 100.0,
    }
    path = tmp_path / "mine.toml"
    for first, second, waits_ms in (("w20 w30", "w50", 50.0), ("w20", "w50", None), ("w50", "w50 d1", None)):
        path.write_text(f'[[job]]\nshare = 1\nsteps = "{first}"\n[[job]]\nshare = 1\nsteps = "{second}"\n')
        assert read_profile(path).waits_ms == waits_ms


def test_there_is_no_other() -> None:
    with pytest.raises(BadInput, match="'fast' is no profile; there are noop, wait"):
        profile("fast")


def test_a_file_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(GOOD)
    found = read_profile(path)
    assert found.name == "shop"
    assert found.kinds == (
        Kind(3.0, (Step("w", 100), Step("c", 50))),
        Kind(0.5, (Step("g", 2), Step("p", 1))),
    )
    assert (
        found.words
        == "85.7 %: waits 100 ms, computes for 50 ms; 14.3 %: sends 2 GET to a stub, sends 1 POST to a stub, "
        "each an effect"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no jobs; it has one [[job]] or more"),
        ("job = []", "no jobs; it has one [[job]] or more"),
        ("job = 3", "no jobs; it has one [[job]] or more"),
        ("job = [3]", "job 1: is no table; it has one [[job]] or more"),
        ("[[job]\n", "is not TOML: "),
        (b"\xff\xfe", "is not TOML: "),
        ('[[jobs]]\nshare = 1\nsteps = ""', "'jobs' means nothing here; it has one [[job]]"),
        (GOOD + "rate = 5\n", "job 2: 'rate' means nothing here; it has share and steps"),
        (GOOD.replace("0.5", "0"), "job 2: share: 0 is no weight above 0; write for example share = 3"),
        (GOOD.replace("3", "-1"), "job 1: share: -1 is no weight"),
        (GOOD.replace("0.5", "true"), "job 2: share: True is no weight"),
        (GOOD.replace("0.5", "nan"), "job 2: share: nan is no weight"),
        (GOOD.replace("0.5", "inf"), "job 2: share: inf is no weight"),
        (GOOD.replace("0.5", "'much'"), "job 2: share: 'much' is no weight"),
        ('[[job]]\nsteps = "w1"', "job 1: share: None is no weight"),
        ("[[job]]\nshare = 1", 'job 1: steps: no text; write for example steps = "w100 c50"'),
        ("[[job]]\nshare = 1\nsteps = 5", "job 1: steps: no text"),
        (GOOD.replace("c50", "x7"), "job 1: steps: 'x7' is no step; there are wN (waits N ms)"),
        (GOOD.replace("c50", "c5.5"), "job 1: steps: 'c5.5' is no step"),
        (GOOD.replace("c50", "c"), "job 1: steps: 'c' needs a number behind the letter, as in c10"),
        (GOOD.replace("w100", "w30001"), "job 1: steps: w30001 is too much; of w there is at most 30000"),
        (GOOD.replace("w100", "w20000 w20000"), "job 1: steps: w40000 is too much"),
        (GOOD.replace("g2", "g" * 200), "job 2: steps: 202 characters; at most 200"),
        (GOOD * (MAX_KINDS // 2 + 1), f"{MAX_KINDS + 2} jobs; at most {MAX_KINDS}"),
        ("#" * (MAX_FILE + 1), f"too long; a profile has at most {MAX_FILE} bytes"),
        ("a = " + "[" * 5000, "is not TOML: "),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str | bytes, says: str) -> None:
    assert says in refused(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"mine\.toml: cannot be read: No such file"):
        read_profile(tmp_path / "mine.toml")
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        read_profile(tmp_path)


def test_a_file_may_not_pass_for_one_that_is_built_in(tmp_path: Path) -> None:
    path = tmp_path / "wait.toml"
    path.write_text(GOOD)
    with pytest.raises(
        BadInput, match=r"wait\.toml: jobs of the kind wait are built in; give the file another"
    ):
        read_profile(path)
