"""The state directory: made once, held by one, never guessed."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from mvm_ci.domain.errors import Misconfigured
from mvm_ci.peer.state import StateDirectory


def reopen(path: Path, *, session: bool = True) -> StateDirectory:
    state = StateDirectory(path)
    if session:
        state.remember()
    state.close()
    return state


def test_the_key_stays_and_the_incarnation_changes(tmp_path: Path) -> None:
    first, second, third = (reopen(tmp_path / "w") for _ in range(3))
    assert first.key == second.key == third.key
    assert len(first.key) == 32
    assert first.previous is None
    assert second.previous == first.incarnation
    assert third.previous == second.incarnation != third.incarnation


def test_a_start_that_came_to_no_session_hides_none(tmp_path: Path) -> None:
    first = reopen(tmp_path)
    for _ in range(2):
        assert reopen(tmp_path, session=False).previous == first.incarnation


def test_the_lock_shows_that_the_process_before_is_dead_but_only_where_it_ran(tmp_path: Path) -> None:
    assert not reopen(tmp_path / "w").previous_over
    shutil.copytree(tmp_path / "w", tmp_path / "copy")
    assert reopen(tmp_path / "w").previous_over
    copied = reopen(tmp_path / "copy")
    assert copied.previous is not None
    assert not copied.previous_over
    (tmp_path / "w" / "incarnation").write_text("a" * 32 + "\n")
    old_form = reopen(tmp_path / "w")
    assert (old_form.previous, old_form.previous_over) == ("a" * 32, False)


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    made = tmp_path / "made-by-hand"
    made.mkdir(mode=0o755)
    reopen(made)
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert stat.S_IMODE((made / "endpoint.key").stat().st_mode) == 0o600


def test_a_second_process_is_told_who_has_it(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "w")
    try:
        with pytest.raises(Misconfigured, match=f"in use by process {os.getpid()}"):
            StateDirectory(tmp_path / "w")
        state.remember()
        assert (tmp_path / "w" / "incarnation").read_text().split()[0] == state.incarnation
    finally:
        state.close()
    reopen(tmp_path / "w")


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Misconfigured, match=r"no state directory of a worker or an engine .*thesis\.txt"):
        StateDirectory(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_newer_version_s_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "worker-state-version").write_text("2\n")
    with pytest.raises(Misconfigured, match="newer"):
        StateDirectory(tmp_path)


def test_what_cannot_be_a_directory_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(Misconfigured, match="cannot be used"):
            StateDirectory(path)


@pytest.mark.parametrize("text", ["", "zz", "00" * 31])
def test_a_damaged_key_is_not_replaced_silently(tmp_path: Path, text: str) -> None:
    reopen(tmp_path)
    (tmp_path / "endpoint.key").write_text(text)
    with pytest.raises(Misconfigured, match="damaged"):
        StateDirectory(tmp_path)


def test_a_damaged_incarnation_counts_as_none(tmp_path: Path) -> None:
    reopen(tmp_path)
    (tmp_path / "incarnation").write_text("?")
    assert reopen(tmp_path).previous is None


def test_a_crash_in_the_middle_of_the_first_start_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("")
    (tmp_path / "worker-state-version.new").write_text("")
    reopen(tmp_path)
