"""Small files are there whole or not at all."""

import os
from pathlib import Path

import pytest

from mvm_ci.durable_files import write_whole

DRAFT = ".name.new"


def test_a_file_is_made_and_replaced_with_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "name"
    before = os.umask(0o777)
    try:
        write_whole(file, "first", draft=DRAFT)
        write_whole(file, "second\n", draft=DRAFT, mode=0o640)
    finally:
        os.umask(before)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("second\n", 0o640)
    assert list(tmp_path.iterdir()) == [file]


def test_a_leftover_draft_is_replaced_and_a_link_in_its_place_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("of somebody else")
    (tmp_path / DRAFT).symlink_to(other)
    write_whole(tmp_path / "name", "ours", draft=DRAFT)
    assert (tmp_path / "name").read_text() == "ours"
    assert other.read_text() == "of somebody else"


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "name"
    write_whole(file, "old", draft=DRAFT)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, "new", draft=DRAFT)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_written_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "name"
    named: list[bool] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        named.append(file.exists())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    write_whole(file, "text", draft=DRAFT)
    assert named == [False, True]
