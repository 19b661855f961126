"""The modules of namespaces in memory."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from mvm_ci.domain.ids import Digest
from mvm_ci.domain.module_names import Reference
from mvm_ci.ports.catalogue import Holding, ModuleInfo, ModuleVersion


class MemoryCatalogue:
    """A ``Catalogue``."""

    def __init__(self) -> None:
        self._modules: dict[Holding, ModuleInfo] = {}
        self._versions: dict[tuple[str, str], list[ModuleVersion]] = {}
        """By namespace and name, oldest first; no list is empty."""

    async def put_module(self, namespace: str, module: ModuleInfo) -> None:
        self._modules.setdefault(Holding(namespace, module.digest), module)

    async def modules(self, namespace: str, digests: Sequence[Digest] = ()) -> list[ModuleInfo]:
        asked = [m for m in self._of(namespace) if not digests or m.digest in digests]
        return sorted(asked, key=lambda module: (-module.created_ms, module.digest))

    async def modules_with_prefix(self, namespace: str, prefix: str, limit: int = 2) -> list[ModuleInfo]:
        matching = [module for module in self._of(namespace) if module.digest.startswith(prefix)]
        return sorted(matching, key=lambda module: module.digest)[:limit]

    async def module_bytes(self, namespace: str) -> int:
        return sum(module.size for module in self._of(namespace))

    async def held_digests(self) -> set[Digest]:
        return {holding.digest for holding in self._modules}

    async def nameless(self, before_ms: int) -> set[Holding]:
        named = self._named()
        return {
            one for one, info in self._modules.items() if info.created_ms < before_ms and one not in named
        }

    async def remove_modules(self, holdings: Iterable[Holding]) -> int:
        going = set(holdings) - self._named()
        return sum(self._modules.pop(holding, None) is not None for holding in going)

    async def remove_namespace_modules(self, namespace: str) -> None:
        self._modules = {one: info for one, info in self._modules.items() if one.namespace != namespace}
        self._versions = {key: found for key, found in self._versions.items() if key[0] != namespace}

    async def publish(self, namespace: str, version: ModuleVersion) -> ModuleVersion | None:
        there = self._find(namespace, Reference(version.name, version.version))
        if there is not None or Holding(namespace, version.digest) not in self._modules:
            return there
        earlier = self._versions.setdefault((namespace, version.name), [])
        new = replace(version, number=1 + (earlier[-1].number if earlier else 0))
        earlier.append(new)
        return new

    async def unpublish(self, namespace: str, name: str, version: str) -> ModuleVersion | None:
        found = self._find(namespace, Reference(name, version))
        if found is not None:
            left = [one for one in self._versions.pop((namespace, name)) if one != found]
            if left:
                self._versions[namespace, name] = left
        return found

    async def published(
        self, namespace: str, references: Iterable[Reference]
    ) -> Mapping[Reference, ModuleVersion]:
        found = {reference: self._find(namespace, reference) for reference in references}
        return {reference: version for reference, version in found.items() if version is not None}

    async def names(self, namespace: str, after: str = "", limit: int = 100) -> list[ModuleVersion]:
        known = sorted(name for space, name in self._versions if space == namespace and name > after)
        return [self._versions[namespace, name][-1] for name in known[:limit]]

    async def versions(
        self, namespace: str, name: str, before: int | None = None, limit: int = 100
    ) -> list[ModuleVersion]:
        newest = reversed(self._versions.get((namespace, name), []))
        return [one for one in newest if before is None or one.number < before][:limit]

    def _of(self, namespace: str) -> list[ModuleInfo]:
        return [info for holding, info in self._modules.items() if holding.namespace == namespace]

    def _named(self) -> set[Holding]:
        return {Holding(key[0], one.digest) for key, found in self._versions.items() for one in found}

    def _find(self, namespace: str, reference: Reference) -> ModuleVersion | None:
        found = self._versions.get((namespace, reference.name), [])
        if reference.version is None:
            return found[-1] if found else None
        return next((one for one in found if one.version == reference.version), None)
