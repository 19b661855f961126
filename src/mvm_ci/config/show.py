"""Every setting with its value and where it comes from, for ``mvm-ci config show``."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mvm_ci.config import settings
from mvm_ci.config.client import connection, namespace_in_use, profile_in_use
from mvm_ci.config.found import Found, Origin
from mvm_ci.config.settings import Setting
from mvm_ci.config.source import Source, parsed

MASK: Final = "********"
CLIENT: Final = "client"


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting of ``section``. ``value``: None if there is none; a secret is masked.

    ``source`` is one of ``Origin``; ``where`` names the flag, the variable, or file and key.
    """

    section: str
    key: str
    value: str | tuple[str, ...] | None
    source: str
    where: str | None


def shown_settings(source: Source) -> list[Shown]:
    """All settings. Raises ``Misconfigured`` for one that is wrong: whoever reads it would fail alike."""
    rows = list(_client(source))
    for section in settings.IN_SECTIONS:
        below = source.for_section(section)
        rows += (
            _row(section, one, _checked(one, below.find(one)), below) for one in settings.IN_SECTIONS[section]
        )
    return rows


def _client(source: Source) -> Iterator[Shown]:
    for setting in (settings.CONFIG, settings.CREDENTIALS, settings.DEBUG):
        yield _row(CLIENT, setting, _checked(setting, source.find(setting)), source)
    used = profile_in_use(source)
    yield _row(CLIENT, settings.PROFILE, None if used is None else used[1], source)
    found = connection(source)
    yield _row(CLIENT, settings.URL, _checked(settings.URL, found.url), source)
    yield _row(CLIENT, settings.TOKEN, found.token, source)
    yield _row(CLIENT, settings.NAMESPACE, _checked(settings.NAMESPACE, namespace_in_use(source)), source)


def _checked(setting: Setting[Any], found: Found | None) -> Found | None:
    if found is None or setting in settings.SECRETS:
        return found
    for text in found.texts:
        parsed(setting, Found((text,), found.origin, found.where))
    return found


def _row(section: str, setting: Setting[Any], found: Found | None, source: Source) -> Shown:
    secret = setting in settings.SECRETS
    key = setting.key.removesuffix("_file") if secret else setting.key
    if found is None:
        return Shown(section, key, _default(setting, source), Origin.DEFAULT, None)
    value: str | tuple[str, ...] = MASK if secret else found.text
    if setting in settings.LISTS:
        value = found.texts
    elif isinstance(path := None if secret else setting.parse(found.text), Path):
        value = str(path)
    return Shown(section, key, value, found.origin, found.where)


def _default(setting: Setting[Any], source: Source) -> str | tuple[str, ...] | None:
    if setting in settings.LISTS:
        return ()
    if setting.default.startswith("$"):
        return str(source.directory(setting))
    return None if _is_nothing(setting.default) else setting.default


def _is_nothing(default: str) -> bool:
    return default == "none" or default.startswith("of ")
