"""One suite for every store of secrets: what `ports.secrets` promises."""

import pytest
from msgspec.structs import replace

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import JobState
from mvm_ci.domain.lane import lane
from mvm_ci.domain.options import DEFAULT_OPTIONS
from mvm_ci.ports.job_queue import Cancelled, Change, JobQueue
from mvm_ci.ports.secrets import Sealed, SecretInfo, SecretStore
from tests.contract.jobs import NOW, new_job, reach

HERE, THERE = "default", "there"


def sealed(version: int, name: str = "TOKEN", namespace: str = HERE) -> Sealed:
    return Sealed(namespace, name, version, f"{namespace}/{name}/{version}\0".encode())


async def put(store: SecretStore, *versions: Sealed) -> None:
    for one in versions:
        assert await store.add_version(one, None, NOW + one.version)


async def kept(store: SecretStore) -> list[tuple[str, int]]:
    return [(one.name, one.version) for one in await store.page(None, 100)]


# -------------------------------------------------------------------- versions


async def test_versions_follow_each_other(secret_store: SecretStore) -> None:
    store = secret_store
    assert not await store.add_version(sealed(2), (), NOW), "the first is 1"
    assert await store.add_version(sealed(1), ("crawl", "*"), NOW)
    assert not await store.add_version(sealed(1), (), NOW), "there is one"
    assert not await store.add_version(sealed(3), (), NOW)
    assert await store.secrets(HERE) == [
        SecretInfo(name="TOKEN", version=1, modules=("crawl", "*"), changed_ms=NOW)
    ]
    assert await store.add_version(sealed(2), None, NOW + 5)
    (info,) = await store.secrets(HERE)
    assert info == SecretInfo(name="TOKEN", version=2, modules=("crawl", "*"), changed_ms=NOW + 5, versions=2)
    assert await store.add_version(sealed(3), ("other",), NOW + 6)
    (info,) = await store.secrets(HERE)
    assert info.modules == ("other",)


async def test_a_new_secret_is_for_nobody(secret_store: SecretStore) -> None:
    await put(secret_store, sealed(1))
    (info,) = await secret_store.secrets(HERE)
    assert info.modules == ()


async def test_whose_jobs_may_read_it_is_changed_for_all_versions(secret_store: SecretStore) -> None:
    assert not await secret_store.allow(HERE, "TOKEN", ("a",))
    await put(secret_store, sealed(1), sealed(2), sealed(1, "OTHER"))
    assert await secret_store.allow(HERE, "TOKEN", ("a", "b"))
    await put(secret_store, sealed(3))
    assert [(one.name, one.modules) for one in await secret_store.secrets(HERE)] == [
        ("OTHER", ()),
        ("TOKEN", ("a", "b")),
    ]


async def test_secrets_are_listed_by_name_and_found_by_it(secret_store: SecretStore) -> None:
    await put(secret_store, sealed(1, "b"), sealed(1, "a"), sealed(1, "C"), sealed(2, "a"))
    assert [(one.name, one.version) for one in await secret_store.secrets(HERE)] == [
        ("C", 1),
        ("a", 2),
        ("b", 1),
    ]
    assert [one.name for one in await secret_store.secrets(HERE, ["b", "a", "nobody"])] == ["a", "b"]
    assert await secret_store.secrets(HERE, []) == []


async def test_the_newest_or_a_certain_version_is_found(secret_store: SecretStore) -> None:
    await put(secret_store, sealed(1), sealed(2), sealed(1, "OTHER"))
    assert await secret_store.sealed(HERE, {"TOKEN": None}) == [sealed(2)]
    assert await secret_store.sealed(HERE, {"TOKEN": 1}) == [sealed(1)]
    assert await secret_store.sealed(HERE, {"TOKEN": 3, "NOBODY": None, "OTHER": 2}) == []
    found = await secret_store.sealed(HERE, {"TOKEN": 2, "OTHER": None})
    assert sorted(found) == [sealed(1, "OTHER"), sealed(2)]
    assert await secret_store.sealed(HERE, {}) == []


async def test_namespaces_hold_secrets_each_for_itself(secret_store: SecretStore) -> None:
    await put(secret_store, sealed(1), sealed(1, namespace=THERE), sealed(2, namespace=THERE))
    assert [one.version for one in await secret_store.secrets(HERE)] == [1]
    assert await secret_store.sealed(THERE, {"TOKEN": None}) == [sealed(2, namespace=THERE)]
    await secret_store.remove_namespace(THERE)
    assert await secret_store.secrets(THERE) == []
    assert await secret_store.page(None, 9) == [sealed(1)]


# -------------------------------------------------------------------- jobs that need them


@pytest.mark.parametrize("state", JobState)
async def test_a_secret_is_kept_while_a_job_names_it_that_may_go_on(
    queue: JobQueue, secret_store: SecretStore, state: JobState
) -> None:
    await put(secret_store, sealed(1), sealed(1, "OTHER"))
    await reach(queue, 1, state, secrets=("X", "TOKEN"))
    over = state in {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}
    assert await secret_store.remove(HERE, "TOKEN") is over
    assert await secret_store.remove(HERE, "TOKEN") is False
    assert await secret_store.remove(HERE, "OTHER") is True
    assert await kept(secret_store) == ([] if over else [("TOKEN", 1)])


async def test_a_dead_job_that_is_deleted_needs_nothing(queue: JobQueue, secret_store: SecretStore) -> None:
    await put(secret_store, sealed(1))
    await reach(queue, 1, JobState.DEAD, secrets=("TOKEN",))
    assert await secret_store.remove(HERE, "TOKEN") is False
    assert [one.change for one in await queue.delete([JobId(1)])] == [Change.DONE]
    assert await secret_store.remove(HERE, "TOKEN") is True


async def test_jobs_of_another_namespace_name_another_secret(
    queue: JobQueue, secret_store: SecretStore
) -> None:
    await put(secret_store, sealed(1), sealed(1, namespace=THERE))
    there = replace(DEFAULT_OPTIONS, lane=lane(THERE, "default", 5))
    await queue.submit([new_job(1, options=there, secrets=("TOKEN",))])
    assert await secret_store.remove(HERE, "TOKEN") is True
    assert await secret_store.remove(THERE, "TOKEN") is False


async def test_all_versions_go_together(secret_store: SecretStore) -> None:
    await put(secret_store, sealed(1), sealed(2), sealed(1, "OTHER"))
    assert await secret_store.remove(HERE, "TOKEN") is True
    assert await kept(secret_store) == [("OTHER", 1)]
    await put(secret_store, sealed(1))


async def test_without_jobs_only_the_newest_version_is_kept(secret_store: SecretStore) -> None:
    await put(secret_store, sealed(1), sealed(2), sealed(3), sealed(1, "OTHER"))
    assert await secret_store.prune() == 2
    assert await kept(secret_store) == [("OTHER", 1), ("TOKEN", 3)]
    assert await secret_store.prune() == 0


async def test_a_version_is_kept_while_a_job_may_have_been_told_it(
    queue: JobQueue, secret_store: SecretStore
) -> None:
    """A job may have been told any version that was the newest since its submission."""
    store = secret_store

    async def end(job: int) -> None:
        assert [one.cancelled for one in await queue.cancel([JobId(job)], NOW)] == [Cancelled.DONE]

    await put(store, sealed(1))
    await queue.submit([new_job(10, secrets=("TOKEN",)), new_job(11, secrets=("OTHER",))])
    await put(store, sealed(2))
    await queue.submit([new_job(20, secrets=("KEY", "TOKEN"))])
    await put(store, sealed(3), sealed(4))
    await queue.submit([new_job(30, secrets=("TOKEN",))])
    await put(store, sealed(5))
    assert await store.prune() == 0
    await end(10)
    assert await store.prune() == 1
    assert await kept(store) == [("TOKEN", 2), ("TOKEN", 3), ("TOKEN", 4), ("TOKEN", 5)]
    await end(20)
    assert await store.prune() == 2
    assert await kept(store) == [("TOKEN", 4), ("TOKEN", 5)]
    await queue.submit([new_job(40, secrets=("TOKEN",))])
    await end(30)
    assert await store.prune() == 1
    assert await kept(store) == [("TOKEN", 5)]


# -------------------------------------------------------------------- sealing anew


async def test_all_versions_are_gone_through_and_sealed_anew(secret_store: SecretStore) -> None:
    versions = [sealed(1, "A"), sealed(2, "A"), sealed(1, "B"), sealed(1, "A", THERE)]
    await put(secret_store, *versions)
    seen: list[Sealed] = []
    while page := await secret_store.page(seen[-1] if seen else None, 2):
        seen += page
    assert seen == versions
    anew = [one._replace(data=b"\0anew" + one.data) for one in seen]
    await secret_store.reseal([*anew[:2], sealed(9, "GONE")])
    assert await secret_store.page(None, 9) == [*anew[:2], *seen[2:]]


async def test_versions_that_nobody_can_open_are_discarded(
    queue: JobQueue, secret_store: SecretStore
) -> None:
    await put(secret_store, sealed(1), sealed(2), sealed(1, "OTHER"))
    await queue.submit([new_job(1, secrets=("TOKEN", "OTHER"))])
    await secret_store.discard([sealed(2), sealed(1, "OTHER"), sealed(7)])
    assert await kept(secret_store) == [("TOKEN", 1)]
