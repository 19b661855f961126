"""The beginning of a journal as the journal of another execution: where it may end, and how it begins."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.ids import Digest
from mvm_ci.journal.describe import describe
from mvm_ci.journal.entries import Began, Continued, Entry, Finished, HttpIntent, Placement

_OPEN: Final[tuple[Any, ...]] = (HttpIntent,)
"""Entries of something that may be under way: what came of it is in the next one."""
_ENDS: Final[tuple[Any, ...]] = (Finished, Continued)
"""Entries after which nothing can follow."""


def is_call(entry: Entry) -> bool:
    """Whether it is a call of the guest."""
    return not isinstance(entry, Placement)


def check_end(last: Entry, index: int, length: int) -> None:
    """Whether a prefix of ``length`` entries may end with ``last``, its last call, which is entry ``index``.

    Raises ``BadInput``, saying where it may.
    """
    if isinstance(last, _OPEN):
        raise BadInput(
            f"at: {length} is between {describe(last)}, entry {index}, and what came of it: fork at "
            f"{index}, before it, or behind its result"
        )
    if isinstance(last, _ENDS):
        raise BadInput(
            f"at: entry {index} is {describe(last)}, and nothing can follow it: fork at {index} at most"
        )


def of_module(entries: Sequence[Entry], module: Digest) -> list[Entry]:
    """Entries from the first one on, as if the execution had begun with ``module``."""
    return [
        msgspec.structs.replace(entry, module=module) if isinstance(entry, Began) else entry
        for entry in entries
    ]
