"""What a job reaches: the modules to have ready in the guest, its own files, what cannot work, what would
be frozen.
"""

from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from mvm_ci.adapters.componentize.guest_python import STDLIB
from mvm_ci.adapters.componentize.limits import UNSUPPORTED_NAMES, frozen_surroundings
from mvm_ci.adapters.componentize.modules import Module, frozen_lines, own_files, read_own
from mvm_ci.adapters.componentize.packages import Packages
from mvm_ci.adapters.componentize.project import RESERVED, Job
from mvm_ci.adapters.componentize.reach import PackagedReach
from mvm_ci.adapters.componentize.scope import Import, Scan

_SDK: Final = "mvm_ci"
"""The one reserved module that a job may import."""
_EVENT_LOOP: Final = "asyncio"
"""What ``async`` functions need, also if the job does not import it."""


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """What a build needs to know. ``modules`` must be there, ``optional`` may be missing; ``files`` are the
    job's own modules; ``places``: where a module is imported first, as ``file:line``. ``warnings`` and
    ``refusals``, what cannot work, are lines that begin with file and line.
    """

    modules: tuple[str, ...]
    optional: tuple[str, ...]
    files: dict[str, Path]
    places: dict[str, str]
    warnings: tuple[str, ...]
    refusals: tuple[str, ...]


def analyse(job: Job, packages: Packages) -> Analysis:
    """Reads the job, the modules beside it that it imports, and what these reach of ``packages``.

    Raises ``BadInput`` for files of the job that cannot be read.
    """
    reach = _Reach(job, packages)
    reach.walk()
    packaged = reach.packaged
    return Analysis(
        modules=tuple(sorted(reach.modules)),
        optional=tuple(sorted((reach.optional | packaged.optional) - reach.modules)),
        files=reach.files,
        places=reach.places,
        warnings=tuple(dict.fromkeys([*reach.warnings, *packaged.warnings])),
        refusals=tuple(dict.fromkeys([*reach.refusals, *packaged.refusals])),
    )


class _Reach:
    """The state of the walk through the job's own modules."""

    def __init__(self, job: Job, packages: Packages) -> None:
        self.job = job
        self.packages = packages
        self.packaged = PackagedReach(packages)
        self.modules: set[str] = set()
        self.optional: set[str] = set()
        self.files: dict[str, Path] = {}
        self.places: dict[str, str] = {}
        self.warnings: list[str] = []
        self.refusals: list[str] = []
        self._waiting: deque[Module] = deque()

    def walk(self) -> None:
        """Goes through the job's own modules, then through those of packages."""
        first = read_own(self.job.module, self.job.file)
        self._check_entry(first.scanned)
        if self.job.module.partition(".")[0] in self.packages.tops:
            self.refusals.append(
                f"{self.job.file}: a module of one of its packages has the same name; rename it"
            )
        self._waiting.append(first)
        for name, file in own_files(self.job.root, self.job.module, ()) if "." in self.job.module else ():
            self._add_own(name, file)
        while self._waiting:
            module = self._waiting.popleft()
            self._look_at_own(module)
            if module.scanned.awaits:
                self.modules.add(_EVENT_LOOP)
        self.packaged.walk()

    def _check_entry(self, scanned: Scan) -> None:
        source, entry = self.job.file, scanned.entry
        if entry is None:
            if "run" not in scanned.bound:
                self.refusals.append(f"{source}: there is no function run; a job defines run(input)")
            return
        given = entry.args
        positional = [*given.posonlyargs, *given.args]
        required = len(positional) - len(given.defaults)
        missing = [
            name.arg for name, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value is None
        ]
        if required > 1 or missing or not (positional or given.vararg):
            self.refusals.append(
                f"{source}:{entry.lineno}: run must take exactly one argument: def run(input)"
            )

    def _look_at_own(self, module: Module) -> None:
        for name, line in module.scanned.names:
            if name in UNSUPPORTED_NAMES:
                self.refusals.append(
                    f"{module.title}:{line}: {name} cannot work in a guest: {UNSUPPORTED_NAMES[name]}"
                )
        self.warnings += frozen_lines(module)
        for name, line in module.scanned.module_names:
            reason = frozen_surroundings(name)
            if reason is not None:
                self.warnings.append(f"{module.title}:{line}: {reason}")
        for imported in module.scanned.imports:
            name = imported.absolute(module.package)
            where = f"{module.title}:{imported.line}"
            top = name.partition(".")[0]
            if not top:
                self.refusals.append(f"{where}: a relative import outside of a package")
            elif own_files(self.job.root, top, ()):
                self._reach_own(name, imported, where)
            elif top in self.packages.tops:
                self._import_package(name, imported, where)
            elif (self.job.root / top).is_dir():
                # As Python has it: a directory without __init__.py comes last.
                self._reach_own(name, imported, where)
            else:
                self._import_library(name, imported, where)

    def _reach_own(self, name: str, imported: Import, where: str) -> None:
        top = name.partition(".")[0]
        if top in STDLIB or top.startswith(RESERVED):
            self.refusals.append(
                f"{where}: {self.job.root / top} hides a module that the guest itself needs; rename it"
            )
            return
        if top in self.packages.tops:
            self.refusals.append(f"{where}: {self.job.root / top} hides a module of a package; rename it")
            return
        for candidate, file in own_files(self.job.root, name, imported.parts):
            self._add_own(candidate, file)

    def _add_own(self, name: str, file: Path) -> None:
        if name not in self.files and file != self.job.file:
            self.files[name] = file
            self._waiting.append(read_own(name, file))

    def _import_library(self, name: str, imported: Import, where: str) -> None:
        """Notes a module of the standard library; a guarded import may fail, as its author expects."""
        for full in (name, *(f"{name}.{part}" for part in imported.parts)):
            refused = self.packaged.unsupported(full)
            if refused is not None:
                if not imported.guarded:
                    self.refusals.append(
                        f"{where}: the module {refused[0]} cannot work in a guest: {refused[1]}"
                    )
                return
        if name.partition(".")[0] not in STDLIB and name != _SDK:
            if not imported.guarded:
                self.refusals.append(
                    f"{where}: there is no module {name} in a guest: it is neither beside the job nor in the "
                    "standard library, and no package of the job's dependencies brings it"
                )
            return
        (self.optional if imported.guarded else self.modules).add(name)
        self.optional.update(f"{name}.{part}" for part in imported.parts)
        self.places.setdefault(name, where)

    def _import_package(self, name: str, imported: Import, where: str) -> None:
        if not imported.guarded and not self.packaged.brings(name):
            self.refusals.append(f"{where}: there is no module {name} in the job's packages")
            return
        (self.optional if imported.guarded else self.modules).add(name)
        self.places.setdefault(name, where)
        self.packaged.begin(name, imported.parts, where, certain=not imported.guarded)
