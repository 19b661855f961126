"""One wheel: what it brings into a guest, and whether it can be there."""

import hashlib
import io
import zipfile
from email.parser import BytesHeaderParser
from pathlib import PurePosixPath
from typing import Final

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from mvm_ci.adapters.componentize.guest_python import STDLIB
from mvm_ci.adapters.componentize.project import RESERVED
from mvm_ci.domain.errors import BadInput, TooLarge

MAX_BYTES: Final = 32 << 20
"""All files of a job and its packages, unpacked."""
MAX_FILES: Final = 5_000
COMPILED: Final = (".so", ".pyd", ".dylib", ".dll", ".a", ".lib")
_INFO: Final = ".dist-info"
_DATA: Final = ".data"
_UNPACKED: Final = ("purelib", "platlib")
_LEFT_OUT: Final = ("RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json")


class Wheel(msgspec.Struct, frozen=True, kw_only=True):
    """``name`` as its author writes it, ``extras`` in canonical form; ``files`` by their path in
    ``site-packages``.
    """

    name: str
    version: Version
    requires: tuple[Requirement, ...]
    extras: frozenset[str]
    digest: str
    files: dict[str, bytes]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def pin(self) -> str:
        """As a lock has it."""
        return f"{canonicalize_name(self.name)}=={self.version}"


def read_wheel(data: bytes, title: str) -> Wheel:
    """Reads a wheel; ``title`` begins the messages.

    Raises ``BadInput`` for one that cannot be in a guest, ``TooLarge`` for one over the limits of a bundle.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = _unpack(archive, title)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadInput(f"{title}: not a wheel: {error}") from None
    infos = {path.partition("/")[0] for path in files if path.partition("/")[0].endswith(_INFO)}
    metadata = files.get(f"{next(iter(infos))}/METADATA") if len(infos) == 1 else None
    if metadata is None:
        raise BadInput(f"{title}: not a wheel: it has no {_INFO}/METADATA")
    headers = BytesHeaderParser().parsebytes(metadata)
    try:
        name, version = str(headers["Name"]), Version(str(headers["Version"]))
        requires = tuple(Requirement(str(text)) for text in headers.get_all("Requires-Dist", ()))
    except (InvalidVersion, InvalidRequirement) as error:
        raise BadInput(f"{title}: its metadata cannot be read: {str(error).partition(chr(10))[0]}") from None
    found = Wheel(
        name=name,
        version=version,
        requires=requires,
        extras=frozenset(canonicalize_name(str(one)) for one in headers.get_all("Provides-Extra", ())),
        digest=hashlib.sha256(data).hexdigest(),
        files=files,
    )
    _check(found, title)
    return found


def _unpack(archive: zipfile.ZipFile, title: str) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    left = MAX_BYTES
    for entry in archive.infolist():
        path = _place(entry.filename, title)
        if entry.is_dir() or path is None:
            continue
        # The size in the directory may be a lie.
        with archive.open(entry) as file:
            content = file.read(left + 1)
        left -= len(content)
        if left < 0 or len(files) == MAX_FILES:
            raise TooLarge(
                f"{title}: it has more than {MAX_BYTES >> 20} MiB or {MAX_FILES:,} files; "
                "that is as much as a job with all its packages may have"
            )
        files[path] = content
    return files


def _place(name: str, title: str) -> str | None:
    """Where a file of the archive belongs; None: nowhere."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise BadInput(f"{title}: it has a file outside of its directory: {name!r}")
    if path.parts[0].endswith(_DATA):
        # Scripts, headers and files of the system are nothing for a guest.
        if len(path.parts) < 3 or path.parts[1] not in _UNPACKED:
            return None
        path = PurePosixPath(*path.parts[2:])
    if path.suffix in (".pyc", ".pth") or (path.parts[0].endswith(_INFO) and path.name in _LEFT_OUT):
        return None
    return path.as_posix()


def _check(wheel: Wheel, title: str) -> None:
    for path in wheel.files:
        if path.endswith(COMPILED) or ".so." in PurePosixPath(path).name:
            raise BadInput(f"{title}: it cannot be in a guest: {path} is compiled for a machine")
        top = PurePosixPath(path).parts[0].removesuffix(".py")
        if top in STDLIB or top.startswith(RESERVED):
            raise BadInput(f"{title}: its {top} hides a module that the guest itself needs")
