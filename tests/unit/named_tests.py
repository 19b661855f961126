"""Whether a test that a page or a list names is there."""

import ast
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


@cache
def _functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def exists(test: str) -> bool:
    """``test``: ``path`` or ``path::name``; the path is relative to the project."""
    path, _, name = test.partition("::")
    if not (ROOT / path).is_file():
        return False
    return name in _functions(path) if name else True
