"""Secrets: what they may be, which jobs may read them, and one on its way to its job. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.ids import Digest, is_digest
from mvm_ci.domain.module_names import parse_reference

MAX_NAME: Final = 100
NAME_PATTERN: Final = f"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{MAX_NAME - 1}}}"
MIN_CHARACTERS: Final = 4
MAX_BYTES: Final = 32 << 10
"""Of a value, as UTF-8."""
MAX_OF_JOB: Final = 32
"""Secrets that a job names: with a journal they fit one frame."""
MAX_MODULES: Final = 100
"""Modules that a secret allows."""
MAX_OF_NAMESPACE: Final = 1_000
ANY: Final = "*"
"""Allows every module of the namespace."""
_NAME: Final = re.compile(NAME_PATTERN)


class SecretValue(msgspec.Struct, frozen=True, array_like=True):
    """A version of a secret, for the one job that gets it. ``value`` None: that version is not there (any
    more). ``digest_key``: random bytes of this version, the key of digests of what holds the value.
    """

    name: str
    version: int
    value: str | None = None
    digest_key: bytes = b""

    def __repr__(self) -> str:
        return f"SecretValue({self.name!r}, version={self.version})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("name", self.name), ("version", self.version)]


def check_name(name: str, where: str = "name") -> str:
    """The name, if it is one. Raises ``BadInput``, saying where."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"{where}: {name[:80]!r} is no name of a secret: 1 to {MAX_NAME} letters, digits and _ . -, "
            "the first no . or -"
        )
    return name


def check_names(names: Sequence[str], where: str) -> None:
    """Raises ``BadInput``, saying where, for what is no list of different names."""
    if len(names) > MAX_OF_JOB:
        raise BadInput(f"{where}: {len(names)} secrets; at most {MAX_OF_JOB} are allowed")
    for name in names:
        check_name(name, where)
    if len(set(names)) != len(names):
        raise BadInput(f"{where}: names a secret twice")


def check_value(value: str) -> str:
    """The value, if a secret may have it. Raises ``BadInput``, which never tells the value."""
    if len(value) < MIN_CHARACTERS:
        raise BadInput(
            f"value: {len(value)} characters; a secret has at least {MIN_CHARACTERS}: a shorter one is soon "
            "guessed, and would be masked wherever its characters happen to stand"
        )
    size = len(value.encode())
    if size > MAX_BYTES:
        raise BadInput(f"value: {size} bytes of UTF-8; a secret has at most {MAX_BYTES}")
    return value


def check_modules(modules: Sequence[str]) -> tuple[str, ...]:
    """What a secret allows, each once. Raises ``BadInput``."""
    if len(modules) > MAX_MODULES:
        raise BadInput(f"modules: {len(modules)} modules; at most {MAX_MODULES} are allowed")
    for one in modules:
        if one != ANY and not is_digest(one) and parse_reference(one) is None:
            raise BadInput(f"modules: {one[:80]!r} is no published name, NAME@VERSION, digest or {ANY}")
    return tuple(dict.fromkeys(modules))


def allows(modules: Iterable[str], named: str, digest: Digest) -> bool:
    """Whether a job may read a secret that allows ``modules``. ``named``: how the job names its module, of
    which ``digest`` is.
    """
    reference = parse_reference(named)
    known = {ANY, named, digest} if reference is None else {ANY, named, digest, reference.name}
    return not known.isdisjoint(modules)
