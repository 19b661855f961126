"""What is to be built: a script with a PEP 723 block, or a directory with a ``pyproject.toml``."""

import keyword
import re
import tomllib
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from packaging.requirements import Requirement

from mvm_ci.adapters.componentize.guest_python import STDLIB
from mvm_ci.adapters.componentize.requirements import check_python, parse_requirements
from mvm_ci.adapters.componentize.script import read_header
from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.module import Manifest

PYTHON_ABI: Final = "mvm-ci:guest/job@1.0.0"
RESERVED: Final = ("componentize_py", "mvm_ci", "wit_world", "poll_loop")
"""Beginnings of module names that the guest's runtime uses itself."""
_PYPROJECT: Final = "pyproject.toml"
_LOCK: Final = "requirements.lock"
_Kind = TypeVar("_Kind")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job's source. ``root``: the directory of its own modules; ``module``: the name of the one with
    ``run``, ``file`` where that is. ``place``: where its requirements stand, for messages.
    """

    source: Path
    root: Path
    module: str
    file: Path
    manifest: Manifest
    requirements: tuple[Requirement, ...]
    place: str
    lock: Path


class _Table(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    name: str = ""
    allow_hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()


class _ProjectTable(_Table, frozen=True, rename="kebab", forbid_unknown_fields=True):
    entry: str = ""


class _Project(msgspec.Struct, frozen=True, rename="kebab"):
    name: str = ""
    dependencies: tuple[str, ...] = ()
    requires_python: str = ""
    dynamic: tuple[str, ...] = ()


def read_job(source: Path) -> Job:
    """What ``source`` says about itself. Raises ``BadInput`` with file and line."""
    return _directory(source) if source.is_dir() else _script(source)


def _script(source: Path) -> Job:
    header, line = read_header(_text(source), source)
    place = f"{source}:{line}"
    table = _convert(_own(header), _Table, f"{place}: [tool.mvm-ci]")
    project = _convert(header, _Project, place)
    check_python(project.requires_python, place)
    return Job(
        source=source,
        root=source.parent,
        module=_module_name(source),
        file=source,
        manifest=_manifest(table, source.stem),
        requirements=parse_requirements(project.dependencies, place),
        place=place,
        lock=source.with_name(f"{source.stem}.{_LOCK}"),
    )


def _directory(source: Path) -> Job:
    file = source / _PYPROJECT
    try:
        content = tomllib.loads(_text(file))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{file}: not TOML: {error}") from None
    place = str(file)
    table = _convert(_own(content), _ProjectTable, f"{place}: [tool.mvm-ci]")
    project = _convert(content.get("project", {}), _Project, f"{place}: [project]")
    if "dependencies" in project.dynamic:
        raise BadInput(f"{place}: [project]: dynamic dependencies cannot be read; list them")
    check_python(project.requires_python, place)
    if not table.entry:
        raise BadInput(
            f'{place}: there is no entry in [tool.mvm-ci]; name the module that has run: entry = "app.job"'
        )
    root, entry = _entry(source, table.entry, place)
    return Job(
        source=source,
        root=root,
        module=table.entry,
        file=entry,
        manifest=_manifest(table, project.name or source.resolve().name),
        requirements=parse_requirements(project.dependencies, place),
        place=place,
        lock=source / _LOCK,
    )


def _manifest(table: _Table, name: str) -> Manifest:
    return Manifest(
        name=table.name or name, abi=PYTHON_ABI, allow_hosts=table.allow_hosts, secrets=table.secrets
    )


def _entry(source: Path, entry: str, place: str) -> tuple[Path, Path]:
    """The directory of the project's modules, and the file of the module ``entry``."""
    parts = entry.split(".")
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise BadInput(f"{place}: [tool.mvm-ci]: entry {entry!r} is no name of a module, such as app.job")
    if parts[0] in STDLIB or parts[0].startswith(RESERVED):
        raise BadInput(f"{place}: [tool.mvm-ci]: {parts[0]} is a module of the guest itself; rename it")
    roots = (source, source / "src")
    for root in roots:
        file = file_of(root, entry)
        if file is not None:
            return root, file
    raise BadInput(f"{place}: [tool.mvm-ci]: there is no module {entry} in {roots[0]} or {roots[1]}")


def file_of(root: Path, name: str) -> Path | None:
    """The file of the module ``name`` below ``root``."""
    base = root.joinpath(*name.split("."))
    for candidate in (base / "__init__.py", base.with_name(base.name + ".py")):
        if candidate.is_file():
            return candidate
    return None


def _module_name(source: Path) -> str:
    """The name under which a script is imported: its file's, unless that cannot be a module's name or is
    taken.
    """
    name = re.sub(r"\W", "_", source.stem)
    if not name.isidentifier():
        name = f"job_{name}"
    if name.startswith(RESERVED):
        return f"job_{name}"
    return f"{name}_job" if keyword.iskeyword(name) or name in STDLIB else name


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except FileNotFoundError:
        raise BadInput(f"{file}: no such file") from None
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{file}: not text in UTF-8") from None


def _own(content: dict[str, Any]) -> object:
    tool = content.get("tool")
    return tool.get("mvm-ci", {}) if isinstance(tool, dict) else {}


def _convert(value: object, kind: type[_Kind], place: str) -> _Kind:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BadInput(f"{place}: {error}") from None
