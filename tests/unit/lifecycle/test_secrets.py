"""Secrets as a use case: what is sealed, who is told which version, and keys that come and go."""

from collections.abc import Sequence

import pytest

from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.adapters.memory.secrets import MemorySecretStore
from mvm_ci.adapters.sealing.aes_gcm import AesGcmSealer, key_id
from mvm_ci.domain import secrets as rules
from mvm_ci.domain.errors import BadInput, Conflict, Misconfigured, NotFound, Refused
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import split
from mvm_ci.journal.entries import Logged, SecretRead
from mvm_ci.lifecycle.secrets import Secrets, Wanted, open_with
from mvm_ci.ports.secrets import Sealed
from mvm_ci.testing.clock import FakeClock
from tests.contract.jobs import NOW, new_job

HERE = "default"
KEY = b"k" * 32


class Rig:
    def __init__(self, *keys: bytes) -> None:
        self.queue = MemoryJobQueue()
        self.store = MemorySecretStore(self.queue._records)
        self.clock = FakeClock()
        self.drawn = 0
        self.secrets = self.opened(*(keys or (KEY,)))

    def opened(self, *keys: bytes) -> Secrets:
        return Secrets(self.store, AesGcmSealer(keys), self.clock, self.random)

    def random(self, size: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(size, "big")

    async def told(self, *names: str, journal: Sequence[Segment] = ()) -> list[tuple[str, int, str | None]]:
        values = await self.secrets.of(HERE, names, journal)
        return [(one.name, one.version, one.value) for one in values]


def journal(*reads: SecretRead) -> list[Segment]:
    return split([Logged("stdout", "hi", 1), *reads], 0)


async def test_a_value_is_sealed_and_told_to_placements() -> None:
    rig = Rig()
    info = await rig.secrets.set(HERE, "TOKEN", "hunter22", ("crawl",))
    assert (info.name, info.version, info.modules) == ("TOKEN", 1, ("crawl",))
    [sealed] = await rig.store.page(None, 9)
    assert b"hunter22" not in sealed.data
    assert await rig.told("TOKEN", "NOBODY") == [("TOKEN", 1, "hunter22"), ("NOBODY", 0, None)]


async def test_each_version_has_a_digest_key_of_its_own() -> None:
    rig = Rig()
    await rig.secrets.set(HERE, "A", "hunter22")
    await rig.secrets.set(HERE, "B", "hunter22")
    await rig.queue.submit([new_job(1, secrets=("A",))])
    await rig.secrets.rotate(HERE, "A", "hunter22")
    first = await rig.secrets.of(HERE, ["A", "B"], journal(SecretRead("A", 1)))
    values = [*first, *await rig.secrets.of(HERE, ["A"], ())]
    assert [(one.version, one.value) for one in values] == [(1, "hunter22"), (1, "hunter22"), (2, "hunter22")]
    assert len({one.digest_key for one in values}) == 3
    assert {len(one.digest_key) for one in values} == {32}


async def test_an_execution_is_told_the_version_that_it_was_told_before() -> None:
    rig = Rig()
    await rig.secrets.set(HERE, "TOKEN", "the first")
    await rig.secrets.set(HERE, "OTHER", "another")
    await rig.queue.submit([new_job(1, secrets=("TOKEN", "OTHER"))])
    await rig.secrets.rotate(HERE, "TOKEN", "the second")
    await rig.secrets.rotate(HERE, "OTHER", "another one")
    assert await rig.told("TOKEN") == [("TOKEN", 2, "the second")]
    before = journal(SecretRead("TOKEN", 1))
    assert await rig.told("TOKEN", "OTHER", journal=before) == [
        ("TOKEN", 1, "the first"),
        ("OTHER", 2, "another one"),
    ]
    assert await rig.told("TOKEN", journal=journal(SecretRead("TOKEN", 7))) == [("TOKEN", 7, None)]


async def test_a_journal_that_cannot_be_read_is_left_to_its_engine() -> None:
    rig = Rig()
    await rig.secrets.set(HERE, "TOKEN", "the first")
    broken = [*journal(SecretRead("TOKEN", 1)), Segment(first=2, count=1, data=b"\x03noise")]
    assert await rig.told("TOKEN", journal=broken) == [("TOKEN", 1, "the first")]


async def test_what_somebody_changed_in_the_store_is_not_there() -> None:
    rig = Rig()
    await rig.secrets.set(HERE, "TOKEN", "the first")
    await rig.secrets.set(HERE, "OTHER", "not for the token")
    token, other = sorted(await rig.store.page(None, 9), reverse=True)
    await rig.store.reseal([token._replace(data=other.data)])
    assert await rig.told("TOKEN", "OTHER") == [("TOKEN", 1, None), ("OTHER", 1, "not for the token")]
    assert (await rig.secrets.set(HERE, "TOKEN", "set again")).version == 2
    assert await rig.told("TOKEN") == [("TOKEN", 2, "set again")]


async def test_a_value_that_no_job_needs_is_gone_with_the_next() -> None:
    rig = Rig()
    await rig.secrets.set(HERE, "TOKEN", "the first")
    info = await rig.secrets.rotate(HERE, "TOKEN", "the second")
    assert (info.version, info.versions) == (2, 1)


async def test_what_is_refused() -> None:
    rig = Rig()
    for name, value, modules in (
        ("a b", "long enough", ()),
        ("A", "xyz", ()),
        ("A", "long enough", ("A B",)),
    ):
        with pytest.raises(BadInput):
            await rig.secrets.set(HERE, name, value, modules)
    with pytest.raises(NotFound):
        await rig.secrets.rotate(HERE, "A", "long enough")
    with pytest.raises(NotFound):
        await rig.secrets.allow(HERE, "A", ())
    with pytest.raises(NotFound):
        await rig.secrets.remove(HERE, "A")
    assert await rig.secrets.all(HERE) == []


async def test_a_namespace_holds_so_many_and_versions_of_them_are_no_more() -> None:
    rig = Rig()
    for number in range(rules.MAX_OF_NAMESPACE):
        await rig.store.add_version(Sealed(HERE, f"S{number}", 1, b""), (), NOW)
    with pytest.raises(Conflict, match="has 1000 secrets"):
        await rig.secrets.set(HERE, "ONE_MORE", "long enough")
    assert (await rig.secrets.set(HERE, "S1", "long enough")).version == 2
    assert (await rig.secrets.set("there", "ONE_MORE", "long enough")).version == 1


async def test_a_change_in_between_is_noticed() -> None:
    rig = Rig()
    await rig.secrets.set(HERE, "TOKEN", "the first")

    class Late(MemorySecretStore):
        async def add_version(self, new: Sealed, modules: Sequence[str] | None, now_ms: int) -> bool:
            await super().add_version(new, modules, now_ms)
            return await super().add_version(new, modules, now_ms)

    late = Late(rig.queue._records)
    with pytest.raises(Conflict, match="has changed meanwhile"):
        await Secrets(late, AesGcmSealer([KEY]), rig.clock, bytes).set(HERE, "TOKEN", "the second")


async def test_one_that_a_job_names_stays() -> None:
    rig = Rig()
    await rig.secrets.set(HERE, "TOKEN", "the first")
    await rig.queue.submit([new_job(1, secrets=("TOKEN",))])
    with pytest.raises(Conflict, match="a job that has not ended names the secret TOKEN"):
        await rig.secrets.remove(HERE, "TOKEN")
    await rig.queue.cancel([JobId(1)], NOW)
    assert (await rig.secrets.remove(HERE, "TOKEN")).name == "TOKEN"
    with pytest.raises(NotFound):
        await rig.secrets.show(HERE, "TOKEN")


async def test_jobs_get_what_is_there_and_allowed() -> None:
    rig = Rig()
    digest = Digest("ab" * 32)
    await rig.secrets.set(HERE, "A", "long enough", ("crawl",))
    await rig.secrets.set(HERE, "B", "long enough", (digest,))

    def wanted(module: str, *secrets: str) -> Wanted:
        return Wanted("jobs[3].secrets", module, digest, secrets)

    await rig.secrets.check(HERE, [wanted("crawl@1", "A", "B"), wanted(digest, "B")])
    with pytest.raises(NotFound, match=r"jobs\[3\].secrets: there is no secret 'C'"):
        await rig.secrets.check(HERE, [wanted("crawl", "A"), wanted("crawl", "C")])
    with pytest.raises(Refused, match=r"the secret 'A' does not allow the module 'other'"):
        await rig.secrets.check(HERE, [wanted("other", "A")])
    with pytest.raises(NotFound):
        await rig.secrets.check("there", [wanted("crawl", "A")])


# -------------------------------------------------------------------- keys


async def filled(*keys: bytes) -> Rig:
    rig = Rig(*keys)
    for name in ("A", "B", "C"):
        await rig.secrets.set(HERE, name, f"the value of {name}")
    return rig


async def test_a_new_key_seals_all_anew_and_the_old_one_can_go() -> None:
    old, new = b"o" * 32, b"n" * 32
    rig = await filled(old)
    await open_with(rig.store, AesGcmSealer([new, old]), frozenset(), "the-file")
    rig.secrets = rig.opened(new)
    assert [value for *_, value in await rig.told("A", "B")] == ["the value of A", "the value of B"]
    await open_with(rig.store, AesGcmSealer([new]), frozenset(), "the-file")


async def test_a_key_that_is_missing_is_named_and_nothing_is_touched() -> None:
    old, new = b"o" * 32, b"n" * 32
    rig = await filled(old)
    before = await rig.store.page(None, 9)
    with pytest.raises(Misconfigured) as error:
        await open_with(rig.store, AesGcmSealer([new]), frozenset(), "the-file")
    said = str(error.value)
    assert said.startswith(f"the-file lacks keys that sealed secrets: {key_id(old)} (sealed values: 3).")
    assert f"'lost {key_id(old)}'" in said
    assert await rig.store.page(None, 9) == before


async def test_what_a_lost_key_sealed_is_removed() -> None:
    old, new = b"o" * 32, b"n" * 32
    rig = await filled(old)
    rig.secrets = rig.opened(new)
    await rig.secrets.set(HERE, "D", "sealed by the new one")
    await rig.queue.submit([new_job(1, secrets=("A",))])
    both = frozenset({key_id(old), key_id(new)})
    await open_with(rig.store, AesGcmSealer([new]), both, "the-file")
    assert [info.name for info in await rig.secrets.all(HERE)] == ["D"], "its key is there, whatever is said"
    assert await rig.told("A") == [("A", 0, None)], "its job is told that it is not there"


async def test_an_earlier_value_does_not_count_again_because_a_later_one_is_lost() -> None:
    old, new = b"o" * 32, b"n" * 32
    rig = await filled(old)
    await rig.queue.submit([new_job(1, secrets=("A",))])
    await rig.opened(new).rotate(HERE, "A", "the later value")
    await open_with(rig.store, AesGcmSealer([old]), frozenset({key_id(new)}), "the-file")
    assert [info.name for info in await rig.secrets.all(HERE)] == ["B", "C"]


async def test_what_cannot_be_opened_though_its_key_is_there_does_not_stop_the_start() -> None:
    old, new = b"o" * 32, b"n" * 32
    rig = await filled(old)
    first, *_ = await rig.store.page(None, 9)
    await rig.store.reseal([first._replace(data=first.data[:-1] + b"?")])
    await open_with(rig.store, AesGcmSealer([new, old]), frozenset(), "the-file")
    rig.secrets = rig.opened(new, old)
    assert [value for *_, value in await rig.told("A", "B")] == [None, "the value of B"]


def test_a_value_is_not_shown() -> None:
    assert repr(SecretValue("A", 1, "hunter22", b"key")) == "SecretValue('A', version=1)"
