"""The credentials file: where the control plane is, and the token for it. Only its owner may read it."""

import contextlib
import json
import os
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mvm_ci.domain.errors import Misconfigured

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
    made: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        made = Path(name)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    except OSError as error:
        if made is not None:
            with contextlib.suppress(OSError):
                made.unlink()
        raise Misconfigured(f"cannot write {path}: {error.strerror}") from None
