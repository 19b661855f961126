"""What the packages of a job import, from where the job imports them."""

import re
from collections import deque
from typing import Final

from mvm_ci.adapters.componentize.guest_python import STDLIB
from mvm_ci.adapters.componentize.limits import ABSENT, NETWORK_NAMES, UNSUPPORTED_NAMES, unsupported
from mvm_ci.adapters.componentize.modules import Module, candidates, frozen_lines, read_packaged
from mvm_ci.adapters.componentize.packages import Packages
from mvm_ci.adapters.componentize.scope import Import

_IMPORTED: Final = re.compile(rb"(?m)^[ \t]*(?:import|from)[ \t]+([\w.]+)")
_ZONES: Final = "zoneinfo"
_ZONE_DATA: Final = "tzdata"


class PackagedReach:
    """``optional``: modules to import when the guest is built, of packages and of the standard library, if
    that is possible. ``warnings`` and ``refusals`` as of ``Analysis``.

    Packages are judged mildly: much of what they have is for others than this job. So they are refused only
    for what fails whenever they are imported.
    """

    def __init__(self, packages: Packages) -> None:
        self.optional: set[str] = set()
        self.warnings: list[str] = []
        self.refusals: list[str] = []
        self._packages = packages
        self._read: dict[str, Module | None] = {}
        self._certain: dict[str, bool] = {}
        self._waiting: deque[tuple[Module, str]] = deque()
        self._speaking: set[str] = set()

    def brings(self, name: str) -> bool:
        """Whether there is such a module, or a directory of modules."""
        directory = f"{name.replace('.', '/')}/"
        return self._module(name) is not None or any(
            path.startswith(directory) for path in self._packages.files
        )

    def unsupported(self, name: str) -> tuple[str, str] | None:
        """As of ``limits``; but there are time zones if a package brings their data."""
        has_zones = name.partition(".")[0] == _ZONES and _ZONE_DATA in self._packages.tops
        return None if has_zones else unsupported(name)

    def begin(self, name: str, parts: tuple[str, ...], via: str, *, certain: bool) -> None:
        """The module ``name`` is imported, and ``parts`` from it; ``via``: where in the job that began.
        ``certain``: whatever happens.
        """
        for candidate in candidates(name, parts):
            before = self._certain.get(candidate)
            module = self._module(candidate)
            if module is not None and (before is None or (certain and not before)):
                self._certain[candidate] = certain
                self.optional.add(candidate)
                self._waiting.append((module, via))

    def walk(self) -> None:
        """Follows all imports from there."""
        while self._waiting:
            self._look_at(*self._waiting.popleft())
        self._reach_library()
        if _ZONE_DATA in self._packages.tops:
            self.optional.add(_ZONE_DATA)  # it is found by its name when a zone is asked for

    def _module(self, name: str) -> Module | None:
        if name not in self._read:
            self._read[name] = read_packaged(self._packages, name)
        return self._read[name]

    def _look_at(self, module: Module, via: str) -> None:
        self.warnings += frozen_lines(module)
        self._warn_of_sockets(module, via)
        for imported in module.scanned.imports:
            name = imported.absolute(module.package)
            top = name.partition(".")[0]
            certain = self._certain[module.name] and imported.certain
            refused = self.unsupported(name)
            if top in self._packages.tops:
                self.begin(name, imported.parts, via, certain=certain)
                possible = not certain or self.brings(name)
            elif top in STDLIB:
                possible = refused is None or refused[0] not in ABSENT
                if refused is None:
                    self.optional.update(candidates(name, imported.parts))
            else:
                possible = False
            if certain and not possible:
                self._refuse(module, imported, name, via)

    def _refuse(self, module: Module, imported: Import, name: str, via: str) -> None:
        refused = self.unsupported(name)
        reason = "no package brings it" if refused is None else refused[1]
        what = f"{module.title}:{imported.line} imports {name}"
        self.refusals.append(f"{via}: {module.owner} cannot work in a guest: {what}: {reason}")

    def _warn_of_sockets(self, module: Module, via: str) -> None:
        """One warning for a package: a client of a network has many such lines."""
        for name, line in module.scanned.names:
            if name in NETWORK_NAMES and module.owner is not None and module.owner not in self._speaking:
                self._speaking.add(module.owner)
                self.warnings.append(
                    f"{via}: {module.owner} uses {name} ({module.title}:{line}): {UNSUPPORTED_NAMES[name]}"
                )

    def _reach_library(self) -> None:
        """What else the packages may need of the standard library, which is not there at run time: modules
        that nothing names, such as plug-ins, are imported then.
        """
        owners = {module.owner for module in self._read.values() if module is not None}
        for path, data in self._packages.files.items():
            if not path.endswith(".py") or str(self._packages.owners[path]) not in owners:
                continue
            named = {name.decode() for name in _IMPORTED.findall(data)} - self.optional
            if not any(name.partition(".")[0] in STDLIB for name in named):
                continue
            module = self._module(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
            if module is not None:
                self._note_library(module)

    def _note_library(self, module: Module) -> None:
        for imported in module.scanned.imports:
            name = imported.absolute(module.package)
            if name.partition(".")[0] in STDLIB and self.unsupported(name) is None:
                self.optional.update(candidates(name, imported.parts))
