"""One suite for every catalogue of modules: what `ports.catalogue` promises."""

from typing import Any

import pytest
from msgspec.structs import replace

from mvm_ci.domain.ids import Digest
from mvm_ci.domain.module_names import Reference
from mvm_ci.ports.catalogue import Holding, ModuleInfo, ModuleVersion
from mvm_ci.ports.registry import Registry

NOW = 1_700_000_000_000
HERE, THERE = "here", "there"


def module(digest: str, created_ms: int = NOW, name: str = "m", size: int = 9) -> ModuleInfo:
    padded = Digest(digest.ljust(64, "0"))
    hosts = ("example.org", "*.example.com")
    return ModuleInfo(
        digest=padded,
        name=name,
        kind="core",
        size=size,
        created_ms=created_ms,
        allow_hosts=hosts,
        secrets=("TOKEN", "KEY"),
    )


def version(number: str, of: ModuleInfo, name: str = "crawl", created_ms: int = NOW) -> ModuleVersion:
    return ModuleVersion(name=name, version=number, digest=of.digest, created_ms=created_ms)


def without_numbers(versions: Any) -> list[ModuleVersion]:
    return [replace(one, number=0) for one in versions]


# -------------------------------------------------------------------- modules


async def test_modules_are_listed_newest_first(registry: Registry) -> None:
    old, new, twin = module("1", NOW - 1), module("2", NOW), module("3", NOW)
    for one in (twin, old, new):
        await registry.put_module(HERE, one)
    assert await registry.modules(HERE) == [new, twin, old]
    assert await registry.modules(HERE, [old.digest, new.digest, Digest("f" * 64)]) == [new, old]


async def test_a_module_that_is_there_stays_as_it_is(registry: Registry) -> None:
    await registry.put_module(HERE, module("1"))
    await registry.put_module(HERE, module("1", name="other"))
    assert await registry.modules(HERE) == [module("1")]


async def test_modules_are_found_by_prefix(registry: Registry) -> None:
    for digest in ("abff", "abf", "ac", "ab1"):
        await registry.put_module(HERE, module(digest))
    await registry.put_module(THERE, module("ab3"))
    assert await registry.modules_with_prefix(HERE, "ab", 9) == [module("ab1"), module("abf"), module("abff")]
    assert await registry.modules_with_prefix(HERE, "ab") == [module("ab1"), module("abf")]
    assert await registry.modules_with_prefix(HERE, "abff") == [module("abff")]
    assert await registry.modules_with_prefix(HERE, "f") == []
    assert await registry.modules_with_prefix(HERE, "AB") == []
    assert len(await registry.modules_with_prefix(HERE, "", 9)) == 4


async def test_namespaces_hold_modules_each_for_itself(registry: Registry) -> None:
    mine, same = module("1", name="mine", size=5), module("1", NOW + 1, name="theirs", size=5)
    other = module("2", size=7)
    await registry.put_module(HERE, mine)
    await registry.put_module(THERE, same)
    await registry.put_module(THERE, other)
    assert await registry.modules(HERE) == [mine]
    assert await registry.modules(HERE, [other.digest]) == []
    assert await registry.modules(THERE) == [same, other]
    assert [await registry.module_bytes(one) for one in (HERE, THERE, "nobody")] == [5, 12, 0]
    assert await registry.held_digests() == {mine.digest, other.digest}
    assert await registry.remove_modules([Holding(THERE, mine.digest)]) == 1
    assert await registry.modules(HERE) == [mine]
    assert await registry.modules(THERE) == [other]


async def test_modules_are_taken_out(registry: Registry) -> None:
    for name in "abc":
        await registry.put_module(HERE, module(name, name=name))
    gone = [Holding(HERE, module(digest).digest) for digest in "abf"]
    assert await registry.remove_modules([*gone, Holding(THERE, module("c").digest)]) == 2
    assert [one.name for one in await registry.modules(HERE)] == ["c"]
    assert await registry.remove_modules([]) == 0


async def test_old_modules_without_a_version_are_told(registry: Registry) -> None:
    old, named, young = module("1", NOW - 1), module("2", NOW - 1), module("3")
    for one in (old, named, young):
        await registry.put_module(HERE, one)
        await registry.put_module(THERE, one)
    await registry.publish(HERE, version("1", named))
    nameless = {Holding(HERE, old.digest), Holding(THERE, old.digest), Holding(THERE, named.digest)}
    assert await registry.nameless(NOW) == nameless
    assert await registry.remove_modules([Holding(HERE, named.digest), Holding(THERE, named.digest)]) == 1
    assert named in await registry.modules(HERE)


async def test_a_namespace_is_emptied_and_the_others_are_not(registry: Registry) -> None:
    for namespace in (HERE, THERE):
        await registry.put_module(namespace, module("1"))
        await registry.publish(namespace, version("1", module("1")))
    await registry.remove_namespace_modules(HERE)
    await registry.remove_namespace_modules("nobody")
    assert (await registry.modules(HERE), await registry.names(HERE)) == ([], [])
    assert len(await registry.modules(THERE)) == len(await registry.names(THERE)) == 1


# -------------------------------------------------------------------- versions


async def test_a_version_that_is_there_stays_as_it_is(registry: Registry) -> None:
    one, other = module("1"), module("2")
    for info in (one, other):
        await registry.put_module(HERE, info)
    first = await registry.publish(HERE, version("1.0", one))
    assert first is not None
    assert replace(first, number=0) == version("1.0", one)
    assert await registry.publish(HERE, version("1.0", one, created_ms=NOW + 1)) == first
    assert await registry.publish(HERE, version("1.0", other)) == first
    assert await registry.versions(HERE, "crawl") == [first]


async def test_only_what_the_namespace_holds_gets_a_version(registry: Registry) -> None:
    await registry.put_module(THERE, module("1"))
    assert await registry.publish(HERE, version("1", module("1"))) is None
    assert await registry.names(HERE) == []


@pytest.mark.parametrize("clock", [1, 0, -1], ids=["forward", "still", "back"])
async def test_the_newest_version_is_the_one_published_last_whatever_the_clock(
    registry: Registry, clock: int
) -> None:
    infos = [module(digest) for digest in "123"]
    for info in infos:
        await registry.put_module(HERE, info)
    made = [
        version(number, info, created_ms=NOW + clock * at)
        for at, (number, info) in enumerate(zip(("2", "10", "1"), infos, strict=True))
    ]
    for one in made:
        await registry.publish(HERE, one)
    newest = Reference("crawl", None)
    assert without_numbers((await registry.published(HERE, [newest])).values()) == made[-1:]
    assert without_numbers(await registry.versions(HERE, "crawl")) == made[::-1]
    removed = await registry.unpublish(HERE, "crawl", "1")
    assert removed is not None
    assert replace(removed, number=0) == made[2]
    assert without_numbers(await registry.names(HERE)) == [made[1]]
    # Its label may be used again, and is the newest then.
    await registry.publish(HERE, made[2])
    assert without_numbers((await registry.published(HERE, [newest])).values()) == made[-1:]


async def test_references_are_looked_up_in_one_namespace(registry: Registry) -> None:
    for namespace, info in ((HERE, module("1")), (HERE, module("2")), (THERE, module("3"))):
        await registry.put_module(namespace, info)
    await registry.publish(HERE, version("1", module("1")))
    await registry.publish(HERE, version("2", module("2")))
    await registry.publish(HERE, version("1", module("1"), name="other"))
    await registry.publish(THERE, version("1", module("3")))
    asked = [
        Reference("crawl", None),
        Reference("crawl", "1"),
        Reference("crawl", "2"),
        Reference("crawl", "3"),
        Reference("none", None),
    ]
    found = await registry.published(HERE, asked)
    digests = {reference: one.digest for reference, one in found.items()}
    assert digests == {
        asked[0]: module("2").digest,
        asked[1]: module("1").digest,
        asked[2]: module("2").digest,
    }
    assert (await registry.published(THERE, asked[:1]))[asked[0]].digest == module("3").digest
    assert await registry.published(HERE, []) == {}


async def test_names_and_versions_come_in_pages(registry: Registry) -> None:
    await registry.put_module(HERE, module("1"))
    await registry.put_module(THERE, module("1"))
    await registry.publish(THERE, version("1", module("1"), name="aa"))
    for name in ("c", "a", "b"):
        for number in ("1", "2", "3"):
            await registry.publish(HERE, version(number, module("1"), name=name))
    assert [(one.name, one.version) for one in await registry.names(HERE, limit=2)] == [
        ("a", "3"),
        ("b", "3"),
    ]
    assert [one.name for one in await registry.names(HERE, "b", 2)] == ["c"]
    assert await registry.names(HERE, "c") == []
    page = await registry.versions(HERE, "a", None, 2)
    assert [one.version for one in page] == ["3", "2"]
    rest = await registry.versions(HERE, "a", page[-1].number, 2)
    assert [(one.name, one.version) for one in rest] == [("a", "1")]
    assert await registry.versions(HERE, "aa") == []


async def test_what_is_not_published_cannot_be_removed(registry: Registry) -> None:
    await registry.put_module(HERE, module("1"))
    await registry.publish(HERE, version("1", module("1")))
    assert await registry.unpublish(HERE, "crawl", "2") is None
    assert await registry.unpublish(THERE, "crawl", "1") is None
    assert await registry.unpublish(HERE, "crawl", "1") is not None
    assert await registry.unpublish(HERE, "crawl", "1") is None
    assert await registry.modules(HERE) == [module("1")]
