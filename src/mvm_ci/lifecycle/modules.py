"""Modules: what may run. They never change, so this process remembers those it has seen and not removed."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final

from mvm_ci.domain.errors import BadInput, BadModule
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.module import Manifest, inspect
from mvm_ci.domain.network import check_patterns
from mvm_ci.ports.blob_store import BlobStore
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.registry import ModuleInfo, Registry

MAX_NAME: Final = 200
MAX_HOSTS: Final = 100
_REMEMBERED: Final = 10_000


class Modules:
    """The catalogue."""

    def __init__(self, registry: Registry, blobs: BlobStore, clock: Clock) -> None:
        self._registry = registry
        self._blobs = blobs
        self._clock = clock
        self._seen: dict[Digest, ModuleInfo] = {}
        self._adding: Counter[Digest] = Counter()
        self._removals = 0

    async def find(self, digests: Iterable[Digest]) -> dict[Digest, ModuleInfo]:
        """Those that there are."""
        wanted = set(digests)
        missing = [digest for digest in wanted if digest not in self._seen]
        if missing:
            if len(self._seen) > _REMEMBERED:
                self._seen.clear()
            removals = self._removals
            found = {info.digest: info for info in await self._registry.modules(missing)}
            if removals == self._removals:  # else this may be what was there before
                self._seen.update(found)
            return {digest: info for digest, info in (self._seen | found).items() if digest in wanted}
        return {digest: self._seen[digest] for digest in wanted if digest in self._seen}

    async def add(self, data: bytes, name: str = "") -> ModuleInfo:
        """Checks and stores a module. ``name``: instead of the manifest's. Raises ``BadModule``;
        ``BadInput`` for the name.

        One that is there already is answered as it was first stored.
        """
        check_name(name, "name")
        # Linear in the size, but 64 MiB of it in Python: off the event loop.
        outside = await asyncio.to_thread(inspect, data)
        manifest = outside.manifest or Manifest()
        try:
            check_hosts(manifest.allow_hosts, "allow-hosts")
            check_name(manifest.name, "name")
        except BadInput as error:
            raise BadModule(f"the module's manifest: {error}") from error
        ref = await self._blobs.put(data)
        info = ModuleInfo(
            digest=ref.digest,
            name=name or manifest.name,
            kind=outside.kind,
            size=len(data),
            created_ms=self._clock.now_ms(),
            allow_hosts=manifest.allow_hosts,
        )
        self._adding[ref.digest] += 1
        try:
            await self._registry.put_module(info)
            return (await self.find([ref.digest])).get(ref.digest, info)
        finally:
            self._adding -= Counter([ref.digest])

    async def remove(self, digests: Collection[Digest]) -> int:
        """Takes modules out of the catalogue, but not those that are just being added; how many were there.

        Their bytes are kept like any that were just put: a job that was checked already will have its module.
        Raises ``Unavailable``.
        """
        for digest in digests:
            await self._blobs.has(digest)
        gone = [digest for digest in digests if digest not in self._adding]
        try:
            return await self._registry.remove_modules(gone)
        finally:
            self._removals += 1
            for digest in gone:
                self._seen.pop(digest, None)


def check_name(name: str, where: str) -> None:
    """Raises ``BadInput``, saying where, for a name that is too long or cannot be shown."""
    if len(name) > MAX_NAME or not name.isprintable():
        raise BadInput(f"{where}: at most {MAX_NAME} printable characters")


def check_hosts(hosts: tuple[str, ...], where: str) -> None:
    """Raises ``BadInput``, saying where, for what is no list of host patterns."""
    if len(hosts) > MAX_HOSTS:
        raise BadInput(f"{where}: {len(hosts)} host patterns; at most {MAX_HOSTS} are allowed")
    try:
        check_patterns(hosts)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error
