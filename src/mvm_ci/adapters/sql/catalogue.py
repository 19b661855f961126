"""The modules of namespaces in SQL."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mvm_ci.adapters.sql.queries import QUERIES
from mvm_ci.adapters.sql.statements import Row, Statements, fetch
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.module_names import Reference
from mvm_ci.ports.catalogue import Holding, ModuleInfo, ModuleVersion


class SqlCatalogue(Statements):
    """A ``Catalogue``."""

    async def put_module(self, namespace: str, module: ModuleInfo) -> None:
        about = (module.digest, module.name, module.kind, module.size, module.created_ms)
        asked = (json.dumps(module.allow_hosts), json.dumps(module.secrets))
        await self._write("put_module", namespace, *about, *asked)

    async def modules(self, namespace: str, digests: Sequence[Digest] = ()) -> list[ModuleInfo]:
        if digests:
            rows = await self._read("modules_named", namespace, json.dumps(digests))
        else:
            rows = await self._read("modules", namespace)
        return list(map(_module, rows))

    async def modules_with_prefix(self, namespace: str, prefix: str, limit: int = 2) -> list[ModuleInfo]:
        # "g" comes after every hex digit.
        rows = await self._read("modules_between", namespace, prefix, prefix + "g", limit)
        return list(map(_module, rows))

    async def module_bytes(self, namespace: str) -> int:
        ((size,),) = await self._read("module_bytes", namespace)
        return int(size)

    async def held_digests(self) -> set[Digest]:
        return {Digest(digest) for (digest,) in await self._read("held_digests")}

    async def nameless(self, before_ms: int) -> set[Holding]:
        return {Holding(*row) for row in await self._read("nameless", before_ms)}

    async def remove_modules(self, holdings: Iterable[Holding]) -> int:
        return await self._write("remove_modules", json.dumps(list(holdings)))

    async def remove_namespace_modules(self, namespace: str) -> None:
        await self._writer.call(_empty, namespace)

    async def publish(self, namespace: str, version: ModuleVersion) -> ModuleVersion | None:
        return await self._writer.call(_publish, (namespace, version))

    async def unpublish(self, namespace: str, name: str, version: str) -> ModuleVersion | None:
        return await self._writer.call(_unpublish, (namespace, name, version))

    async def published(
        self, namespace: str, references: Iterable[Reference]
    ) -> Mapping[Reference, ModuleVersion]:
        rows = await self._read("published_modules", namespace, json.dumps(list(references)))
        found = {}
        for newest, *row in rows:
            version = _version(row)
            found[Reference(version.name, None if newest else version.version)] = version
        return found

    async def names(self, namespace: str, after: str = "", limit: int = 100) -> list[ModuleVersion]:
        return list(map(_version, await self._read("module_names", namespace, after, limit)))

    async def versions(
        self, namespace: str, name: str, before: int | None = None, limit: int = 100
    ) -> list[ModuleVersion]:
        return list(map(_version, await self._read("module_versions", namespace, name, before, limit)))


def _empty(connection: sqlite3.Connection, namespaces: Sequence[str]) -> list[None]:
    for namespace in namespaces:
        connection.execute(QUERIES["remove_versions_of"], (namespace,))
        connection.execute(QUERIES["remove_modules_of"], (namespace,))
    return [None] * len(namespaces)


def _publish(
    connection: sqlite3.Connection, calls: Sequence[tuple[str, ModuleVersion]]
) -> list[ModuleVersion | None]:
    return [_publish_one(connection, *call) for call in calls]


def _publish_one(
    connection: sqlite3.Connection, namespace: str, version: ModuleVersion
) -> ModuleVersion | None:
    named = (namespace, version.name)
    values = (*named, version.version, version.digest, version.created_ms)
    connection.execute(QUERIES["publish_module"], values)
    return next(map(_version, fetch("module_version", (*named, version.version), connection)), None)


def _unpublish(
    connection: sqlite3.Connection, calls: Sequence[tuple[str, str, str]]
) -> list[ModuleVersion | None]:
    return [next(map(_version, fetch("unpublish_module", call, connection)), None) for call in calls]


def _module(row: Row) -> ModuleInfo:
    digest, name, kind, size, created_ms, allow_hosts, secrets = row
    return ModuleInfo(
        digest=digest,
        name=name,
        kind=kind,
        size=size,
        created_ms=created_ms,
        allow_hosts=tuple(json.loads(allow_hosts)),
        secrets=tuple(json.loads(secrets)),
    )


def _version(row: Sequence[Any]) -> ModuleVersion:
    return ModuleVersion(**dict(zip(ModuleVersion.__struct_fields__, row, strict=True)))
