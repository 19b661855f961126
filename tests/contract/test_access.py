"""One suite for every store of tokens, namespaces and the audit log: what `ports.access` promises."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from mvm_ci.domain.quota import Quota
from mvm_ci.domain.role import Role
from mvm_ci.ports.access import ALL_NAMESPACES, Access, ApiToken, AuditEntry, AuditFilter, Namespace

NOW = 1_700_000_000_000
TOKEN = ApiToken(
    id="at2", digest="2" * 64, name="ci", role=Role.SUBMITTER, namespace=ALL_NAMESPACES, created_ms=NOW
)
DEFAULT = Namespace(name="default", created_ms=0)
TEAM = Namespace(name="team", created_ms=NOW, quota=Quota(max_waiting=5, max_bytes=0))
ENTRY = AuditEntry(
    at_ms=NOW,
    token="at2",
    name="ci",
    address="127.0.0.1",
    namespace="team",
    action="job.submit",
    target="3 jobs",
    outcome="done",
)


async def everything(access: Access, wanted: AuditFilter, limit: int = 2) -> list[AuditEntry]:
    """All entries, page by page."""
    entries: list[AuditEntry] = []
    before: int | None = None
    for _ in range(100):
        page = await access.audit(wanted, before, limit)
        assert len(page.entries) <= limit
        entries += page.entries
        if page.before is None:
            return entries
        assert before is None or page.before < before
        before = page.before
    raise AssertionError("the pages do not end")


async def actions(access: Access, **wanted: object) -> list[str]:
    return [entry.action for entry in await everything(access, AuditFilter(**wanted))]  # type: ignore[arg-type]


# -------------------------------------------------------------------- tokens


@pytest.mark.parametrize("role", Role)
async def test_tokens_are_found_by_digest(access: Access, role: Role) -> None:
    token = replace(TOKEN, role=role, namespace="team", expires_ms=NOW + 1, created_by="at1")
    await access.put_token(token)
    assert await access.token(TOKEN.digest) == token
    assert await access.token("3" * 64) is None


async def test_a_token_that_is_there_stays_as_it_is(access: Access) -> None:
    await access.put_token(TOKEN)
    await access.revoke_token(TOKEN.id, NOW + 1)
    await access.put_token(replace(TOKEN, role=Role.ADMIN))
    assert await access.token(TOKEN.digest) == replace(TOKEN, revoked_ms=NOW + 1)


async def test_tokens_are_listed_oldest_first(access: Access) -> None:
    old = replace(TOKEN, id="at9", digest="9" * 64, created_ms=NOW - 1)
    twin = replace(TOKEN, id="at1", digest="1" * 64)
    for token in (TOKEN, old, twin):
        await access.put_token(token)
    assert await access.tokens() == [old, twin, TOKEN]


async def test_a_token_is_revoked_once_and_for_good(access: Access) -> None:
    await access.put_token(TOKEN)
    revoked = replace(TOKEN, revoked_ms=NOW + 5)
    assert await access.revoke_token(TOKEN.id, NOW + 5) == revoked
    assert await access.revoke_token(TOKEN.id, NOW + 9) == revoked
    assert await access.token(TOKEN.digest) == revoked
    assert await access.revoke_token("at0", NOW) is None


async def test_the_last_use_never_moves_back(access: Access) -> None:
    await access.put_token(TOKEN)
    access.used(TOKEN.id, NOW + 7)
    access.used(TOKEN.id, NOW + 3)
    access.used("at0", NOW)
    await access.record(ENTRY)  # a write that is durable, and those before it with it
    assert await access.token(TOKEN.digest) == replace(TOKEN, last_used_ms=NOW + 7)


# -------------------------------------------------------------------- namespaces


async def test_there_is_a_default_namespace_without_limits(access: Access) -> None:
    assert await access.namespaces() == [DEFAULT]


async def test_a_name_is_taken_once(access: Access) -> None:
    puts = await asyncio.gather(*(access.put_namespace(replace(TEAM, created_ms=n)) for n in range(3)))
    assert sorted(puts) == [False, False, True]
    (_, stored) = await access.namespaces()
    assert stored == replace(TEAM, created_ms=puts.index(True))


async def test_a_quota_is_replaced_whole(access: Access) -> None:
    await access.put_namespace(TEAM)
    assert await access.set_quota("team", Quota(max_running=3)) is True
    assert await access.set_quota("other", Quota(max_running=3)) is False
    assert await access.namespaces() == [DEFAULT, replace(TEAM, quota=Quota(max_running=3))]


async def test_the_tokens_of_a_deleted_namespace_are_revoked(access: Access) -> None:
    await access.put_namespace(TEAM)
    bound = replace(TOKEN, namespace="team")
    gone = replace(bound, id="at4", digest="4" * 64, revoked_ms=NOW)
    elsewhere = replace(TOKEN, id="at5", digest="5" * 64, namespace="default")
    free = replace(TOKEN, id="at6", digest="6" * 64)
    for token in (bound, gone, elsewhere, free):
        await access.put_token(token)
    assert await access.delete_namespace("team", NOW + 5) is True
    assert await access.tokens() == [replace(bound, revoked_ms=NOW + 5), gone, elsewhere, free]
    assert await access.namespaces() == [DEFAULT]
    assert await access.delete_namespace("team", NOW + 6) is False
    # A new one of the same name does not bring them back.
    assert await access.put_namespace(TEAM) is True
    found = await access.token(bound.digest)
    assert found is not None
    assert found.revoked_ms == NOW + 5


# -------------------------------------------------------------------- the audit log


async def test_entries_are_numbered_and_read_newest_first(access: Access) -> None:
    assert await everything(access, AuditFilter()) == []
    for number in range(5):
        await access.record(replace(ENTRY, seq=77, action=str(number)))
    entries = await everything(access, AuditFilter())
    assert [entry.action for entry in entries] == ["4", "3", "2", "1", "0"]
    assert [entry.seq for entry in entries] == [5, 4, 3, 2, 1]
    assert entries[-1] == replace(ENTRY, seq=1, action="0")


async def test_a_page_goes_on_where_the_one_before_ended_though_entries_come(access: Access) -> None:
    for number in range(3):
        await access.record(replace(ENTRY, action=str(number)))
    first = await access.audit(AuditFilter(), None, 2)
    await access.record(replace(ENTRY, action="new"))
    rest = await access.audit(AuditFilter(), first.before, 2)
    assert [entry.action for entry in (*first.entries, *rest.entries)] == ["2", "1", "0"]


async def test_entries_are_filtered(access: Access) -> None:
    await access.record(replace(ENTRY, action="a", at_ms=NOW - 1))
    await access.record(replace(ENTRY, action="b", token="at7", name="other"))
    await access.record(replace(ENTRY, action="c", namespace="default"))
    assert await actions(access, since_ms=NOW) == ["c", "b"]
    assert await actions(access, actor="at7") == ["b"]
    assert await actions(access, actor="ci") == ["c", "a"]
    assert await actions(access, action="a") == ["a"]
    assert await actions(access, namespace="team") == ["b", "a"]
    assert await actions(access, namespace="team", actor="ci", since_ms=NOW) == []


async def test_entries_for_which_nobody_waits_are_durable_with_the_next_write(access: Access) -> None:
    access.record_soon(replace(ENTRY, action="soon"))
    await access.put_token(TOKEN)
    assert await actions(access) == ["soon"]


async def test_the_oldest_entries_are_removed_a_few_at_a_time(access: Access) -> None:
    for number in range(6):
        await access.record(replace(ENTRY, at_ms=NOW + number, action=str(number)))
    assert await access.prune_audit(NOW + 4, 3) == 3
    assert await actions(access) == ["5", "4", "3"]
    assert await access.prune_audit(NOW + 4, 3) == 1
    assert await access.prune_audit(NOW + 4, 3) == 0
    assert await actions(access) == ["5", "4"]


async def test_the_newest_entry_stays_so_that_numbers_only_grow(access: Access) -> None:
    for number in range(3):
        await access.record(replace(ENTRY, at_ms=NOW + number))
    assert await access.prune_audit(NOW + 99, 10) == 2
    await access.record(ENTRY)
    assert [entry.seq for entry in await everything(access, AuditFilter())] == [4, 3]
