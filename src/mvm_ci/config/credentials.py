"""The credentials file: where the control plane is, and the token for it. Only its owner may read it."""

import json
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mvm_ci.domain.errors import Misconfigured
from mvm_ci.durable_files import write_whole

_MAX_FILE: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the file holds; and ``namespace``, which it does not: in which one to work, if that was said."""

    url: str
    token: str = field(repr=False)
    namespace: str | None = None


def read_credentials(path: Path) -> Credentials | None:
    """The file's contents, or None if there is no such file. Raises ``Misconfigured``."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_FILE)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Misconfigured(f"cannot read the credentials file {path}: {error.strerror}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise Misconfigured(f"others can read the credentials file {path}; run: chmod 600 {path}")
    try:
        found = json.loads(data)
        url, token = found["url"], found["token"]
    except (ValueError, TypeError, KeyError):
        url = token = None
    if not isinstance(url, str) or not isinstance(token, str) or not token:
        raise Misconfigured(f"the credentials file {path} is not JSON with url and token")
    return Credentials(url, token)


def write_credentials(path: Path, credentials: Credentials) -> None:
    """Writes the file, mode 0600. Raises ``Misconfigured``."""
    text = json.dumps({"url": credentials.url, "token": credentials.token}) + "\n"
    write_atomically(path, text, 0o600)


def write_atomically(path: Path, text: str, mode: int) -> None:
    """Replaces a file in one step, so that no reader sees half of it. Raises ``Misconfigured``."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, text, draft=f".{path.name}.{secrets.token_hex(8)}", mode=mode)
    except OSError as error:
        raise Misconfigured(f"cannot write {path}: {error.strerror}") from None
