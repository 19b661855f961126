"""Namespaces: made, limited, removed; and which there are, without asking the store."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from msgspec.structs import replace

from mvm_ci.domain.errors import BadInput, Conflict, NotFound
from mvm_ci.domain.namespace import DEFAULT_NAMESPACE, check_namespace
from mvm_ci.domain.quota import Quota
from mvm_ci.ports.access import Access, Namespace
from mvm_ci.ports.clock import Clock

MAX_NAMESPACES: Final = 10_000
_NO_LIMITS: Final = Quota()

QuotaListener: TypeAlias = Callable[[Mapping[str, Quota]], None]
"""Told the quotas of all namespaces that have one; neither waits nor raises."""
Occupied: TypeAlias = Callable[[str], Awaitable[bool]]
"""Whether a namespace still holds jobs or anything else that would be lost with it."""
Empty: TypeAlias = Callable[[str], Awaitable[None]]
"""Takes out of a namespace what goes with it."""


class Namespaces:
    """All of them, as the store has them: whoever changes one goes through here. ``load`` comes first."""

    def __init__(self, access: Access, clock: Clock, occupied: Occupied, empty: Empty) -> None:
        self._access = access
        self._clock = clock
        self._occupied = occupied
        self._empty = empty
        self._known: dict[str, Namespace] = {}
        self.quotas: dict[str, Quota] = {}
        """Of those that have limits; kept up to date."""
        self._listeners: list[QuotaListener] = []

    def listen(self, listener: QuotaListener) -> None:
        """It is told after ``load`` and after every change of a quota."""
        self._listeners.append(listener)

    async def load(self) -> None:
        """Reads them. Raises ``Unavailable``."""
        for namespace in await self._access.namespaces():
            self._enter(namespace)
        self._tell()

    def all(self) -> list[Namespace]:
        """All, by name."""
        return [self._known[name] for name in sorted(self._known)]

    def find(self, name: str) -> Namespace:
        """One of them. Raises ``NotFound``."""
        namespace = self._known.get(name)
        if namespace is None:
            raise NotFound(f"there is no namespace {name[:80]!r}")
        return namespace

    async def create(self, name: str, quota: Quota) -> Namespace:
        """A new one. Raises ``BadInput`` for its name, ``Conflict`` if there is one of that name."""
        if len(self._known) >= MAX_NAMESPACES:
            raise Conflict(f"there are {MAX_NAMESPACES} namespaces, as many as there can be")
        namespace = Namespace(name=check_namespace(name), created_ms=self._clock.now_ms(), quota=quota)
        if not await self._access.put_namespace(namespace):
            raise Conflict(f"there is a namespace {name!r} already")
        self._enter(namespace)
        self._tell()
        return namespace

    async def set_quota(self, name: str, quota: Quota) -> Namespace:
        """Changes its limits; what it holds already stays. Raises ``NotFound``."""
        self.find(name)
        if not await self._access.set_quota(name, quota):
            raise NotFound(f"there is no namespace {name!r} any more")
        changed = replace(self.find(name), quota=quota)
        self._enter(changed)
        self._tell()
        return changed

    async def delete(self, name: str) -> Namespace:
        """Removes one without jobs and schedules, with its modules, and revokes its tokens.

        Raises ``NotFound``, ``Conflict``, ``BadInput``.
        """
        if name == DEFAULT_NAMESPACE:
            raise BadInput(f"the namespace {DEFAULT_NAMESPACE!r} cannot be deleted")
        namespace = self.find(name)
        # No request enters it any more, so nothing new gets in between looking and deleting.
        del self._known[name]
        try:
            await self._check_empty(name)
            await self._empty(name)
            await self._access.delete_namespace(name, self._clock.now_ms())
        except BaseException:
            self._known.setdefault(name, namespace)
            raise
        self.quotas.pop(name, None)
        self._tell()
        return namespace

    def _enter(self, namespace: Namespace) -> None:
        self._known[namespace.name] = namespace
        if namespace.quota == _NO_LIMITS:
            self.quotas.pop(namespace.name, None)
        else:
            self.quotas[namespace.name] = namespace.quota

    def _tell(self) -> None:
        for listener in self._listeners:
            listener(self.quotas)

    async def _check_empty(self, name: str) -> None:
        if await self._occupied(name):
            raise Conflict(f"the namespace {name!r} still holds jobs or schedules; delete them first")
