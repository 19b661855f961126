"""One walk over a module's syntax tree: its imports, the foreign names it uses, and what it calls when it
is imported.
"""

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_IMPORT_ERRORS: Final = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


class Import(msgspec.Struct, frozen=True):
    """One imported module. ``parts``: names taken from it, which may be modules. ``guarded``: a failure is
    caught. ``certain``: carried out whenever its own module is imported, whatever the conditions.
    """

    module: str
    level: int
    parts: tuple[str, ...]
    line: int
    guarded: bool
    certain: bool

    def absolute(self, package: str) -> str:
        """Its full name when imported inside ``package``; empty if that is not possible."""
        if self.level == 0:
            return self.module
        above = package.split(".")
        above = above[: len(above) - self.level + 1]
        return ".".join([part for part in [*above, self.module] if part]) if package else ""


class _Way(NamedTuple):
    guarded: bool
    certain: bool


_PLAIN: Final = _Way(guarded=False, certain=True)
_GUARDED: Final = _Way(guarded=True, certain=False)


class Scan(msgspec.Struct, kw_only=True):
    """What one module does. Names are resolved through its imports: ``from time import time as t`` gives
    ``time.time``. ``module_names`` and ``module_calls``: used, and called, when the module is imported.
    """

    imports: list[Import] = []
    names: list[tuple[str, int]] = []
    module_names: list[tuple[str, int]] = []
    module_calls: list[tuple[str, int]] = []
    bound: set[str] = set()
    entry: ast.FunctionDef | ast.AsyncFunctionDef | None = None
    awaits: bool = False


def scan(tree: ast.Module) -> Scan:
    """Walks ``tree``; blocks for type checkers and for being run as a script are left out."""
    scanned = Scan()
    aliases = _note_imports(tree, scanned)
    for node, _ in _walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name = _resolve(node, aliases)
            if name is not None:
                scanned.names.append((name, node.lineno))
        elif isinstance(node, ast.AsyncFunctionDef):
            scanned.awaits = True
    for statement in _at_import(tree):
        _note_binding(statement, scanned)
        if isinstance(statement, ast.Attribute | ast.Name):
            name = _resolve(statement, aliases)
            if name is not None:
                scanned.module_names.append((name, statement.lineno))
        if isinstance(statement, ast.Call):
            name = _resolve(statement.func, aliases)
            # A generator with a seed of its own is the same everywhere on purpose.
            if name is not None and not (name in ("random.Random", "random.seed") and statement.args):
                scanned.module_calls.append((name, statement.lineno))
    return scanned


def _note_imports(tree: ast.Module, scanned: Scan) -> dict[str, str]:
    """Notes the imports of ``tree``; the result is what the names they bind stand for."""
    aliases: dict[str, str] = {}
    for node, way in _walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                scanned.imports.append(Import(alias.name, 0, (), node.lineno, way.guarded, way.certain))
                top = alias.name.partition(".")[0]
                aliases[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            parts = tuple(alias.name for alias in node.names if alias.name != "*")
            scanned.imports.append(
                Import(node.module or "", node.level, parts, node.lineno, way.guarded, way.certain)
            )
            if not node.level:
                aliases.update(
                    (alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names
                )
    return aliases


def _note_binding(node: ast.AST, scanned: Scan) -> None:
    if isinstance(node, _DEFINITIONS) and node.name == "run":
        scanned.entry = node
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        scanned.bound.add(node.id)
    elif isinstance(node, ast.ImportFrom | ast.Import):
        scanned.bound.update(alias.asname or alias.name for alias in node.names)


def _walk(node: ast.AST, way: _Way = _PLAIN) -> Iterator[tuple[ast.AST, _Way]]:
    """All nodes below ``node``, and how one gets there."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _never_true(child.test):
            for other in child.orelse:
                yield other, way
                yield from _walk(other, way)
            continue
        inside = way
        if isinstance(node, ast.Try) and child in node.body:
            if any(_catches_import_error(handler.type) for handler in node.handlers):
                inside = _GUARDED
        elif isinstance(node, ast.With) and any(_suppresses(item.context_expr) for item in node.items):
            inside = _GUARDED
        elif not isinstance(node, ast.Module | ast.ClassDef):
            inside = _Way(way.guarded, certain=False)
        yield child, inside
        yield from _walk(child, inside)


def _at_import(node: ast.AST, *, top: bool = True) -> Iterator[ast.AST]:
    """The nodes that are executed when the module is imported: no bodies of functions, but their defaults."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _never_true(child.test):
            for other in child.orelse:
                yield other
                yield from _at_import(other, top=top)
            continue
        if isinstance(child, (*_DEFINITIONS, ast.Lambda)):
            if top and not isinstance(child, ast.Lambda):
                yield child
            decorators = [] if isinstance(child, ast.Lambda) else child.decorator_list
            for default in (*child.args.defaults, *child.args.kw_defaults, *decorators):
                if default is not None:
                    yield default
                    yield from _at_import(default, top=False)
            continue
        yield child
        yield from _at_import(child, top=top and not isinstance(child, ast.ClassDef))


def _never_true(test: ast.expr) -> bool:
    """``TYPE_CHECKING`` and ``__name__ == "__main__"`` are false in a guest."""
    if isinstance(test, ast.Compare):
        return isinstance(test.left, ast.Name) and test.left.id == "__name__"
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def _catches_import_error(caught: ast.expr | None) -> bool:
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in _IMPORT_ERRORS) for kind in kinds)


def _suppresses(manager: ast.expr) -> bool:
    """``contextlib.suppress(ImportError)``."""
    if not isinstance(manager, ast.Call):
        return False
    name = manager.func.attr if isinstance(manager.func, ast.Attribute) else manager.func
    named = name == "suppress" or (isinstance(name, ast.Name) and name.id == "suppress")
    return named and any(_catches_import_error(kind) for kind in manager.args)


def _resolve(node: ast.expr, aliases: dict[str, str]) -> str | None:
    """The full name behind ``a.b.c``, if ``a`` was imported."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in aliases:
        return None
    return ".".join([aliases[node.id], *reversed(parts)])
