"""Reads settings: a flag as typed, else the environment, else the configuration file, else the default."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from mvm_ci.config import parsers, settings
from mvm_ci.config.file import ConfigFile, Section, read_config
from mvm_ci.config.found import Found, Origin
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
    """Where settings come from: the flags as typed (``Setting.key`` to text), the environment, a file.

    Of the file one section counts, if any: that of the process whose settings are asked for.
    """

    def __init__(
        self,
        flags: Mapping[str, object],
        environ: Mapping[str, str],
        file: ConfigFile | None = None,
        section: str | None = None,
    ) -> None:
        self._flags = flags
        self._environ = environ
        self.file = file
        self._section: Section | None = file.sections.get(section) if file and section else None

    @classmethod
    def open(
        cls, flags: Mapping[str, object], environ: Mapping[str, str], section: str | None = None
    ) -> "Source":
        """With the configuration file: the one that is named, else that in the usual place.

        Raises ``Misconfigured``.
        """
        return cls(flags, environ, _config_file(cls(flags, environ)), section)

    def for_section(self, section: str) -> "Source":
        """The same flags, environment and file, with another section of it."""
        return Source(self._flags, self._environ, self.file, section)

    def find(self, setting: Setting[Any]) -> Found | None:
        """What was set, by the first place that sets it. Raises ``Misconfigured``."""
        return self.typed(setting) or self.in_environment(setting) or self.in_section(setting)

    def typed(self, setting: Setting[Any]) -> Found | None:
        """What its flag says."""
        given = self._flags.get(setting.key) if setting.flag else None
        texts = (given,) if isinstance(given, str) else given
        if not isinstance(texts, tuple) or not texts:
            return None
        return Found(texts, Origin.FLAG, str(setting.flag), setting in settings.SECRETS)

    def in_environment(self, setting: Setting[Any]) -> Found | None:
        """What its variable says, or for a secret one of its two. Raises ``Misconfigured`` if both do."""
        variable = setting.env or ""
        text = self._environ.get(variable, "")
        if setting in settings.SECRETS:
            twin = f"{variable}_FILE"
            file = self._environ.get(twin, "")
            if text and file:
                raise Misconfigured(f"{variable} and {twin} are both set; unset one")
            if file:
                return Found((file,), Origin.ENVIRONMENT, twin, names_file=True)
        texts: tuple[str, ...] = (text,) if text else ()
        if setting in settings.LISTS:
            texts = tuple(part.strip() for part in text.split(",") if part.strip())
        return Found(texts, Origin.ENVIRONMENT, variable) if texts else None

    def in_section(self, setting: Setting[Any]) -> Found | None:
        """What the section of the configuration file says."""
        return None if self._section is None else self._section.find(setting)

    def get(self, setting: Setting[T]) -> T | None:
        """The value that was set, or None. Raises ``Misconfigured``."""
        found = self.find(setting)
        return None if found is None else parsed(setting, found)

    def value(self, setting: Setting[T]) -> T:
        """The value that was set, or the default. Raises ``Misconfigured``."""
        found = self.get(setting)
        return setting.parse(setting.default) if found is None else found

    def all(self, setting: Setting[T]) -> tuple[T, ...]:
        """Every value of a list. Raises ``Misconfigured``."""
        found = self.find(setting)
        return () if found is None else tuple(_parsed(setting, found.where, text) for text in found.texts)

    def secret(self, setting: Setting[str]) -> str | None:
        """A secret. Raises ``Misconfigured``."""
        found = self.find(setting)
        return None if found is None else reveal(setting, found)

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


def parsed(setting: Setting[T], found: Found) -> T:
    """The value of what was found. Raises ``Misconfigured``, naming the place."""
    return _parsed(setting, found.where, found.text)


def reveal(setting: Setting[str], found: Found) -> str:
    """The secret itself. Raises ``Misconfigured``; the message never shows it."""
    if found.names_file:
        return secret_in(found.text, found.where)
    return _parsed(setting, found.where, found.text, shown=False)


def _config_file(source: Source) -> ConfigFile | None:
    """A file that was named must be there; the usual place may be empty."""
    named = source.find(settings.CONFIG)
    try:
        path = source.directory(settings.CONFIG)
    except Misconfigured:
        if named is not None:
            raise
        return None
    file = read_config(path)
    if file is None and named is not None:
        raise Misconfigured(f"{named.where}: there is no file {path}")
    return file


def _parsed(setting: Setting[T], where: str, text: str, *, shown: bool = True) -> T:
    try:
        return setting.parse(text)
    except ValueError as error:
        value = f" {text[:80]!r}" if shown else " the value"
        raise Misconfigured(f"{where}:{value} {error}") from None


def secret_in(path: str, where: str) -> str:
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
