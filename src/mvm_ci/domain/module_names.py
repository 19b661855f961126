"""Names and versions of modules, and how a job names the module that it is of. Pure."""

import re
from typing import Final, NamedTuple

from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.ids import is_digest

MAX_NAME: Final = 100
MAX_VERSION: Final = 64
NAME_PATTERN: Final = f"[a-z0-9][a-z0-9._-]{{0,{MAX_NAME - 1}}}"
VERSION_PATTERN: Final = f"[A-Za-z0-9][A-Za-z0-9._+-]{{0,{MAX_VERSION - 1}}}"
_NAME: Final = re.compile(NAME_PATTERN)
_VERSION: Final = re.compile(VERSION_PATTERN)


class Reference(NamedTuple):
    """``name`` or ``name@version``. ``version`` None: the one that was published last."""

    name: str
    version: str | None


def check_name(name: str) -> str:
    """The name, if it is one. Raises ``BadInput``."""
    if not _is_name(name):
        raise BadInput(
            f"name: {name[:80]!r} is none: 1 to {MAX_NAME} lower-case letters, digits and . _ -, "
            "the first a letter or digit; and no digest"
        )
    return name


def check_version(version: str) -> str:
    """The version, if it is one. Raises ``BadInput``."""
    if not _VERSION.fullmatch(version):
        raise BadInput(
            f"version: {version[:80]!r} is none: 1 to {MAX_VERSION} letters, digits and . _ + -, "
            "the first a letter or digit"
        )
    return version


def parse_reference(text: str) -> Reference | None:
    """What a job names, if it is a name or a name and a version; None for all else, a digest for instance."""
    name, at, version = text.partition("@")
    if not _is_name(name) or (at and not _VERSION.fullmatch(version)):
        return None
    return Reference(name, version if at else None)


def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None and not is_digest(text)
