"""Changes to the profiles of a configuration file; what else a person wrote there stays as it is.

The text is changed line by line and then read back: if it does not mean what it should, nothing is written.
"""

import json
import re
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from mvm_ci.config import parsers
from mvm_ci.config.credentials import write_atomically
from mvm_ci.config.file import PROFILE, PROFILES, ConfigFile, choose_profile, parse_config, read_config
from mvm_ci.config.found import Found, Origin
from mvm_ci.config.settings import PROFILE as PROFILE_SETTING
from mvm_ci.config.settings import TOKEN, URL
from mvm_ci.config.source import STDIN, parsed, reveal
from mvm_ci.domain.errors import Conflict, Misconfigured, NotFound

_DEFAULT_LINE: Final = re.compile(rf"\s*{PROFILE}\s*=")
_PRIVATE: Final = 0o600

Lines = list[str]
Tables = dict[str, Any]


def add_profile(path: Path, name: str, url: str, token_file: str | None) -> None:
    """Adds a profile; makes the file if there is none. A token from stdin (``-``) is put into it.

    Raises ``Conflict``, ``Misconfigured``.
    """
    parsed(PROFILE_SETTING, Found((name,), Origin.FLAG, "NAME"))
    values = {"url": parsed(URL, Found((url,), Origin.FLAG, "--url"))}
    if token_file == STDIN:
        values["token"] = reveal(TOKEN, Found((STDIN,), Origin.FLAG, "--token-file", names_file=True))
    elif token_file is not None:
        values["token_file"] = str(parsers.path(token_file))
    file = read_config(path)
    if file is not None and name in file.profiles:
        raise Conflict(f"there is a profile {name} in {path} already; remove it first")

    def change(lines: Lines, tables: Tables) -> None:
        tables.setdefault(PROFILES, {})[name] = values
        lines += [""] if lines and lines[-1] else []
        lines += [f"[{PROFILES}.{name}]", *(f"{key} = {_quoted(value)}" for key, value in values.items())]

    _rewrite(path, change)


def use_profile(path: Path, name: str) -> None:
    """Makes a profile the one that counts if none is named. Raises ``NotFound``, ``Misconfigured``."""
    _known(path, name)

    def change(lines: Lines, tables: Tables) -> None:
        tables[PROFILE] = name
        _drop_default(lines)
        lines[:0] = [f"{PROFILE} = {_quoted(name)}", *([""] if lines and lines[0] else [])]

    _rewrite(path, change)


def remove_profile(path: Path, name: str) -> None:
    """Removes a profile; afterwards none counts if it was the one that did. Raises as ``use_profile``."""
    file = _known(path, name)

    def change(lines: Lines, tables: Tables) -> None:
        del tables[PROFILES][name]
        if file.profile == name:
            del tables[PROFILE]
            _drop_default(lines)
        _drop_section(lines, f"[{PROFILES}.{name}]")

    _rewrite(path, change)


def _known(path: Path, name: str) -> ConfigFile:
    file = read_config(path)
    if file is None:
        raise NotFound(f"there is no profile {name}, since there is no file {path}")
    try:
        choose_profile(file, name, PROFILE)
    except Misconfigured as error:
        raise NotFound(str(error)) from None
    return file


def _drop_default(lines: Lines) -> None:
    """Removes the line that names the default profile, if it stands above the first section."""
    for at, line in enumerate(lines):
        if line.lstrip().startswith("["):
            return
        if _DEFAULT_LINE.match(line):
            del lines[at]
            if at == 0 and lines and not lines[0]:
                del lines[0]
            return


def _drop_section(lines: Lines, heading: str) -> None:
    """Removes a section, but not the comment above the next one."""
    starts = [at for at, line in enumerate(lines) if line.strip() == heading]
    if not starts:
        return
    after = (at for at in range(starts[0] + 1, len(lines)) if lines[at].lstrip().startswith("["))
    end = next(after, len(lines))
    while end < len(lines) and lines[end - 1].lstrip().startswith("#"):
        end -= 1
    del lines[starts[0] : end]


def _rewrite(path: Path, change: Callable[[Lines, Tables], None]) -> None:
    target = path.resolve()  # a link to a file elsewhere stays a link
    try:
        text, mode = target.read_text(encoding="utf-8"), stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        text, mode = "", _PRIVATE
    except OSError as error:
        raise Misconfigured(f"cannot read the configuration file {path}: {error.strerror}") from None
    lines, tables = text.splitlines(), tomllib.loads(text)
    change(lines, tables)
    while lines and not lines[-1].strip():
        lines.pop()
    changed = "".join(f"{line}\n" for line in lines)
    if not _means(changed, tables):
        raise Misconfigured(f"{path} is written in a way that this command cannot change; edit it by hand")
    secret = parse_config(path, changed.encode()).holds_secret
    write_atomically(target, changed, _PRIVATE if secret else mode)


def _means(text: str, tables: Tables) -> bool:
    """Whether ``text`` holds ``tables``; that of the profiles may be left out when it is empty."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return {PROFILES: {}} | found == {PROFILES: {}} | tables


def _quoted(text: str) -> str:
    """A TOML string; those of JSON are written alike."""
    return json.dumps(text, ensure_ascii=False)
