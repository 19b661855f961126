"""Secrets of namespaces, in versions. What is stored of a value is sealed: the store cannot read it.

A secret is there as long as it has a version; the newest counts. An earlier one is kept as long as a job may
go on that may have been told it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from mvm_ci.domain.errors import MvmCiError

KEY_BYTES: Final = 32
"""Of a key that seals."""


class SecretInfo(msgspec.Struct, frozen=True, kw_only=True):
    """All of a secret but its values."""

    name: str
    version: int
    """The newest; the first is 1."""
    modules: tuple[str, ...]
    """Whose jobs may read it; see ``domain.secrets.allows``."""
    changed_ms: int
    """When the newest version came."""
    versions: int = 1
    """How many are kept."""


class Sealed(NamedTuple):
    """A version of a secret as it is stored."""

    namespace: str
    name: str
    version: int
    data: bytes


class SecretStore(Protocol):
    """See the module's docstring. All writes are durable on return, and safe to repeat. Errors of the store
    itself are ``Unavailable``.
    """

    async def add_version(self, new: Sealed, modules: Sequence[str] | None, now_ms: int) -> bool:
        """Enters a version as the newest; ``modules`` None: as they are (of a new secret: none).

        False, and nothing changed, if the newest is not the one before ``new``.
        """
        ...

    async def allow(self, namespace: str, name: str, modules: Sequence[str]) -> bool:
        """Changes whose jobs may read a secret; False if there is none."""
        ...

    async def secrets(self, namespace: str, names: Iterable[str] | None = None) -> list[SecretInfo]:
        """A namespace's secrets, by name: of those named, or all."""
        ...

    async def sealed(self, namespace: str, wanted: Mapping[str, int | None]) -> list[Sealed]:
        """The versions named, of those that there are; None: the newest."""
        ...

    async def remove(self, namespace: str, name: str) -> bool:
        """Removes a secret with all its versions; False, and nothing changed, if there is none, or if a job
        names it that may go on.
        """
        ...

    async def remove_namespace(self, namespace: str) -> None:
        """Removes all secrets of a namespace."""
        ...

    async def prune(self) -> int:
        """Removes the versions that no job needs any more; how many."""
        ...

    async def page(self, after: Sealed | None, limit: int) -> list[Sealed]:
        """Up to ``limit`` versions of all namespaces that come after ``after``, in order."""
        ...

    async def reseal(self, versions: Sequence[Sealed]) -> None:
        """Stores the same versions sealed anew; those that are not there any more are left out."""
        ...

    async def discard(self, versions: Sequence[Sealed]) -> None:
        """Removes these versions, whoever needs them."""
        ...


class NotOurs(MvmCiError):
    """Bytes that are not sealed by a known key, or were changed, or are of another secret or version."""

    code = "not-ours"


class Sealer(Protocol):
    """Encrypts values. ``bound``: what they are of; they can be opened with the same only."""

    def seal(self, plain: bytes, bound: bytes) -> bytes:
        """``plain``, sealed by the key in use."""
        ...

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """What was sealed, by any of the keys. Raises ``NotOurs``."""
        ...

    def key_of(self, sealed: bytes) -> str:
        """The id of the key that sealed it."""
        ...

    @property
    def key(self) -> str:
        """The id of the key in use."""
        ...

    def knows(self, key: str) -> bool:
        """Whether it has the key."""
        ...
