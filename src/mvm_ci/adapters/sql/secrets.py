"""Secrets of namespaces in SQL."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from mvm_ci.adapters.sql.queries import QUERIES
from mvm_ci.adapters.sql.statements import Row, Statements
from mvm_ci.ports.secrets import Sealed, SecretInfo


class SqlSecretStore(Statements):
    """A ``SecretStore``."""

    async def add_version(self, new: Sealed, modules: Sequence[str] | None, now_ms: int) -> bool:
        text = None if modules is None else json.dumps(modules)
        values = (new.namespace, new.name, new.version, text, now_ms, new.data)
        return await self._write("add_secret_version", *values) == 1

    async def allow(self, namespace: str, name: str, modules: Sequence[str]) -> bool:
        return await self._write("allow_secret", namespace, name, json.dumps(modules)) > 0

    async def secrets(self, namespace: str, names: Iterable[str] | None = None) -> list[SecretInfo]:
        text = None if names is None else json.dumps(list(names))
        return list(map(_info, sorted(await self._read("secrets", namespace, text))))

    async def sealed(self, namespace: str, wanted: Mapping[str, int | None]) -> list[Sealed]:
        asked = json.dumps(list(wanted.items()))
        return [Sealed(*row) for row in await self._read("sealed_secrets", namespace, asked)]

    async def remove(self, namespace: str, name: str) -> bool:
        return await self._write("remove_secret", namespace, name) > 0

    async def remove_namespace(self, namespace: str) -> None:
        await self._write("remove_secrets_of", namespace)

    async def prune(self) -> int:
        return await self._write("prune_secrets")

    async def page(self, after: Sealed | None, limit: int) -> list[Sealed]:
        place = ("", "", 0) if after is None else after[:3]
        return [Sealed(*row) for row in await self._read("secrets_after", *place, limit)]

    async def reseal(self, versions: Sequence[Sealed]) -> None:
        await self._writer.call(partial(_each, "reseal_secret"), [tuple(one) for one in versions])

    async def discard(self, versions: Sequence[Sealed]) -> None:
        await self._writer.call(partial(_each, "discard_secret"), [one[:3] for one in versions])


def _each(statement: str, connection: sqlite3.Connection, calls: Sequence[Sequence[Row]]) -> list[None]:
    for rows in calls:
        connection.executemany(QUERIES[statement], rows)
    return [None] * len(calls)


def _info(row: Row) -> SecretInfo:
    name, version, modules, changed_ms, versions = row
    return SecretInfo(
        name=name,
        version=version,
        modules=tuple(json.loads(modules)),
        changed_ms=changed_ms,
        versions=versions,
    )
