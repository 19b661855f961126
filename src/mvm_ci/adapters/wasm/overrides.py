"""What of WASI preview 2 is ours and not the library's, by interface: all that leads to a clock, to chance,
to files, or to what is printed.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from mvm_ci.adapters.wasm import component_clocks, component_files, component_polls, component_streams

_T = TypeVar("_T")


def _merged(groups: Iterable[Mapping[str, Mapping[str, _T]]]) -> dict[str, dict[str, _T]]:
    found: dict[str, dict[str, _T]] = {}
    for group in groups:
        for interface, definitions in group.items():
            found.setdefault(interface, {}).update(definitions)
    return found


_PARTS: Final = (component_clocks, component_polls, component_streams, component_files)
FUNCTIONS: Final = _merged(part.FUNCTIONS for part in _PARTS)
RESOURCES: Final = _merged(part.RESOURCES for part in (component_polls, component_streams, component_files))
WAITING: Final = component_polls.WAITING
