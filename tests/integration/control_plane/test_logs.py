"""A job's output by range: from, to, limit, tail, and what contradicts itself."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from mvm_ci.domain.outcome import Failed, Failure, FailureKind
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import split
from mvm_ci.journal.entries import ClockRead, Entry, Logged
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from mvm_ci.wire.api import MAX_LINES
from tests.integration.control_plane.conftest import Stand, submit

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)

FIRST = [(1, 1, "a"), (1, 2, "b"), (1, 4, "c")]
SECOND = [(2, 1, "d"), (2, 2, "e")]
LINES = [*FIRST, *SECOND]
FAILED = Failed(Failure(kind=FailureKind.ERROR, message="again"))


def segment(first: int, *texts: str) -> Segment:
    """An entry that is no output, then output."""
    entries: list[Entry] = [ClockRead(wall=True, value_ns=1), *(Logged("stdout", text, 7) for text in texts)]
    (made,) = split(entries, first)
    return made


async def job_of_two_attempts(stand: Stand, api: httpx.AsyncClient) -> tuple[str, Any, m.Assignment]:
    """Its id, and the worker that still runs the second attempt."""
    worker = await stand.worker()
    await worker.welcome(credit=1)
    await worker.beat()
    (job,) = await submit(api, max_attempts=2)
    (item,) = await worker.assigned()
    await worker.append(item.placed, segment(0, "a", "b"))
    await worker.end(item, outcome=FAILED, tail=segment(3, "c"))
    await stand.clock.advance(500)
    await worker.send(m.Credit(1))
    (again,) = await worker.assigned()
    await worker.append(again.placed, segment(0, "d", "e"))
    return job["id"], worker, again


def shown(text: str) -> list[tuple[int, int, str]]:
    lines = [json.loads(line) for line in text.splitlines() if line]
    return [(line["attempt"], line["index"], line["text"]) for line in lines]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, LINES),
        ({"from": 2}, LINES[1:]),
        ({"from": 2, "to": 4}, [FIRST[1]]),
        ({"from": 2, "to": 5}, FIRST[1:]),
        ({"from": 2, "to": 99}, FIRST[1:]),
        ({"from": 2, "to": 2}, []),
        ({"to": 2}, FIRST[:1]),
        ({"to": 0}, []),
        ({"attempt": 2, "to": 2}, SECOND[:1]),
        ({"attempt": 2, "from": 2}, SECOND[1:]),
        ({"attempt": 3}, []),
        ({"limit": 1}, LINES[:1]),
        ({"limit": 4}, LINES[:4]),
        ({"limit": MAX_LINES}, LINES),
        ({"from": 2, "limit": 3}, LINES[1:4]),
        ({"from": 2, "to": 5, "limit": 1}, FIRST[1:2]),
        ({"tail": 1}, LINES[-1:]),
        ({"tail": 2}, LINES[-2:]),
        ({"tail": 4}, LINES[-4:]),
        ({"tail": MAX_LINES}, LINES),
        ({"attempt": 2, "tail": 4}, SECOND),
        ({"attempt": 3, "tail": 4}, []),
    ],
)
async def test_a_range_is_what_was_asked_for(
    stand: Stand, api: httpx.AsyncClient, asked: dict[str, int], expected: list[tuple[int, int, str]]
) -> None:
    job, _, _ = await job_of_two_attempts(stand, api)
    answer = await api.get(f"/v1/jobs/{job}/logs", params=asked)
    assert answer.status_code == 200, answer.text
    assert shown(answer.text) == expected


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"from": 5, "to": 4}, "to: 4 is before from, 5"),
        ({"tail": 1, "from": 0}, "tail with from"),
        ({"tail": 1, "to": 9}, "tail with to"),
        ({"tail": 1, "limit": 9}, "tail with limit"),
        ({"follow": 1, "to": 9}, "follow with to"),
        ({"follow": 1, "limit": 9}, "follow with limit"),
        ({"limit": 0}, "limit: 0 is not between 1 and 10000"),
        ({"tail": MAX_LINES + 1}, "tail: 10001 is not between 1 and 10000"),
        ({"to": -1}, "to: -1 is not between 0"),
    ],
)
async def test_what_contradicts_itself_is_refused_with_the_reason(
    stand: Stand, api: httpx.AsyncClient, asked: dict[str, int], words: str
) -> None:
    (job,) = await submit(api)
    answer = await api.get(f"/v1/jobs/{job['id']}/logs", params=asked)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-input")
    assert words in answer.json()["detail"]
    assert len(stand.plane.services.waiters) == 0


async def test_page_after_page_is_the_whole(stand: Stand, api: httpx.AsyncClient) -> None:
    job, _, _ = await job_of_two_attempts(stand, api)
    pages, params = [], {"limit": 2}
    while page := shown((await api.get(f"/v1/jobs/{job}/logs", params=params)).text):
        pages.append(page)
        attempt, index, _ = page[-1]
        params |= {"attempt": attempt, "from": index + 1}
    assert pages == [LINES[:2], LINES[2:4], LINES[4:]]


async def test_of_a_long_journal_the_newest_lines_are_found_from_its_end(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await stand.worker()
    await worker.welcome(credit=1)
    await worker.beat()
    (job,) = await submit(api)
    (item,) = await worker.assigned()
    await worker.append(item.placed, segment(0, "old"))
    quiet: list[Entry] = [ClockRead(wall=True, value_ns=n) for n in range(1_000)]
    for at in range(3):
        await worker.append(item.placed, *split(quiet, 2 + 1_000 * at))
    await worker.append(item.placed, segment(3_002, "new"))
    answers = [await api.get(f"/v1/jobs/{job['id']}/logs", params={"tail": n}) for n in (1, 2)]
    assert [shown(answer.text) for answer in answers] == [
        [(1, 3_003, "new")],
        [(1, 1, "old"), (1, 3_003, "new")],
    ]


@pytest.mark.parametrize("tail", [1, 3])
async def test_the_newest_lines_are_followed_by_those_that_come(
    stand: Stand, api: httpx.AsyncClient, tail: int
) -> None:
    job, worker, item = await job_of_two_attempts(stand, api)
    lines: list[str] = []

    async def read() -> None:
        params = {"follow": 1, "tail": tail}
        async with api.stream("GET", f"/v1/jobs/{job}/logs", params=params) as answer:
            async for line in answer.aiter_lines():
                lines.append(line)  # noqa: PERF401 (each as it comes)

    async with asyncio.timeout(20):
        reading = asyncio.create_task(read())
        while len(lines) < tail:
            await settle()
        await worker.end(item, tail=segment(3, "f"))
        await reading
    assert shown("\n".join(lines)) == [*LINES[-tail:], (2, 4, "f")]


async def test_the_newest_lines_of_a_job_without_any_are_none(stand: Stand, api: httpx.AsyncClient) -> None:
    (job,) = await submit(api)
    answer = await api.get(f"/v1/jobs/{job['id']}/logs", params={"tail": 5})
    assert (answer.status_code, answer.text) == (200, "")
