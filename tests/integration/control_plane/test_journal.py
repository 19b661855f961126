"""A job's journal by range, and as it comes."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from mvm_ci.domain.outcome import Failed, Failure, FailureKind, Parked
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import split
from mvm_ci.journal.entries import Began, ClockRead, Entry, Logged, Placement, Slept
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import MODULE, Stand, submit

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)

BEGAN_NS = 1_700_000_000 * 10**9
BEGAN = Began(2, MODULE, MODULE, bytes(32), BEGAN_NS)
FAILED = Failed(Failure(kind=FailureKind.ERROR, message="again"))


def segment(first: int, *entries: Entry) -> Segment:
    (made,) = split(entries, first)
    return made


def logged(*texts: str) -> list[Entry]:
    return [Logged("stdout", text, 7) for text in texts]


async def job_of_two_attempts(stand: Stand, api: httpx.AsyncClient) -> tuple[str, Any, m.Assignment]:
    """Its id, and the worker that still runs the second attempt."""
    worker = await stand.worker()
    await worker.welcome(credit=1)
    await worker.beat()
    (job,) = await submit(api, max_attempts=2)
    (item,) = await worker.assigned()
    await worker.append(item.placed, segment(0, BEGAN, Placement(1, "one", 5), *logged("a", "b")))
    await worker.end(item, outcome=FAILED, tail=segment(4, *logged("c")))
    await stand.clock.advance(500)
    await worker.send(m.Credit(1))
    (again,) = await worker.assigned()
    await worker.append(again.placed, segment(0, BEGAN, Placement(2, "two", 6), *logged("d", "e")))
    return job["id"], worker, again


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line]


def shown(text: str) -> list[tuple[int, int]]:
    return [(line["attempt"], line["index"]) for line in lines(text)]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, [(2, index) for index in range(4)]),
        ({"attempt": 1}, [(1, index) for index in range(5)]),
        ({"attempt": 1, "from": 3}, [(1, 3), (1, 4)]),
        ({"attempt": 1, "from": 1, "to": 3}, [(1, 1), (1, 2)]),
        ({"attempt": 1, "from": 1, "limit": 3}, [(1, 1), (1, 2), (1, 3)]),
        ({"attempt": 1, "to": 99}, [(1, index) for index in range(5)]),
        ({"attempt": 1, "to": 0}, []),
        ({"from": 4}, []),
        ({"tail": 1}, [(2, 3)]),
        ({"tail": 3, "attempt": 1}, [(1, 2), (1, 3), (1, 4)]),
        ({"tail": 100}, [(2, index) for index in range(4)]),
    ],
)
async def test_a_range_is_what_was_asked_for(
    stand: Stand, api: httpx.AsyncClient, asked: dict[str, int], expected: list[tuple[int, int]]
) -> None:
    job, _, _ = await job_of_two_attempts(stand, api)
    answer = await api.get(f"/v1/jobs/{job}/journal", params=asked)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert shown(answer.text) == expected


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"attempt": 3}, 404, "has had 2 attempts; there is no attempt 3"),
        ({"tail": 1, "from": 1}, 400, "tail with from"),
        ({"follow": 1, "to": 1}, 400, "follow with to"),
        ({"follow": 1, "limit": 1}, 400, "follow with limit"),
        ({"from": 3, "to": 2}, 400, "before from"),
        ({"limit": 0}, 400, "limit"),
    ],
)
async def test_what_contradicts_itself_is_refused(
    stand: Stand, api: httpx.AsyncClient, asked: dict[str, int], status: int, says: str
) -> None:
    job, _, _ = await job_of_two_attempts(stand, api)
    answer = await api.get(f"/v1/jobs/{job}/journal", params=asked)
    assert answer.status_code == status
    assert says in answer.json()["detail"]


async def test_entries_have_times_sizes_and_words(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await stand.worker()
    await worker.welcome(credit=1)
    await worker.beat()
    (job,) = await submit(api)
    (item,) = await worker.assigned()
    calls = [ClockRead(wall=False, value_ns=2 * 10**9), Slept(5 * 10**9, 3 * 10**9), *logged("hello\nyou")]
    await worker.append(item.placed, segment(0, BEGAN, Placement(1, "one", 5), *calls))
    found = lines((await api.get(f"/v1/jobs/{job['id']}/journal")).text)
    at_ms = BEGAN_NS // 10**6
    assert [(line["kind"], line["summary"], line.get("answer", ""), line["at_ms"]) for line in found] == [
        ("Began", f"module {MODULE[:12]} input {MODULE[:12]}", "format 2", at_ms),
        ("Placement", "1 on one", "", 5),
        ("ClockRead", "monotonic", "2.000 s", at_ms + 2_000),
        ("Slept", "3.000 s", "until 5.000 s", at_ms + 2_000),
        ("Logged", "stdout: hello you", "", 7),
    ]
    assert all(line["bytes"] > 0 and line["place"] == "one" for line in found)
    assert found[3]["fields"] == {"wake_ns": 5 * 10**9, "duration_ns": 3 * 10**9}


class Reader:
    """Follows a journal."""

    def __init__(self, api: httpx.AsyncClient, job: str, **asked: int) -> None:
        self.came: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.task = asyncio.create_task(self._read(api, job, {"follow": 1, **asked}))

    async def _read(self, api: httpx.AsyncClient, job: str, asked: dict[str, int]) -> None:
        async with api.stream("GET", f"/v1/jobs/{job}/journal", params=asked) as answer:
            async for line in answer.aiter_lines():
                if line:
                    self.came.put_nowait(json.loads(line))

    async def next(self, count: int) -> list[tuple[int, int, str]]:
        """Attempt, index and place of the next so many entries."""
        async with asyncio.timeout(10):
            found = [await self.came.get() for _ in range(count)]
        return [(line["attempt"], line["index"], line["place"]) for line in found]


async def test_entries_are_sent_as_they_become_durable_over_all_attempts(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    job, worker, item = await job_of_two_attempts(stand, api)
    reader = Reader(api, job, attempt=1)
    assert await reader.next(5) == [(1, index, "one") for index in range(5)]
    assert await reader.next(4) == [(2, index, "two") for index in range(4)]
    await worker.append(item.placed, segment(4, Placement(3, "three", 8), *logged("f")))
    assert await reader.next(2) == [(2, 4, "three"), (2, 5, "three")]
    assert not reader.task.done()
    await worker.end(item, tail=segment(6, *logged("g")))
    assert await reader.next(1) == [(2, 6, "three")]
    async with asyncio.timeout(10):
        await reader.task
    assert (reader.came.qsize(), len(stand.plane.services.waiters)) == (0, 0)


async def test_a_follower_begins_where_it_was_told_and_ends_with_a_pause(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    job, worker, item = await job_of_two_attempts(stand, api)
    reader = Reader(api, job, tail=1)
    assert await reader.next(1) == [(2, 3, "two")]
    parked = Parked(Failure(kind=FailureKind.NONDETERMINISM, message="differs"))
    await worker.end(item, outcome=parked, tail=segment(4, *logged("f")))
    assert await reader.next(1) == [(2, 4, "two")]
    async with asyncio.timeout(10):
        await reader.task


async def test_damage_is_the_last_line_and_what_is_before_it_is_shown(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    job, worker, item = await job_of_two_attempts(stand, api)
    await worker.append(item.placed, Segment(4, 1, b"noise that is no journal"))
    await worker.append(item.placed, segment(5, *logged("f")))
    for asked in ({}, {"from": 9}, {"follow": 1}):
        async with asyncio.timeout(10):
            answer = await api.get(f"/v1/jobs/{job}/journal", params=asked)
        *whole, damage = lines(answer.text)
        assert len(whole) == (0 if "from" in asked else 4)
        assert (damage["kind"], damage["index"]) == ("Damage", 4)
        assert job in damage["summary"]


async def test_a_long_journal_comes_in_portions(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await stand.worker()
    await worker.welcome(credit=1)
    await worker.beat()
    (job,) = await submit(api)
    (item,) = await worker.assigned()
    made = split([BEGAN, Placement(1, "one", 5), *logged(*map(str, range(3_000)))], 0)
    await worker.append(item.placed, *made)
    answer = await api.get(f"/v1/jobs/{job['id']}/journal")
    assert [line["index"] for line in lines(answer.text)] == list(range(3_002))
    part = await api.get(f"/v1/jobs/{job['id']}/journal", params={"from": 499, "limit": 3})
    assert shown(part.text) == [(1, 499), (1, 500), (1, 501)]
