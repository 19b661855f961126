"""Namespaces: whose jobs, modules and schedules they are."""

import re
from typing import Final

from mvm_ci.domain.errors import BadInput

DEFAULT_NAMESPACE: Final = "default"
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def check_namespace(name: str) -> str:
    """The name, if it is one: 1 to 63 lower-case letters, digits and inner hyphens. Raises ``BadInput``."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"namespace: {name[:80]!r} is none: 1 to 63 lower-case letters, digits and inner hyphens"
        )
    return name
