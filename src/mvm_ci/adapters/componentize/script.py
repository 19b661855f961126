"""The header of a job script: a PEP 723 block."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from mvm_ci.domain.errors import BadInput

# The pattern that PEP 723 gives.
_BLOCK: Final = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


def read_header(text: str, source: Path) -> tuple[dict[str, Any], int]:
    """The table in the header of ``source``, and its line; a script without header has an empty one.

    Raises ``BadInput``.
    """
    blocks = [match for match in _BLOCK.finditer(text) if match["type"] == "script"]
    if len(blocks) > 1:
        raise BadInput(f"{source}: more than one '# /// script' block")
    if not blocks:
        return {}, 1
    line = text.count("\n", 0, blocks[0].start()) + 1
    content = "\n".join(
        part[2:] if part.startswith("# ") else part[1:] for part in blocks[0]["content"].splitlines()
    )
    try:
        return tomllib.loads(content), line
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{source}:{line}: the '# /// script' block is not TOML: {error}") from None
