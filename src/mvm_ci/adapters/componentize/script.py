"""The header of a job script: a PEP 723 block with our own table in it."""

import re
import tomllib
from pathlib import Path
from typing import Final

import msgspec

from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.module import Manifest

PYTHON_ABI: Final = "mvm-ci:guest/job@1.0.0"
# The pattern that PEP 723 gives.
_BLOCK: Final = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


class _Table(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    name: str = ""
    allow_hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


def read_manifest(text: str, source: Path) -> Manifest:
    """The manifest that the header of ``source`` asks for; a script without header gets its file's name.

    Raises ``BadInput`` for a header that cannot be read, and for one that asks for packages.
    """
    blocks = [match for match in _BLOCK.finditer(text) if match["type"] == "script"]
    if len(blocks) > 1:
        raise BadInput(f"{source}: more than one '# /// script' block")
    if not blocks:
        return Manifest(name=source.stem, abi=PYTHON_ABI)
    line = text.count("\n", 0, blocks[0].start()) + 1
    content = "\n".join(
        part[2:] if part.startswith("# ") else part[1:] for part in blocks[0]["content"].splitlines()
    )
    try:
        header = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{source}:{line}: the '# /// script' block is not TOML: {error}") from None
    wanted = header.get("dependencies")
    if wanted:
        names = ", ".join(map(str, wanted)) if isinstance(wanted, list) else str(wanted)
        raise BadInput(f"{source}:{line}: dependencies are not supported yet: {names}")
    tool = header.get("tool")
    try:
        table = msgspec.convert(tool.get("mvm-ci", {}) if isinstance(tool, dict) else {}, _Table)
    except msgspec.ValidationError as error:
        raise BadInput(f"{source}:{line}: [tool.mvm-ci]: {error}") from None
    return Manifest(
        name=table.name or source.stem,
        abi=PYTHON_ABI,
        allow_hosts=table.allow_hosts,
        secrets=table.secrets,
    )
