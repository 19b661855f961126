"""Secrets: set by operators, sealed as long as they are stored, opened for the placements of jobs alone."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
import structlog

from mvm_ci.domain import secrets as rules
from mvm_ci.domain.errors import Conflict, CorruptJournal, Misconfigured, NotFound, Refused
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import decode_data
from mvm_ci.journal.entries import SecretRead
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.secrets import NotOurs, Sealed, Sealer, SecretInfo, SecretStore

log = structlog.get_logger(__name__)

DIGEST_KEY_BYTES: Final = 32
_PAGE: Final = 100
_encode: Final = msgspec.msgpack.Encoder().encode


class Wanted(NamedTuple):
    """A job that names secrets. ``where``: what an error is about; ``module``: how the job names it."""

    where: str
    module: str
    digest: Digest
    secrets: tuple[str, ...]


class Secrets:
    """All secrets of one control plane. ``random``: secure random bytes."""

    def __init__(
        self, store: SecretStore, sealer: Sealer, clock: Clock, random: Callable[[int], bytes]
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._random = random
        self._changing = asyncio.Lock()

    # ------------------------------------------------------------ for operators

    async def set(
        self, namespace: str, name: str, value: str, modules: Sequence[str] | None = None
    ) -> SecretInfo:
        """A new secret, or a new version of one. ``modules``: whose jobs may read it; None: as before, and
        of a new one nobody's.

        Raises ``BadInput``, which never tells the value; ``Conflict``; ``Unavailable``.
        """
        rules.check_name(name)
        allowed = None if modules is None else rules.check_modules(modules)
        rules.check_value(value)
        async with self._changing:
            known = await self._find(namespace, name)
            if known is None and len(await self._store.secrets(namespace)) >= rules.MAX_OF_NAMESPACE:
                raise Conflict(f"the namespace has {rules.MAX_OF_NAMESPACE} secrets, as many as it can have")
            return await self._add(namespace, name, value, allowed, 1 if known is None else known.version + 1)

    async def rotate(self, namespace: str, name: str, value: str) -> SecretInfo:
        """A new version of a secret that there is. Raises ``NotFound`` and what ``set`` does."""
        rules.check_value(value)
        async with self._changing:
            known = await self.show(namespace, name)
            return await self._add(namespace, name, value, None, known.version + 1)

    async def allow(self, namespace: str, name: str, modules: Sequence[str]) -> SecretInfo:
        """Says whose jobs may read a secret; jobs that were submitted keep it. Raises ``BadInput``,
        ``NotFound``, ``Unavailable``.
        """
        if not await self._store.allow(namespace, name, rules.check_modules(modules)):
            raise _no_secret(name)
        return await self.show(namespace, name)

    async def all(self, namespace: str) -> list[SecretInfo]:
        """The namespace's secrets, by name. Raises ``Unavailable``."""
        return await self._store.secrets(namespace)

    async def show(self, namespace: str, name: str) -> SecretInfo:
        """One of them. Raises ``NotFound``, ``Unavailable``."""
        found = await self._find(namespace, name)
        if found is None:
            raise _no_secret(name)
        return found

    async def remove(self, namespace: str, name: str) -> SecretInfo:
        """Removes one, with all versions. Raises ``NotFound``; ``Conflict`` while a job names it that may go
        on; ``Unavailable``.
        """
        async with self._changing:
            known = await self.show(namespace, name)
            if not await self._store.remove(namespace, name):
                raise Conflict(
                    f"a job that has not ended names the secret {name}, or a dead one that may be retried; "
                    "cancel or delete those, or rotate it to a value that is worth nothing"
                )
            return known

    async def empty(self, namespace: str) -> None:
        """Removes all secrets of a namespace. Raises ``Unavailable``."""
        await self._store.remove_namespace(namespace)

    # ------------------------------------------------------------ for jobs

    async def check(self, namespace: str, jobs: Iterable[Wanted]) -> None:
        """Raises ``NotFound`` or ``Refused``, saying which job and secret, if one may not be had; and
        ``Unavailable``.
        """
        jobs = list(jobs)
        names = {name for job in jobs for name in job.secrets}
        known = {one.name: one for one in await self._store.secrets(namespace, sorted(names))}
        for job in jobs:
            for name in job.secrets:
                info = known.get(name)
                if info is None:
                    raise NotFound(f"{job.where}: there is no secret {name!r}; an operator can set it")
                if not rules.allows(info.modules, job.module, job.digest):
                    raise Refused(
                        f"{job.where}: the secret {name!r} does not allow the module {job.module[:80]!r}; "
                        "an operator can allow it"
                    )

    async def of(
        self, namespace: str, names: Sequence[str], journal: Sequence[Segment]
    ) -> tuple[SecretValue, ...]:
        """These secrets for one placement: each in the version that the execution was told before, as its
        journal says, else the newest. One that is not there has no value. Raises ``Unavailable``.
        """
        # A long journal takes a while.
        told = await asyncio.to_thread(_versions_in, journal) if journal else {}
        wanted = {name: told.get(name) for name in names}
        found = {sealed.name: sealed for sealed in await self._store.sealed(namespace, wanted)}
        return tuple(
            self._open(found[name]) if name in found else SecretValue(name, version or 0)
            for name, version in wanted.items()
        )

    # ------------------------------------------------------------ within

    async def _find(self, namespace: str, name: str) -> SecretInfo | None:
        return next(iter(await self._store.secrets(namespace, [name])), None)

    async def _add(
        self, namespace: str, name: str, value: str, modules: Sequence[str] | None, version: int
    ) -> SecretInfo:
        plain = self._random(DIGEST_KEY_BYTES) + value.encode()
        sealed = self._sealer.seal(plain, _bound(namespace, name, version))
        new = Sealed(namespace, name, version, sealed)
        if not await self._store.add_version(new, modules, self._clock.now_ms()):
            raise Conflict(f"the secret {name} has changed meanwhile; look at it, then repeat")
        await self._store.prune()
        return await self.show(namespace, name)

    def _open(self, sealed: Sealed) -> SecretValue:
        try:
            plain = self._sealer.open(sealed.data, _bound(*sealed[:3]))
        except NotOurs as error:
            # To its jobs it is as if it were not there: they are parked, and go on once it is set.
            _log_not_opened(sealed, error)
            return SecretValue(sealed.name, sealed.version)
        digest_key, value = plain[:DIGEST_KEY_BYTES], plain[DIGEST_KEY_BYTES:].decode()
        return SecretValue(sealed.name, sealed.version, value, digest_key)


async def open_with(store: SecretStore, sealer: Sealer, lost: frozenset[str], file: str) -> None:
    """Before secrets are used: what another known key sealed is sealed anew by the one in use; a secret of
    which a ``lost`` key sealed a version is removed (else an earlier value of it would count again).

    Raises ``Misconfigured``, naming the keys, if ``file`` has not all that are needed; ``Unavailable``.
    """
    missing: Counter[str] = Counter()
    gone: set[tuple[str, str]] = set()
    async for page in _pages(store):
        for sealed in page:
            key = sealer.key_of(sealed.data)
            if sealer.knows(key):
                continue
            if key in lost:
                gone.add(sealed[:2])
            else:
                missing[key] += 1
    if missing:
        what = ", ".join(f"{key} (sealed values: {count})" for key, count in sorted(missing.items()))
        raise Misconfigured(
            f"{file} lacks keys that sealed secrets: {what}. Put each back as a line of its own; for one "
            f"that is lost write the line 'lost {min(missing)}': what it sealed is removed at the next start"
        )
    async for page in _pages(store):
        removed = [sealed for sealed in page if sealed[:2] in gone]
        old = [one for one in page if sealer.key_of(one.data) != sealer.key and one[:2] not in gone]
        if removed:
            log.warning("secrets_of_lost_key_removed", versions=len(removed))
            await store.discard(removed)
        if old:
            await store.reseal([_sealed_anew(sealer, sealed) for sealed in old])
            log.info("secrets_sealed_anew", versions=len(old))


async def _pages(store: SecretStore) -> AsyncIterator[list[Sealed]]:
    after: Sealed | None = None
    while page := await store.page(after, _PAGE):
        yield page
        after = page[-1]


def _sealed_anew(sealer: Sealer, sealed: Sealed) -> Sealed:
    bound = _bound(*sealed[:3])
    try:
        return sealed._replace(data=sealer.seal(sealer.open(sealed.data, bound), bound))
    except NotOurs as error:
        _log_not_opened(sealed, error)
        return sealed


def _bound(namespace: str, name: str, version: int) -> bytes:
    """What ties a sealed value to its place: put into another's row it cannot be opened."""
    return _encode((namespace, name, version))


def _versions_in(journal: Sequence[Segment]) -> dict[str, int]:
    found: dict[str, int] = {}
    try:
        for segment in journal:
            for entry in decode_data(segment.data):
                if isinstance(entry, SecretRead):
                    found.setdefault(entry.name, entry.version)
    except CorruptJournal:
        # Its engine says so, in more words than fit here, and parks the job.
        return found
    return found


def _log_not_opened(sealed: Sealed, error: NotOurs) -> None:
    where = {"namespace": sealed.namespace, "name": sealed.name, "version": sealed.version}
    log.error("secret_not_opened", **where, error=str(error))


def _no_secret(name: str) -> NotFound:
    return NotFound(f"there is no secret {name[:80]!r}")
