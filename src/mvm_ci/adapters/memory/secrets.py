"""Secrets of namespaces in memory."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from mvm_ci.adapters.memory.record import Record
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import FINAL, JobState
from mvm_ci.ports.secrets import Sealed, SecretInfo

_OVER: Final = FINAL - {JobState.DEAD}
"""A dead job may go on, with its journal."""


class _Version(NamedTuple):
    sealed: Sealed
    modules: tuple[str, ...]
    created_ms: int
    after_job: int


class MemorySecretStore:
    """A ``SecretStore`` beside the records of a ``MemoryJobQueue``."""

    def __init__(self, records: Mapping[JobId, Record]) -> None:
        self._records = records
        self._secrets: dict[tuple[str, str], dict[int, _Version]] = {}
        """By namespace and name; none is empty, and the newest version is the last."""

    async def add_version(self, new: Sealed, modules: Sequence[str] | None, now_ms: int) -> bool:
        known = self._secrets.get(new[:2], {})
        newest = known[max(known)] if known else None
        if new.version != 1 + max(known, default=0):
            return False
        if modules is None:
            modules = newest.modules if newest is not None else ()
        version = _Version(new, tuple(modules), now_ms, max(self._records, default=0))
        self._secrets.setdefault(new[:2], {})[new.version] = version
        return True

    async def allow(self, namespace: str, name: str, modules: Sequence[str]) -> bool:
        known = self._secrets.get((namespace, name), {})
        for number, version in known.items():
            known[number] = version._replace(modules=tuple(modules))
        return bool(known)

    async def secrets(self, namespace: str, names: Iterable[str] | None = None) -> list[SecretInfo]:
        asked = None if names is None else set(names)
        return [
            _info(versions)
            for (space, name), versions in sorted(self._secrets.items())
            if space == namespace and (asked is None or name in asked)
        ]

    async def sealed(self, namespace: str, wanted: Mapping[str, int | None]) -> list[Sealed]:
        found = []
        for name, number in wanted.items():
            known = self._secrets.get((namespace, name), {})
            version = known.get(max(known, default=0) if number is None else number)
            if version is not None:
                found.append(version.sealed)
        return found

    async def remove(self, namespace: str, name: str) -> bool:
        if self._named_up_to(namespace, name, max(self._records, default=0)):
            return False
        return self._secrets.pop((namespace, name), None) is not None

    async def remove_namespace(self, namespace: str) -> None:
        self._secrets = {key: known for key, known in self._secrets.items() if key[0] != namespace}

    async def prune(self) -> int:
        removed = 0
        for (namespace, name), known in self._secrets.items():
            for number, later in zip(sorted(known), sorted(known)[1:], strict=False):
                if not self._named_up_to(namespace, name, known[later].after_job):
                    del known[number]
                    removed += 1
        return removed

    async def page(self, after: Sealed | None, limit: int) -> list[Sealed]:
        every = sorted(version.sealed for known in self._secrets.values() for version in known.values())
        return [one for one in every if after is None or one[:3] > after[:3]][:limit]

    async def reseal(self, versions: Sequence[Sealed]) -> None:
        for sealed in versions:
            known = self._secrets.get(sealed[:2], {})
            if sealed.version in known:
                known[sealed.version] = known[sealed.version]._replace(sealed=sealed)

    async def discard(self, versions: Sequence[Sealed]) -> None:
        for sealed in versions:
            known = self._secrets.get(sealed[:2], {})
            known.pop(sealed.version, None)
            if not known:
                self._secrets.pop(sealed[:2], None)

    def _named_up_to(self, namespace: str, name: str, last: int) -> bool:
        """Whether a job up to ``last`` that may go on names the secret."""
        jobs = (record.job for record in self._records.values())
        return any(
            job.id <= last
            and job.options.lane.namespace == namespace
            and name in job.spec.secrets
            and job.state not in _OVER
            for job in jobs
        )


def _info(versions: Mapping[int, _Version]) -> SecretInfo:
    newest = versions[max(versions)]
    return SecretInfo(
        name=newest.sealed.name,
        version=newest.sealed.version,
        modules=newest.modules,
        changed_ms=newest.created_ms,
        versions=len(versions),
    )
