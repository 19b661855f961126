"""The lock beside a job: a requirements file with hashes, as pip and other tools read it.

One version and at least one SHA-256 for each package, and no place to download from: that is pip's own
configuration.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from mvm_ci.adapters.componentize.requirements import holds
from mvm_ci.domain.errors import BadInput, Unavailable
from mvm_ci.durable_files import write_whole

_HASH: Final = re.compile(r"\s--hash[=\s]sha256:([0-9a-f]{64})(?=\s|$)")
_COMMENT: Final = re.compile(r"(^|\s)#.*$", re.MULTILINE)
_PIN: Final = "=="


class Pin(msgspec.Struct, frozen=True):
    """One package of a lock; ``name`` is canonical, ``hashes`` are SHA-256 in hex."""

    name: str
    version: Version
    hashes: frozenset[str]


def read_lock(file: Path) -> dict[str, Pin]:
    """The pins of ``file`` that hold in a guest, by name. Raises ``BadInput`` with file and line."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file}: cannot be read: {error}") from None
    pins: dict[str, Pin] = {}
    line = 1
    for logical in re.split(r"(?<!\\)\n", text):
        number, line = line, line + logical.count("\n") + 1
        entry = _COMMENT.sub("", logical).replace("\\\n", " ").strip()
        if entry:
            pin = _pin(entry, f"{file}:{number}")
            if pin is not None:
                if pin.name in pins:
                    raise BadInput(f"{file}:{number}: {pin.name} is there a second time")
                pins[pin.name] = pin
    return pins


def _pin(entry: str, place: str) -> Pin | None:
    hashes = frozenset(_HASH.findall(entry))
    try:
        requirement = Requirement(_HASH.sub("", entry))
    except InvalidRequirement:
        raise BadInput(
            f"{place}: a lock has lines such as name==1.0 --hash=sha256:..., not {entry!r}"
        ) from None
    specifiers = list(requirement.specifier)
    if len(specifiers) != 1 or specifiers[0].operator != _PIN or specifiers[0].version.endswith(".*"):
        raise BadInput(f"{place}: {requirement.name} is not pinned to one version, name==1.0")
    if not hashes:
        raise BadInput(f"{place}: {requirement.name} has no --hash=sha256:...")
    if not holds(requirement):
        return None
    return Pin(canonicalize_name(requirement.name), Version(specifiers[0].version), hashes)


def write_lock(file: Path, source: Path, pins: Iterable[Pin]) -> None:
    """Writes ``pins`` to ``file``; the same pins give the same bytes. Raises ``Unavailable``."""
    lines = [f"# The packages of {source.name}, for Python in WebAssembly; written by mvm-ci build --lock"]
    for pin in sorted(pins, key=lambda pin: pin.name):
        lines.append(f"{pin.name}=={pin.version} \\")
        lines += [f"    --hash=sha256:{digest} \\" for digest in sorted(pin.hashes)]
        lines[-1] = lines[-1].removesuffix(" \\")
    try:
        write_whole(file, "\n".join([*lines, ""]), draft=f".{file.name}.{os.getpid()}.partial", mode=0o644)
    except OSError as error:
        raise Unavailable(f"{file}: cannot be written: {error.strerror}") from None
