"""Which modules each namespace holds, and what it calls them. Their bytes are in the blob store.

Nothing here is of more than one namespace: two that hold the same bytes know nothing of each other.
All writes are durable on return and safe to repeat. Errors of the store itself are ``Unavailable``.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from mvm_ci.domain.ids import Digest
from mvm_ci.domain.module_names import Reference


class ModuleInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A module as a namespace holds it; its bytes are in the blob store under ``digest``."""

    digest: Digest
    name: str
    """What it was called when it was pushed; need not be unique."""
    kind: str
    """``core`` or ``component``."""
    size: int
    created_ms: int
    """When the namespace got it."""
    allow_hosts: tuple[str, ...] = ()
    """What its manifest asks for; a job that names none gets these."""
    secrets: tuple[str, ...] = ()
    """Likewise."""


class ModuleVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What a name and a version stand for. ``number``: given by the store; later versions of a name have
    higher ones.
    """

    name: str
    version: str
    digest: Digest
    created_ms: int
    number: int = 0


class Holding(NamedTuple):
    """A module in a namespace."""

    namespace: str
    digest: Digest


class Catalogue(Protocol):
    """See the module's docstring."""

    async def put_module(self, namespace: str, module: ModuleInfo) -> None:
        """Enters a module (by digest); one that the namespace holds already is left as it is."""
        ...

    async def modules(self, namespace: str, digests: Sequence[Digest] = ()) -> list[ModuleInfo]:
        """A namespace's modules, newest first: those named, or all."""
        ...

    async def modules_with_prefix(self, namespace: str, prefix: str, limit: int = 2) -> list[ModuleInfo]:
        """Up to ``limit`` modules whose digest starts with ``prefix`` (lower-case hex), by digest."""
        ...

    async def module_bytes(self, namespace: str) -> int:
        """The size of all modules that a namespace holds."""
        ...

    async def held_digests(self) -> set[Digest]:
        """The modules of all namespaces."""
        ...

    async def nameless(self, before_ms: int) -> set[Holding]:
        """What the namespaces have held since before ``before_ms`` and no version stands for."""
        ...

    async def remove_modules(self, holdings: Iterable[Holding]) -> int:
        """Takes modules out of namespaces, but none that a version stands for; how many went."""
        ...

    async def remove_namespace_modules(self, namespace: str) -> None:
        """Takes all modules and versions out of a namespace."""
        ...

    async def publish(self, namespace: str, version: ModuleVersion) -> ModuleVersion | None:
        """Enters a version of a name as the newest; one that is there is left as it is.

        Returns what is there then. None: the namespace does not hold the module.
        """
        ...

    async def unpublish(self, namespace: str, name: str, version: str) -> ModuleVersion | None:
        """Removes a version, and returns it; None if there is none. The module stays."""
        ...

    async def published(
        self, namespace: str, references: Iterable[Reference]
    ) -> Mapping[Reference, ModuleVersion]:
        """What these stand for, of those that there are."""
        ...

    async def names(self, namespace: str, after: str = "", limit: int = 100) -> list[ModuleVersion]:
        """The newest version of each of up to ``limit`` names that come after ``after``, by name."""
        ...

    async def versions(
        self, namespace: str, name: str, before: int | None = None, limit: int = 100
    ) -> list[ModuleVersion]:
        """Up to ``limit`` versions of a name, newest first; ``before``: those with lower numbers."""
        ...
