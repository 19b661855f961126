"""Reads settings: a flag as it was typed, else the environment, else the default."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

from mvm_ci.config import parsers
from mvm_ci.config.settings import Setting
from mvm_ci.domain.errors import Misconfigured

T = TypeVar("T")
_MAX_SECRET: Final = 4096
STDIN: Final = "-"
_XDG: Final = {
    "XDG_STATE_HOME": (".local", "state"),
    "XDG_CONFIG_HOME": (".config",),
    "XDG_CACHE_HOME": (".cache",),
}


class Source:
    """Where settings come from: the flags as typed (``Setting.key`` to text), and the environment."""

    def __init__(self, flags: Mapping[str, object], environ: Mapping[str, str]) -> None:
        self._flags = flags
        self._environ = environ

    def text(self, setting: Setting[T]) -> tuple[str, str] | None:
        """(where it was set, its text), or None."""
        typed = self._flags.get(setting.key) if setting.flag else None
        if isinstance(typed, str):
            return str(setting.flag), typed
        value = self._environ.get(setting.env, "") if setting.env else ""
        return (str(setting.env), value) if value else None

    def get(self, setting: Setting[T]) -> T | None:
        """The value that was set, or None. Raises ``Misconfigured``."""
        found = self.text(setting)
        return None if found is None else _parsed(setting, *found)

    def value(self, setting: Setting[T]) -> T:
        """The value that was set, or the default. Raises ``Misconfigured``."""
        found = self.get(setting)
        return setting.parse(setting.default) if found is None else found

    def all(self, setting: Setting[T]) -> tuple[T, ...]:
        """Every value of a repeated flag, or of a list in the environment. Raises ``Misconfigured``."""
        typed = self._flags.get(setting.key)
        if isinstance(typed, tuple) and typed:
            return tuple(_parsed(setting, str(setting.flag), str(text)) for text in typed)
        text = self._environ.get(setting.env or "", "")
        return tuple(
            _parsed(setting, str(setting.env), part.strip()) for part in text.split(",") if part.strip()
        )

    def secret(self, setting: Setting[str]) -> str | None:
        """A secret, from a file or the environment. Raises ``Misconfigured``."""
        typed = self._flags.get(setting.key)
        if isinstance(typed, str):
            return _secret_in(typed, str(setting.flag))
        twin = f"{setting.env}_FILE"
        value, file = self._environ.get(setting.env or "", ""), self._environ.get(twin, "")
        if value and file:
            raise Misconfigured(f"{setting.env} and {twin} are both set; unset one")
        if file:
            return _secret_in(file, twin)
        return _parsed(setting, str(setting.env), value, shown=False) if value else None

    def directory(self, setting: Setting[Path]) -> Path:
        """A path that was set, or its default below an XDG directory. Raises ``Misconfigured``."""
        found = self.get(setting)
        if found is not None:
            return found
        variable, _, rest = setting.default.partition("/")
        base = self._environ.get(variable[1:], "")
        if base.startswith("/"):
            return Path(base) / rest
        home = self._environ.get("HOME", "")
        if not home:
            raise Misconfigured(f"neither HOME nor {variable[1:]} is set; give {setting.flag or setting.env}")
        return Path(home, *_XDG[variable[1:]], rest)


def _parsed(setting: Setting[T], where: str, text: str, *, shown: bool = True) -> T:
    try:
        return setting.parse(text)
    except ValueError as error:
        value = f" {text[:80]!r}" if shown else " the value"
        raise Misconfigured(f"{where}:{value} {error}") from None


def _secret_in(path: str, where: str) -> str:
    """The one line in a file. The message names the file, never what is in it."""
    try:
        if path == STDIN:
            text = sys.stdin.read(_MAX_SECRET + 1)
        else:
            with parsers.path(path).open(encoding="utf-8") as file:
                text = file.read(_MAX_SECRET + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Misconfigured(f"{where}: cannot read {path}: {reason}") from None
    text = text.strip()
    if not text or len(text) > _MAX_SECRET or not text.isascii() or not text.isprintable():
        raise Misconfigured(f"{where}: {path} does not hold one line with a token")
    return text
