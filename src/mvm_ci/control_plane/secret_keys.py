"""The file with the keys that seal secrets: one a line, in hex. The first seals, all of them open.

``lost ID`` says that a key is gone for good: what it sealed is removed at the next start. Empty lines and
those that begin with ``#`` count for nothing. All of this blocks.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from mvm_ci.domain.errors import Misconfigured
from mvm_ci.durable_files import write_whole
from mvm_ci.ports.secrets import KEY_BYTES

FILE: Final = "secrets-key"
"""In the state directory, if no other place is named. Never part of a backup."""
_KEY: Final = re.compile(rf"[0-9a-fA-F]{{{2 * KEY_BYTES}}}")
_LOST: Final = re.compile(r"lost ([0-9a-f]{16})")


class SecretKeys(NamedTuple):
    """``keys``: at least one; ``lost``: ids of keys that are gone."""

    keys: tuple[bytes, ...]
    lost: frozenset[str]


def read_keys(file: Path, random: Callable[[int], bytes], *, needed: bool) -> SecretKeys:
    """What the file holds; it is made, with a new key, if there is none and none is ``needed`` yet.

    Raises ``Misconfigured``: it is missing though secrets were sealed, cannot be read, is open to others, or
    holds no key.
    """
    try:
        if not file.exists():
            if needed:
                raise Misconfigured(
                    f"the file with the keys of the secrets is missing: {file}; put it back (backups do not "
                    "hold it). If it is lost, write a new key, 64 hex digits, and start: you are told more"
                )
            write_whole(file, random(KEY_BYTES).hex() + "\n", draft=f".{file.name}.new")
        if file.stat().st_mode & 0o077:
            raise Misconfigured(f"{file} can be read by others: chmod 600 {file}")
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Misconfigured(
            f"cannot use {file}: {error.strerror or error}; check its directory, owner and mode"
        ) from None
    keys: list[bytes] = []
    lost: set[str] = set()
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        gone = _LOST.fullmatch(line)
        if gone is not None:
            lost.add(gone[1])
        elif _KEY.fullmatch(line):
            keys.append(bytes.fromhex(line))
        elif line and not line.startswith("#"):
            # Not shown: it may be a key with a slip in it.
            raise Misconfigured(f"{file}, line {number}: neither a key (64 hex digits) nor 'lost ID'")
    if not keys:
        raise Misconfigured(f"{file} holds no key: put it back, or write a new one, 64 hex digits")
    return SecretKeys(tuple(keys), frozenset(lost))
