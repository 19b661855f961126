"""The form of a backup: one tar file.

::

    mvm-ci-backup       the format's number; the first member
    endpoint-key, udp-port, admin-token, store/state.db, blobs/ab/cd/abcd…
    manifest.json       what the archive holds, with sizes and SHA-256; the last member

An archive that ends before its manifest is none, so one that was cut short is noticed. Nothing is read from
an archive but regular files with these names. All of this blocks.
"""

import re
import tarfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from io import BytesIO
from typing import IO, Final, TypeAlias

import msgspec

from mvm_ci import __version__
from mvm_ci.control_plane.state import KEPT
from mvm_ci.domain.errors import BadInput, Misconfigured

FORMAT: Final = 1
DATABASE: Final = "store/state.db"
_MARK: Final = "mvm-ci-backup"
_MANIFEST: Final = "manifest.json"
_BLOB: Final = re.compile(r"blobs/([0-9a-f]{2})/([0-9a-f]{2})/(\1\2[0-9a-f]{60})")
_LARGEST_MANIFEST: Final = 1 << 30
_CHUNK: Final = 1 << 20

Sink: TypeAlias = Callable[[str, Iterator[bytes]], None]
"""Takes a member's name and all of its chunks."""


class Entry(msgspec.Struct, frozen=True):
    """One file in the archive."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds. ``schema``: of the job store; ``damaged``: blobs that were no longer whole.

    Those are not in the archive: the control plane itself could not read them.
    """

    format: int
    schema: int
    version: str
    created_ms: int
    files: tuple[Entry, ...]
    damaged: tuple[str, ...] = ()


def blob_member(digest: str) -> str:
    """The name of a blob's member."""
    return f"blobs/{digest[:2]}/{digest[2:4]}/{digest}"


class ArchiveWriter:
    """Writes an archive to ``out``; it is one only after ``finish``. Raises ``OSError``."""

    def __init__(self, out: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - see finish
        self._entries: list[Entry] = []
        self._write(_MARK, BytesIO(f"{FORMAT}\n".encode()), len(f"{FORMAT}\n"))

    def add(self, name: str, source: IO[bytes], size: int) -> None:
        """Adds ``size`` bytes of ``source``."""
        hashing = _Hashing(source)
        self._write(name, hashing, size)
        self._entries.append(Entry(name, size, hashing.digest.hexdigest()))

    def finish(self, schema: int, created_ms: int, damaged: tuple[str, ...]) -> Manifest:
        """Completes the archive."""
        manifest = Manifest(
            format=FORMAT,
            schema=schema,
            version=__version__,
            created_ms=created_ms,
            files=tuple(self._entries),
            damaged=damaged,
        )
        encoded = msgspec.json.encode(manifest)
        self._write(_MANIFEST, BytesIO(encoded), len(encoded))
        self._tar.close()
        return manifest

    def _write(self, name: str, source: "IO[bytes] | _Hashing", size: int) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        self._tar.addfile(info, source)


def read_archive(archive: IO[bytes], sink: Sink) -> Manifest:
    """Reads a whole archive, hands every file in it to ``sink``, and compares all of it with the manifest.

    What ``sink`` was given is only to be used if this returns. Raises ``BadInput``: no archive of ours, cut
    short or damaged; ``Misconfigured``: of a newer format.
    """
    found: dict[str, Entry] = {}
    manifest: Manifest | None = None
    try:
        with tarfile.open(fileobj=archive, mode="r:") as tar:
            members = iter(tar)
            _check_format(tar, next(members, None))
            for member in members:
                if manifest is not None:
                    raise BadInput("the backup goes on after its manifest")
                if member.name == _MANIFEST:
                    manifest = _read_manifest(tar, member)
                else:
                    found[member.name] = _pass_on(tar, member, sink)
    except (tarfile.TarError, msgspec.MsgspecError, EOFError) as error:
        raise BadInput(f"the backup is damaged: {error}") from error
    if manifest is None:
        raise BadInput("the backup was cut short: its manifest is missing")
    _compare(manifest, found)
    return manifest


def _check_format(tar: tarfile.TarFile, first: tarfile.TarInfo | None) -> None:
    if first is None or first.name != _MARK or first.size > 16:
        raise BadInput("this is no backup of mvm-ci")
    number = b"".join(_chunks(tar, first)).strip()
    if not number.isdigit():
        raise BadInput("this is no backup of mvm-ci")
    if int(number) > FORMAT:
        raise Misconfigured(
            f"the backup was made by a newer version (format {int(number)}, known up to {FORMAT}); "
            "use that version"
        )


def _read_manifest(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Manifest:
    if member.size > _LARGEST_MANIFEST:
        raise BadInput("the backup is damaged: its manifest is too large")
    return msgspec.json.decode(b"".join(_chunks(tar, member)), type=Manifest)


def _pass_on(tar: tarfile.TarFile, member: tarfile.TarInfo, sink: Sink) -> Entry:
    if not (member.name in {*KEPT, DATABASE} or _BLOB.fullmatch(member.name)):
        raise BadInput(f"the backup holds what does not belong there: {member.name[:200]!r}")
    digest = sha256()

    def hashed() -> Iterator[bytes]:
        for chunk in _chunks(tar, member):
            digest.update(chunk)
            yield chunk

    chunks = hashed()
    sink(member.name, chunks)
    for _ in chunks:  # whatever was left
        pass
    return Entry(member.name, member.size, digest.hexdigest())


def _chunks(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise BadInput(f"the backup is damaged: {member.name[:200]!r} is no file")
    with content:
        left = member.size
        while chunk := content.read(_CHUNK):
            left -= len(chunk)
            yield chunk
    if left:
        raise BadInput(f"the backup was cut short in {member.name}")


def _compare(manifest: Manifest, found: dict[str, Entry]) -> None:
    listed = {entry.name: entry for entry in manifest.files}
    for name in sorted(listed.keys() | found.keys()):
        if listed.get(name) != found.get(name):
            raise BadInput(f"the backup is damaged: {name} is not what the manifest says")
        blob = _BLOB.fullmatch(name)
        if blob and blob[3] != found[name].sha256:
            raise BadInput(f"the backup is damaged: {name} is not the blob of that name")
    missing = {DATABASE, "endpoint-key", "admin-token"} - listed.keys()
    if missing:
        raise BadInput(f"the backup is not complete: {', '.join(sorted(missing))} is missing")


class _Hashing:
    """Reads a file and its digest at once."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.digest = sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.digest.update(data)
        return data
