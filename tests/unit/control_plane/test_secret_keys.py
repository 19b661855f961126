"""The file with the keys of secrets."""

from pathlib import Path

import pytest

from mvm_ci.control_plane.secret_keys import read_keys
from mvm_ci.domain.errors import Misconfigured

A, B = "ab" * 32, "CD" * 32


def written(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    file = tmp_path / "secrets-key"
    file.write_text(text)
    file.chmod(mode)
    return file


def refused(file: Path, *, needed: bool = True) -> str:
    with pytest.raises(Misconfigured) as error:
        read_keys(file, bytes, needed=needed)
    return str(error.value)


def test_it_is_made_at_the_first_start_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "secrets-key"
    made = read_keys(file, lambda size: b"k" * size, needed=False)
    assert made == ((b"k" * 32,), frozenset())
    assert file.read_text() == (b"k" * 32).hex() + "\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_keys(file, bytes, needed=True) == made
    assert [one.name for one in tmp_path.iterdir()] == ["secrets-key"]


def test_several_keys_and_keys_that_are_lost(tmp_path: Path) -> None:
    file = written(tmp_path, f"# ours\n{A}\n\n  {B}\nlost 0123456789abcdef\n")
    keys, lost = read_keys(file, bytes, needed=True)
    assert keys == (bytes.fromhex(A), bytes.fromhex(B))
    assert lost == {"0123456789abcdef"}


def test_one_that_is_missing_is_not_made_anew_where_secrets_need_it(tmp_path: Path) -> None:
    said = refused(tmp_path / "secrets-key")
    assert f"is missing: {tmp_path / 'secrets-key'}; put it back" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no key"),
        ("# nothing\nlost 0123456789abcdef\n", "holds no key"),
        (f"{A}\n{B[:-1]}\n", "line 2: neither a key (64 hex digits) nor 'lost ID'"),
        (f"{A}\nlost {A}\n", "line 2"),
        ("\0\xff", "line 1"),
    ],
)
def test_what_is_no_key_is_refused_and_not_shown(tmp_path: Path, text: str, says: str) -> None:
    said = refused(written(tmp_path, text))
    assert says in said
    assert A not in said
    assert B[:-1] not in said


def test_one_that_others_can_read_is_refused(tmp_path: Path) -> None:
    said = refused(written(tmp_path, A, mode=0o640))
    assert f"chmod 600 {tmp_path / 'secrets-key'}" in said


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert "check its directory" in refused(tmp_path / "nowhere" / "key", needed=False)
