"""The configuration file: TOML, a section for each process, and profiles for the command line.

All of it is looked at when it is read: a key that nobody would read is a mistake, and is named. Values are
parsed by whoever asks for them, like the text of a flag.
"""

import os
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mvm_ci.config import parsers
from mvm_ci.config.found import Found, Origin
from mvm_ci.config.settings import IN_PROFILES, IN_SECTIONS, LISTS, SECRETS, Setting
from mvm_ci.domain.errors import Misconfigured

MAX_FILE: Final = 256 << 10
PROFILES: Final = "profiles"
PROFILE: Final = "profile"


@dataclass(frozen=True, slots=True)
class Section:
    """The settings under one heading; relative paths are below the file's folder."""

    path: Path
    name: str
    values: Mapping[str, tuple[str, ...]] = field(repr=False)

    def find(self, setting: Setting[Any]) -> Found | None:
        """What the section says. Raises ``Misconfigured`` for a secret that is given twice."""
        named = self.values.get(setting.key)
        if setting not in SECRETS:
            return None if named is None else self._found(setting.key, named)
        plain = secret_key(setting)
        secret = self.values.get(plain)
        if named is not None and secret is not None:
            raise Misconfigured(f"{self.where(plain)} and {self.where(setting.key)} are both set; remove one")
        if named is not None:
            return self._found(setting.key, named, names_file=True)
        return None if secret is None else self._found(plain, secret)

    def where(self, key: str) -> str:
        """How a key is called in words for people."""
        return f"{self.path}:{self.name}.{key}"

    def _found(self, key: str, texts: tuple[str, ...], *, names_file: bool = False) -> Found:
        origin = Origin.PROFILE if self.name.startswith(f"{PROFILES}.") else Origin.FILE
        return Found(texts, origin, self.where(key), names_file)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file that was read. ``profile``: the one that is used if no other is named."""

    path: Path
    profile: str | None
    sections: Mapping[str, Section]
    profiles: Mapping[str, Section]

    @property
    def holds_secret(self) -> bool:
        """Whether a secret itself stands in it."""
        return _first_secret((*self.sections.values(), *self.profiles.values())) is not None


def secret_key(setting: Setting[Any]) -> str:
    """The key that holds a secret itself; the setting's own key names a file with it."""
    return setting.key.removesuffix("_file")


def read_config(path: Path) -> ConfigFile | None:
    """The file, or None if there is none. Raises ``Misconfigured``."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Misconfigured(f"cannot read the configuration file {path}: {error.strerror}") from None
    found = parse_config(path, data)
    if stat.S_IMODE(mode) & 0o077 and found.holds_secret:
        secret = _first_secret((*found.sections.values(), *found.profiles.values()))
        raise Misconfigured(f"others can read {path}, and {secret} is a secret; run: chmod 600 {path}")
    return found


def parse_config(path: Path, data: bytes) -> ConfigFile:
    """What the bytes of the file ``path`` mean. Raises ``Misconfigured``."""
    if len(data) > MAX_FILE:
        raise Misconfigured(f"{path}: more than {MAX_FILE} bytes are no configuration file")
    import tomllib  # noqa: PLC0415 - only who has a file pays for it

    try:
        tables = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Misconfigured(f"{path}: not TOML: {error}") from None
    _check_known(path, "", tables, (PROFILE, PROFILES, *IN_SECTIONS))
    profiles = _table(path, PROFILES, tables.get(PROFILES, {}))
    found = ConfigFile(
        path,
        _default_profile(path, tables.get(PROFILE)),
        {
            name: _section(path, name, tables[name], known)
            for name, known in IN_SECTIONS.items()
            if name in tables
        },
        {name: _profile(path, name, table) for name, table in profiles.items()},
    )
    if found.profile is not None:
        choose_profile(found, found.profile, f"{path}:{PROFILE}")
    return found


def choose_profile(file: ConfigFile, name: str, where: str) -> Section:
    """The profile called ``name``, which ``where`` asks for. Raises ``Misconfigured``."""
    if name not in file.profiles:
        raise Misconfigured(
            f"{where}: there is no profile {name!r} in {file.path}{_hint(name, file.profiles)}"
        )
    return file.profiles[name]


def _default_profile(path: Path, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise Misconfigured(f"{path}:{PROFILE}: is not text, the name of a profile")
    return value


def _profile(path: Path, name: str, table: object) -> Section:
    try:
        parsers.profile_name(name)
    except ValueError as error:
        raise Misconfigured(f"{path}:{PROFILES}: {name[:80]!r} {error}") from None
    section = _section(path, f"{PROFILES}.{name}", table, IN_PROFILES)
    if "url" not in section.values:
        raise Misconfigured(f"{path}:{section.name}: there is no url")
    return section


def _section(path: Path, name: str, table: object, known: Iterable[Setting[Any]]) -> Section:
    by_key: dict[str, Setting[Any]] = {}
    for setting in known:
        by_key[setting.key] = setting
        if setting in SECRETS:
            by_key[secret_key(setting)] = setting
    found = _table(path, name, table)
    _check_known(path, f"{name}.", found, by_key)
    section = Section(
        path,
        name,
        {key: _texts(path, f"{name}.{key}", key, by_key[key], value) for key, value in found.items()},
    )
    for setting in by_key.values():
        section.find(setting)  # a secret that is given twice
    return section


def _texts(path: Path, where: str, key: str, setting: Setting[Any], value: object) -> tuple[str, ...]:
    if setting in LISTS:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise Misconfigured(f"{path}:{where}: is not a list of texts")
        return tuple(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Misconfigured(f"{path}:{where}: is neither text nor a number")
    text = str(value)
    if setting.parse is parsers.path or (setting in SECRETS and key == setting.key):
        return (str(path.parent / os.path.expanduser(text)),)  # noqa: PTH111 - leaves what it does not know
    return (text,)


def _table(path: Path, name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise Misconfigured(f"{path}:{name}: is not a section")
    return value


def _check_known(path: Path, above: str, found: Iterable[str], known: Collection[str]) -> None:
    for key in found:
        if key not in known:
            raise Misconfigured(f"{path}: there is no setting {above}{key}{_hint(key, known)}")


def _hint(name: str, known: Collection[str]) -> str:
    import difflib  # noqa: PLC0415 - only a mistake pays for it

    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(known)}" if known else ""


def _first_secret(sections: Iterable[Section]) -> str | None:
    keys = [secret_key(setting) for setting in SECRETS]
    return next((f"{one.name}.{key}" for one in sections for key in keys if key in one.values), None)
