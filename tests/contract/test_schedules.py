"""One suite for every store of schedules: what `ports.schedules` promises."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from mvm_ci.domain.cron import parse_zone
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.schedule import CatchUp, Overlap, Schedule
from mvm_ci.ports.schedules import ScheduleStore

NOW = 1_700_000_000_000

parse_zone("Europe/Berlin")  # what a writer has done before


def schedule(name: str = "nightly", namespace: str = "default", next_ms: int | None = NOW) -> Schedule:
    return Schedule(
        namespace=namespace,
        name=name,
        when="every 1h",
        job='{"module":"aa"}',
        created_ms=NOW,
        next_ms=next_ms,
    )


FULL = replace(
    schedule("full"),
    when="0 9 * * MON-FRI",
    time_zone="Europe/Berlin",
    jitter_ms=5,
    catch_up=CatchUp.ALL,
    overlap=Overlap.QUEUE_ONE,
    job='{"module":"aa","input":"\\u00fc \\" ü"}',
    waiting=(NOW - 2, NOW - 1),
    again_ms=NOW + 3,
    last_fire_ms=NOW - 5,
    last_job=JobId(1 << 62),
    fires=4,
    skipped=3,
    last_error="why",
    last_error_ms=NOW,
)


async def test_a_schedule_comes_back_as_it_went_in(schedules: ScheduleStore) -> None:
    for one in (FULL, schedule(), replace(schedule("paused"), paused=True, next_ms=None)):
        assert await schedules.add(one)
        assert await schedules.get(one.namespace, one.name) == replace(one, revision=1)


async def test_a_name_is_taken_once_in_its_namespace(schedules: ScheduleStore) -> None:
    assert await schedules.add(schedule())
    assert not await schedules.add(replace(schedule(), when="every 2h"))
    assert await schedules.add(schedule(namespace="other"))
    found = await schedules.get("default", "nightly")
    assert found is not None
    assert found.when == "every 1h"
    assert await schedules.get("default", "missing") is None


async def test_only_who_knows_the_revision_replaces(schedules: ScheduleStore) -> None:
    await schedules.add(schedule())
    first = replace(schedule(), revision=1, fires=1)
    assert await schedules.replace(first)
    assert await schedules.get("default", "nightly") == replace(first, revision=2)
    assert not await schedules.replace(replace(first, fires=9))
    assert not await schedules.replace(replace(first, revision=3))
    assert await schedules.get("default", "nightly") == replace(first, revision=2)
    assert not await schedules.replace(replace(schedule("missing"), revision=0))
    assert await schedules.get("default", "missing") is None


async def test_of_many_at_once_one_replaces(schedules: ScheduleStore) -> None:
    await schedules.add(schedule())
    attempts = [schedules.replace(replace(schedule(), revision=1, fires=n)) for n in range(5)]
    assert sum(await asyncio.gather(*attempts)) == 1


async def test_what_is_removed_is_gone(schedules: ScheduleStore) -> None:
    await schedules.add(schedule())
    await schedules.add(schedule(namespace="other"))
    assert await schedules.remove("default", "nightly")
    assert not await schedules.remove("default", "nightly")
    assert not await schedules.replace(replace(schedule(), revision=1))
    assert await schedules.get("default", "nightly") is None
    assert [one.namespace for one in await schedules.due(NOW, 9)] == ["other"]


async def test_pages_are_by_name_within_a_namespace(schedules: ScheduleStore) -> None:
    for name in ("c", "a", "b", "B"):
        await schedules.add(schedule(name))
    await schedules.add(schedule("a2", namespace="other"))
    assert [one.name for one in await schedules.page("default")] == ["B", "a", "b", "c"]
    assert [one.name for one in await schedules.page("default", after="a", limit=1)] == ["b"]
    assert await schedules.page("default", after="c") == []


async def test_due_schedules_come_earliest_first(schedules: ScheduleStore) -> None:
    assert await schedules.next_due() is None
    await schedules.add(schedule("later", next_ms=NOW + 1))
    await schedules.add(schedule("b", next_ms=NOW))
    await schedules.add(schedule("a", namespace="other", next_ms=NOW))
    await schedules.add(schedule("early", namespace="other", next_ms=NOW - 9))
    await schedules.add(schedule("never", next_ms=None))
    assert [one.name for one in await schedules.due(NOW, 9)] == ["early", "b", "a"]
    assert [one.name for one in await schedules.due(NOW, 1)] == ["early"]
    assert await schedules.due(NOW - 10, 9) == []
    assert await schedules.next_due() == NOW - 9


async def test_the_modules_of_all_schedules_are_known(schedules: ScheduleStore) -> None:
    assert await schedules.modules() == set()
    await schedules.add(schedule("a"))
    await schedules.add(
        replace(schedule("b", namespace="other"), job='{"input":{"module":"x"},"module":"bb"}')
    )
    await schedules.add(FULL)
    assert await schedules.modules() == {(schedule("a").namespace, "aa"), ("other", "bb")}


async def test_a_fire_that_waits_is_due_at_its_own_time(schedules: ScheduleStore) -> None:
    waits = replace(schedule(), next_ms=NOW + 100, waiting=(NOW,), again_ms=NOW + 10)
    await schedules.add(waits)
    assert await schedules.next_due() == NOW + 10
    await schedules.replace(replace(waits, revision=1, again_ms=None))
    assert [one.name for one in await schedules.due(NOW, 9)] == ["nightly"]
    await schedules.replace(replace(waits, revision=2, paused=True))
    assert await schedules.next_due() is None
