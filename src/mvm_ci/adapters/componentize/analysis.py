"""What a job reaches: the modules to have ready in the guest, its own files, what cannot work, what would
be frozen.
"""

import ast
import sys
from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from mvm_ci.adapters.componentize.limits import (
    FROZEN_CALLS,
    FROZEN_MODULES,
    UNSUPPORTED_NAMES,
    unsupported,
)
from mvm_ci.adapters.componentize.scope import Scan, scan
from mvm_ci.domain.errors import BadInput

RESERVED: Final = ("componentize_py", "mvm_ci", "wit_world", "poll_loop")
"""Beginnings of module names that the guest's runtime uses itself."""
_SDK: Final = "mvm_ci"
"""The one of them that a job may import."""
_EVENT_LOOP: Final = "asyncio"
"""What ``async`` functions need, also if the job does not import it."""


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """What a build needs to know. ``places``: where a module is imported first, as ``file:line``."""

    text: str
    modules: tuple[str, ...]
    optional: tuple[str, ...]
    files: dict[str, Path]
    places: dict[str, str]
    warnings: tuple[str, ...]


def analyse(source: Path) -> Analysis:
    """Reads ``source`` and the modules beside it that it imports.

    Raises ``BadInput``, naming file and line, for anything that could not work in a guest.
    """
    text, scanned = _read(source)
    _check_entry(scanned, source)
    root = source.parent
    found = _Found(source)
    waiting = deque([(scanned, source, "")])
    while waiting:
        scanned, path, package = waiting.popleft()
        _check_names(scanned, path)
        if scanned.awaits:
            found.modules.add(_EVENT_LOOP)
        found.warnings += _frozen(scanned, path)
        for name, path_of_name in _local_modules(scanned, path, package, root, found):
            found.files[name] = path_of_name
            inner = name if path_of_name.name == "__init__.py" else name.rpartition(".")[0]
            waiting.append((_read(path_of_name)[1], path_of_name, inner))
    return Analysis(
        text=text,
        modules=tuple(sorted(found.modules)),
        optional=tuple(sorted(found.optional - found.modules)),
        files=found.files,
        places=found.places,
        warnings=tuple(found.warnings),
    )


class _Found:
    def __init__(self, source: Path) -> None:
        self.source = source
        self.modules: set[str] = set()
        self.optional: set[str] = set()
        self.files: dict[str, Path] = {}
        self.places: dict[str, str] = {}
        self.warnings: list[str] = []


def _read(path: Path) -> tuple[str, Scan]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    try:
        tree = ast.parse(data, str(path))
        text = data.decode("utf-8-sig")
    except SyntaxError as error:
        raise BadInput(f"{path}:{error.lineno or 1}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not Python source in UTF-8: {error}") from None
    return text, scan(tree)


def _check_entry(scanned: Scan, source: Path) -> None:
    entry = scanned.entry
    if entry is None:
        if "run" not in scanned.bound:
            raise BadInput(f"{source}: there is no function run; a job defines run(input)")
        return
    given = entry.args
    positional = [*given.posonlyargs, *given.args]
    required = len(positional) - len(given.defaults)
    missing = [
        name.arg for name, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value is None
    ]
    if required > 1 or missing or not (positional or given.vararg):
        raise BadInput(f"{source}:{entry.lineno}: run must take exactly one argument: def run(input)")


def _check_names(scanned: Scan, path: Path) -> None:
    for name, line in scanned.names:
        reason = UNSUPPORTED_NAMES.get(name)
        if reason is not None:
            raise BadInput(f"{path}:{line}: {name} cannot work in a guest: {reason}")


def _frozen(scanned: Scan, path: Path) -> list[str]:
    return [
        f"{path}:{line}: {name}() is called while the guest is built: every run sees the same value"
        for name, line in scanned.module_calls
        if name in FROZEN_CALLS or name.startswith(FROZEN_MODULES)
    ]


def _local_modules(
    scanned: Scan, path: Path, package: str, root: Path, found: _Found
) -> list[tuple[str, Path]]:
    """The modules of the job itself that ``path`` imports and that are new; the others are noted in
    ``found``.
    """
    fresh: list[tuple[str, Path]] = []
    for imported in scanned.imports:
        name = imported.absolute(package)
        where = f"{path}:{imported.line}"
        top = name.partition(".")[0]
        if not top:
            raise BadInput(f"{where}: a relative import outside of a package")
        if _file_of(root, top) is not None or (root / top).is_dir():
            _check_local(root, top, where)
            candidates = [".".join(name.split(".")[: n + 1]) for n in range(name.count(".") + 1)]
            candidates += [f"{name}.{part}" for part in imported.parts]
            for candidate in candidates:
                file = _file_of(root, candidate)
                if file is not None and candidate not in found.files and file != found.source:
                    found.files[candidate] = file
                    fresh.append((candidate, file))
        else:
            _note(name, imported.parts, where, guarded=imported.guarded, found=found)
    return fresh


def _note(name: str, parts: tuple[str, ...], where: str, *, guarded: bool, found: _Found) -> None:
    """Notes a module of the standard library; a guarded import may fail, as its author expects."""
    for full in (name, *(f"{name}.{part}" for part in parts)):
        refused = unsupported(full)
        if refused is not None and not guarded:
            raise BadInput(f"{where}: the module {refused[0]} cannot work in a guest: {refused[1]}")
        if refused is not None:
            return
    top = name.partition(".")[0]
    if top not in sys.stdlib_module_names and top != _SDK:
        if guarded:
            return
        raise BadInput(
            f"{where}: there is no module {name} in a guest: "
            "it is neither beside the job nor in the standard library"
        )
    (found.optional if guarded else found.modules).add(name)
    found.optional.update(f"{name}.{part}" for part in parts)
    found.places.setdefault(name, where)


def _check_local(root: Path, top: str, where: str) -> None:
    if top in sys.stdlib_module_names or top.startswith(RESERVED):
        raise BadInput(f"{where}: {root / top} hides a module that the guest itself needs; rename it")


def _file_of(root: Path, name: str) -> Path | None:
    base = root.joinpath(*name.split("."))
    for candidate in (base / "__init__.py", base.with_name(base.name + ".py")):
        if candidate.is_file():
            return candidate
    return None
