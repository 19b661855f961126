"""The modules that a guest will have: the job's own and those of its packages."""

import ast
import warnings
from pathlib import Path

import msgspec

from mvm_ci.adapters.componentize.limits import frozen_value
from mvm_ci.adapters.componentize.packages import Packages
from mvm_ci.adapters.componentize.project import file_of
from mvm_ci.adapters.componentize.scope import Scan, scan
from mvm_ci.domain.errors import BadInput


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """One module, read. ``title``: its file, for messages; ``package``: what its relative imports start from;
    ``owner``: the package that brings it, None for the job's own.
    """

    name: str
    title: str
    package: str
    scanned: Scan
    owner: str | None = None


def read_own(name: str, file: Path) -> Module:
    """A module of the job. Raises ``BadInput`` with file and line."""
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{file}: no such file") from None
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from None
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    return Module(name=name, title=str(file), package=package, scanned=_scan(data, str(file)))


def read_packaged(packages: Packages, name: str) -> Module | None:
    """A module of a package. What cannot be read, perhaps because the Python that builds is older than the
    guest's, is taken to import nothing.
    """
    base = name.replace(".", "/")
    for path in (f"{base}/__init__.py", f"{base}.py"):
        if path in packages.files:
            package = name if path.endswith("/__init__.py") else name.rpartition(".")[0]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what its author wrote
                try:
                    scanned = _scan(packages.files[path], path)
                except BadInput:
                    scanned = Scan()
            owner = str(packages.owners[path])
            return Module(name=name, title=path, package=package, scanned=scanned, owner=owner)
    return None


def candidates(name: str, parts: tuple[str, ...]) -> list[str]:
    """The modules that importing ``name``, and ``parts`` from it, may concern: those above it first."""
    above = name.split(".")
    return [
        *(".".join(above[: length + 1]) for length in range(len(above))),
        *(f"{name}.{part}" for part in parts),
    ]


def frozen_lines(module: Module) -> list[str]:
    """What is computed when ``module`` is imported, though every run should compute it: a line for each."""
    owner = f" ({module.owner})" if module.owner is not None else ""
    found = ((frozen_value(name), line) for name, line in module.scanned.module_calls)
    return [f"{module.title}:{line}{owner}: {reason}" for reason, line in found if reason is not None]


def own_files(root: Path, name: str, parts: tuple[str, ...]) -> list[tuple[str, Path]]:
    """Those of them that are the job's own."""
    found = ((candidate, file_of(root, candidate)) for candidate in candidates(name, parts))
    return [(candidate, file) for candidate, file in found if file is not None]


def _scan(data: bytes, title: str) -> Scan:
    try:
        return scan(ast.parse(data, title))
    except SyntaxError as error:
        raise BadInput(f"{title}:{error.lineno or 1}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{title}: not Python source in UTF-8: {error}") from None
