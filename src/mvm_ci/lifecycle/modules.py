"""Modules: what may run, by namespace. They never change, and this process alone writes which namespace holds
which and what they are called: so it remembers what it has seen until it changes something.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from mvm_ci.domain import module_names
from mvm_ci.domain.errors import BadInput, BadModule, Conflict, NotFound, VersionTaken
from mvm_ci.domain.ids import Digest, is_digest
from mvm_ci.domain.module import Manifest, inspect
from mvm_ci.domain.module import ModuleInfo as Inside
from mvm_ci.domain.module_names import Reference, parse_reference
from mvm_ci.domain.network import check_patterns
from mvm_ci.domain.secrets import check_names
from mvm_ci.ports.blob_store import BlobStore
from mvm_ci.ports.catalogue import Catalogue, Holding, ModuleInfo, ModuleVersion
from mvm_ci.ports.clock import Clock

MAX_NAME: Final = 200
MAX_HOSTS: Final = 100
_REMEMBERED: Final = 10_000

Admit: TypeAlias = Callable[[str, int], Awaitable[None]]
"""Lets a namespace store so many bytes more, or raises what says why not."""


class Modules:
    """The catalogue."""

    def __init__(self, catalogue: Catalogue, blobs: BlobStore, clock: Clock, admit: Admit) -> None:
        self._catalogue = catalogue
        self._blobs = blobs
        self._clock = clock
        self._admit = admit
        self._seen: dict[tuple[str, str], ModuleInfo] = {}
        """By namespace and what it was asked for by."""
        self._adding: Counter[Holding] = Counter()
        self._changes = 0

    async def find(self, namespace: str, asked: Iterable[str]) -> dict[str, ModuleInfo]:
        """Those of a namespace's modules that there are, each by what it was asked for by: its digest, a name
        (of which the newest version counts), or ``name@version``.
        """
        found: dict[str, ModuleInfo] = {}
        missing: list[str] = []
        for text in asked:
            known = self._seen.get((namespace, text))
            if known is None:
                missing.append(text)
            else:
                found[text] = known
        return found | await self._look_up(namespace, missing) if missing else found

    async def add(self, namespace: str, data: bytes, name: str = "") -> ModuleInfo:
        """Checks and stores a module. ``name``: instead of the manifest's. Raises ``BadModule``; ``BadInput``
        for the name; what ``admit`` does.

        One that the namespace holds already is answered as it was first stored there.
        """
        check_name(name, "name")
        # Linear in the size, but 64 MiB of it, the first in Python: off the event loop.
        inside, digest = await asyncio.to_thread(_look_into, data)
        manifest = inside.manifest or Manifest()
        try:
            check_hosts(manifest.allow_hosts, "allow-hosts")
            check_names(manifest.secrets, "secrets")
            check_name(manifest.name, "name")
        except BadInput as error:
            raise BadModule(f"the module's manifest: {error}") from error
        if not await self.find(namespace, [digest]):
            await self._admit(namespace, len(data))
        await self._blobs.put(data)
        info = ModuleInfo(
            digest=digest,
            name=name or manifest.name,
            kind=inside.kind,
            size=len(data),
            created_ms=self._clock.now_ms(),
            allow_hosts=manifest.allow_hosts,
            secrets=manifest.secrets,
        )
        holding = Holding(namespace, digest)
        self._adding[holding] += 1
        try:
            await self._catalogue.put_module(namespace, info)
            return (await self.find(namespace, [digest])).get(digest, info)
        finally:
            self._adding -= Counter([holding])

    async def remove(self, holdings: Collection[Holding]) -> int:
        """Takes modules out of namespaces, but not those that are just being added or that a version stands
        for; how many went.

        Their bytes are kept like any that were just put: a job that was checked already will have its module.
        Raises ``Unavailable``.
        """
        for digest in {holding.digest for holding in holdings}:
            await self._blobs.has(digest)
        with self._changing():
            return await self._catalogue.remove_modules(
                [holding for holding in holdings if holding not in self._adding]
            )

    async def delete(self, namespace: str, digest: Digest) -> ModuleInfo:
        """Takes a module out of a namespace; jobs of it go on. Raises ``NotFound``; ``Conflict`` while a
        version stands for it; ``Unavailable``.
        """
        info = (await self.find(namespace, [digest])).get(digest)
        if info is None:
            raise NotFound(f"there is no module {digest[:80]!r}")
        if not await self.remove([Holding(namespace, digest)]):
            raise Conflict(f"a version stands for the module {digest}, or it is just being pushed")
        return info

    async def empty(self, namespace: str) -> None:
        """Takes all modules and names out of a namespace. Raises ``Unavailable``."""
        with self._changing():
            await self._catalogue.remove_namespace_modules(namespace)

    # ------------------------------------------------------------ names and versions
    async def publish(self, namespace: str, name: str, version: str, digest: str) -> ModuleVersion:
        """Makes a version of a name stand for a module; a repetition changes nothing.

        Raises ``BadInput``; ``NotFound`` if the namespace does not hold the module; ``VersionTaken``.
        """
        new = ModuleVersion(
            name=module_names.check_name(name),
            version=module_names.check_version(version),
            digest=Digest(digest),
            created_ms=self._clock.now_ms(),
        )
        with self._changing():
            there = await self._catalogue.publish(namespace, new)
        if there is None:
            raise NotFound(f"digest: there is no module {digest[:80]!r}; upload it first")
        if there.digest != new.digest:
            raise VersionTaken(
                f"{name}@{version} stands for the module {there.digest}, for good; publish another version"
            )
        return there

    async def unpublish(self, namespace: str, name: str, version: str) -> ModuleVersion:
        """Removes a version of a name; the module stays. Raises ``NotFound``."""
        with self._changing():
            removed = await self._catalogue.unpublish(namespace, name, version)
        return _known(removed, f"{name}@{version}")

    async def version(self, namespace: str, name: str, version: str | None = None) -> ModuleVersion:
        """A version of a name; None: the newest. Raises ``NotFound``."""
        asked = Reference(name, version)
        found = await self._catalogue.published(namespace, [asked])
        return _known(found.get(asked), name if version is None else f"{name}@{version}")

    async def names(self, namespace: str, after: str, limit: int) -> Sequence[ModuleVersion]:
        """The newest version of each name, by name."""
        return await self._catalogue.names(namespace, after, limit)

    async def versions(
        self, namespace: str, name: str, before: int | None, limit: int
    ) -> Sequence[ModuleVersion]:
        """The versions of a name, newest first. Raises ``NotFound`` if there is none at all."""
        found = await self._catalogue.versions(namespace, name, before, limit)
        if not found and before is None:
            _known(None, name)
        return found

    # ------------------------------------------------------------ what is remembered
    async def _look_up(self, namespace: str, asked: Sequence[str]) -> dict[str, ModuleInfo]:
        changes = self._changes
        references = {text: reference for text in asked if (reference := parse_reference(text)) is not None}
        digests = {text: Digest(text) for text in asked if is_digest(text)}
        if references:
            versions = await self._catalogue.published(namespace, references.values())
            for text, reference in references.items():
                if reference in versions:
                    digests[text] = versions[reference].digest
        if not digests:
            return {}
        infos = {
            info.digest: info
            for info in await self._catalogue.modules(namespace, sorted(set(digests.values())))
        }
        found = {text: infos[digest] for text, digest in digests.items() if digest in infos}
        if changes == self._changes:  # else this may be what was there before
            if len(self._seen) > _REMEMBERED:
                self._seen.clear()
            self._seen.update(((namespace, text), info) for text, info in found.items())
        return found

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Around a write after which something remembered may be wrong."""
        try:
            yield
        finally:
            self._changes += 1
            self._seen.clear()


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


def _look_into(data: bytes) -> tuple[Inside, Digest]:
    return inspect(data), Digest(hashlib.sha256(data).hexdigest())


def _known(version: ModuleVersion | None, what: str) -> ModuleVersion:
    if version is None:
        raise NotFound(f"there is no module {what[:80]!r}")
    return version
