"""Tokens and the audit log in SQL: what stays true over migrations, cuts and commits."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from mvm_ci.adapters.sql import access as sql_access
from mvm_ci.adapters.sql.database import FILE
from mvm_ci.adapters.sql.migrations import MIGRATIONS
from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.domain.role import Role
from mvm_ci.domain.tokens import token_id
from mvm_ci.ports.access import ALL_NAMESPACES, ApiToken, AuditEntry, AuditFilter

BEFORE = next(number for number, step in enumerate(MIGRATIONS) if "CREATE TABLE tokens" in step)
"""How many steps came before tokens had ids."""
ENTRY = AuditEntry(
    at_ms=1, token="at1", name="n", address="", namespace="default", action="a", target="t", outcome="done"
)


@asynccontextmanager
async def opened(directory: Path, **options: Any) -> AsyncIterator[SqlStore]:
    store = await asyncio.to_thread(lambda: SqlStore.open(directory, **options))
    try:
        yield store
    finally:
        await store.close()


async def test_tokens_of_before_go_on_working_everywhere(tmp_path: Path) -> None:
    async with opened(tmp_path, migrations=MIGRATIONS[:BEFORE]):
        pass
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("INSERT INTO api_tokens VALUES (?1, 'admin', 'admin', 5)", ("ab" * 32,))
    async with opened(tmp_path) as store:
        assert await store.access.token("ab" * 32) == ApiToken(
            id=token_id("ab" * 32),
            digest="ab" * 32,
            name="admin",
            role=Role.ADMIN,
            namespace=ALL_NAMESPACES,
            created_ms=5,
        )


async def test_an_entry_is_written_though_nothing_else_is(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        store.access.record_soon(ENTRY)
        async with asyncio.timeout(30):
            while not (await store.access.audit(AuditFilter())).entries:
                pass


async def test_a_store_that_is_closed_has_written_its_entries(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        store.access.record_soon(ENTRY)
    async with opened(tmp_path) as store:
        assert (await store.access.audit(AuditFilter())).entries == (replace(ENTRY, seq=1),)
        closed = store
    closed.access.record_soon(ENTRY)  # refused, and only logged


async def test_entries_share_the_commit_of_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as store:
        commits: list[int] = []
        commit = store._writer._commit

        def counted(batch: Any) -> Any:
            commits.append(len(batch))
            return commit(batch)

        monkeypatch.setattr(store._writer, "_commit", counted)
        for _ in range(10):
            store.access.record_soon(ENTRY)
        await store.access.set_quota("default", (await store.access.namespaces())[0].quota)
        assert commits == [11]


async def test_a_page_looks_at_a_part_of_a_long_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_access, "LOOKED_AT", 10)
    async with opened(tmp_path) as store:
        await store.access.record(replace(ENTRY, action="rare"))
        for _ in range(25):
            store.access.record_soon(ENTRY)
        await store.access.record(ENTRY)
        wanted, before, pages = AuditFilter(action="rare"), None, []
        for _ in range(10):
            page = await store.access.audit(wanted, before, 5)
            pages.append(len(page.entries))
            before = page.before
            if before is None:
                break
        assert pages == [0, 0, 1]


async def test_what_was_called_is_committed_though_the_close_is_interrupted(tmp_path: Path) -> None:
    for turns in range(5):
        store = await asyncio.to_thread(SqlStore.open, tmp_path / str(turns))
        called = store._writer.call(lambda _, arguments: list(arguments), "done")
        closing = asyncio.create_task(store._writer.close())
        for _ in range(turns + 1):
            await asyncio.sleep(0)
        closing.cancel()
        async with asyncio.timeout(10):
            assert await called == "done"
        await store.close()
