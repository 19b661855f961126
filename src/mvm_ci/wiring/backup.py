"""Backups of a control plane's state: made while it serves, checked, restored. All of this blocks."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import IO, Final

import msgspec

from mvm_ci.adapters.blobs.removal import inventory, no_removal
from mvm_ci.adapters.sql.snapshot import begin_anew, snapshot
from mvm_ci.control_plane import archive
from mvm_ci.control_plane.archive import ArchiveWriter, Manifest, read_archive
from mvm_ci.control_plane.state import KEPT, check_is_state, mark_as_state
from mvm_ci.domain.errors import BadInput, Misconfigured, Unavailable
from mvm_ci.durable_files import sync_directory

_STORE: Final = "store"
_BLOBS: Final = "blobs"


class Restored(msgspec.Struct, frozen=True):
    """``going_on``: jobs that are not over and go on once the state is served."""

    manifest: Manifest
    going_on: int


def create_backup(state_dir: Path, file: Path, now_ms: int) -> Manifest:
    """Writes everything that was acknowledged before the call to the new ``file`` (0600), whole or not at
    all.

    A control plane may serve from ``state_dir`` meanwhile. The order is what makes it consistent: from the
    first step on no blob is removed; the rows are copied; then the blobs, among which are all that those
    rows name, because a blob is always stored before a row names it. Raises ``Misconfigured``,
    ``BadInput``, ``Unavailable``.
    """
    check_is_state(state_dir)
    if file.exists():
        raise BadInput(f"there is already a file {file}; a backup replaces none")
    with (
        _disk(file),
        tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent) as draft_directory,
    ):
        draft, copy = Path(draft_directory) / "archive", Path(draft_directory) / "state.db"
        with no_removal(state_dir / _BLOBS):
            schema = snapshot(state_dir / _STORE, copy)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                writer = ArchiveWriter(out)
                for name in KEPT:
                    if (state_dir / name).exists():
                        _add_file(writer, name, state_dir / name)
                _add_file(writer, archive.DATABASE, copy)
                damaged = tuple(_add_blobs(writer, state_dir / _BLOBS))
                manifest = writer.finish(schema, now_ms, damaged)
                out.flush()
                os.fsync(out.fileno())
        draft.rename(file)
        sync_directory(file.parent)
    return manifest


def verify_backup(file: Path) -> Manifest:
    """Reads a whole backup and compares it with its manifest. Raises ``BadInput``, ``Misconfigured``."""
    with _opened(file) as opened:
        return read_archive(opened, lambda _name, _chunks: None)


def restore_backup(file: Path, state_dir: Path, now_ms: int) -> Restored:
    """Makes the new state directory ``state_dir`` from a backup, ready for a control plane.

    Nothing counts as a state before the last step: a restore that was cut short leaves a directory which no
    control plane takes, and one that failed leaves none. Raises ``Misconfigured`` (a directory that is not
    empty, a backup of a newer version), ``BadInput`` (a damaged backup), ``Unavailable`` (a full disk).
    """
    made = not state_dir.exists()
    with _opened(file) as opened, _disk(state_dir):
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(state_dir.iterdir()):
            raise Misconfigured(f"{state_dir} is not empty; a backup is restored into a new directory")
        state_dir.chmod(0o700)
        try:
            manifest = read_archive(opened, lambda name, chunks: _extract(state_dir, name, chunks))
            for part in (_STORE, _BLOBS):
                (state_dir / part).mkdir(mode=0o700, exist_ok=True)
            going_on = begin_anew(state_dir / _STORE, now_ms)
            for directory, _, _ in os.walk(state_dir):
                sync_directory(Path(directory))
            mark_as_state(state_dir)
        except BaseException:
            _empty(state_dir, remove=made)
            raise
    return Restored(manifest, going_on)


def _add_file(writer: ArchiveWriter, name: str, file: Path) -> None:
    with file.open("rb") as source:
        writer.add(name, source, os.fstat(source.fileno()).st_size)


def _add_blobs(writer: ArchiveWriter, directory: Path) -> Iterator[str]:
    """Adds all blobs but the damaged ones, whose digests it yields."""
    for digest, file in inventory(directory):
        with file.open("rb") as source:
            # Read twice: it may be larger than the memory, and what is damaged is not to be in the archive.
            if file_digest(source, "sha256").hexdigest() != digest:
                yield digest
                continue
            source.seek(0)
            writer.add(archive.blob_member(digest), source, os.fstat(source.fileno()).st_size)


def _extract(state_dir: Path, name: str, chunks: Iterator[bytes]) -> None:
    target = state_dir / name
    for directory in reversed(target.relative_to(state_dir).parents):
        (state_dir / directory).mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        for chunk in chunks:
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())


def _empty(directory: Path, *, remove: bool) -> None:
    for entry in directory.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    if remove:
        directory.rmdir()


@contextmanager
def _opened(file: Path) -> Iterator[IO[bytes]]:
    try:
        opened = file.open("rb")
    except OSError as error:
        raise BadInput(f"cannot read {file}: {error.strerror}") from None
    with opened:
        yield opened


@contextmanager
def _disk(place: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BadInput(f"there is no {error.filename}") from error
    except OSError as error:
        raise Unavailable(
            f"{place} cannot be written: {error.strerror}; look at its disk and rights"
        ) from error
