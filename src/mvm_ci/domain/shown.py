"""What a guest lets users see of it while it runs."""

from typing import Final

import msgspec

MAX_TEXT: Final = 200
"""Characters of what a guest says of its progress."""


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How far it is: ``done`` of ``total``, of whatever it counts."""

    text: str = ""
    done: float | None = None
    total: float | None = None
