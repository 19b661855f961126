"""One suite for every event log: what `ports.event_log` promises."""

from mvm_ci.domain.events import NO_JOB, EventBatch, EventKind, JobEvent, pack
from mvm_ci.domain.ids import JobId
from mvm_ci.ports.event_log import EventLog

NOW = 1_700_000_000_000


def batch(first: int, count: int = 1, at_ms: int = NOW) -> EventBatch:
    return pack(first, at_ms, [(EventKind.ENDED, [JobId(number) for number in range(1, count + 1)])])


async def firsts(log: EventLog, after: int = 0, limit: int = 100) -> list[int]:
    return [one.first for one in await log.read(after, limit)]


async def test_an_empty_log_has_no_numbers(event_log: EventLog) -> None:
    assert await event_log.last() == 0
    assert await event_log.read(0, 10) == []
    assert await event_log.trim(NOW + 1, 1, 10) == (0, 0)


async def test_batches_come_back_as_they_were_whoever_waits(event_log: EventLog) -> None:
    groups = [(EventKind.RESTARTED, [NO_JOB]), (EventKind.SUBMITTED, [JobId(7), JobId(8)])]
    written = pack(10, NOW, groups)
    await event_log.append(written, at_once=False)
    assert await event_log.read(0, 10) == [written]
    assert written.events() == [
        JobEvent(10, NOW, EventKind.RESTARTED, None),
        JobEvent(11, NOW, EventKind.SUBMITTED, JobId(7)),
        JobEvent(12, NOW, EventKind.SUBMITTED, JobId(8)),
    ]
    assert await event_log.last() == 12


async def test_reading_begins_with_the_batch_that_holds_the_next_number(event_log: EventLog) -> None:
    for first, count in ((1, 3), (4, 2), (100, 1)):
        await event_log.append(batch(first, count), at_once=True)
    assert await firsts(event_log, 0) == await firsts(event_log, 2) == [1, 4, 100]
    assert await firsts(event_log, 3) == await firsts(event_log, 4) == [4, 100]
    assert await firsts(event_log, 5) == await firsts(event_log, 99) == [100]
    assert await firsts(event_log, 100) == []
    assert await firsts(event_log, 0, 2) == [1, 4]


async def test_old_batches_are_trimmed_but_for_the_newest(event_log: EventLog) -> None:
    for first, at_ms in ((1, NOW), (3, NOW + 1), (5, NOW + 2)):
        await event_log.append(batch(first, 2, at_ms), at_once=True)
    assert await event_log.trim(NOW + 1, None, 10) == (1, 2)
    assert await firsts(event_log) == [3, 5]
    assert await event_log.trim(NOW + 9, None, 10) == (1, 2)
    assert await firsts(event_log) == [5]
    assert await event_log.last() == 6


async def test_what_is_beyond_the_newest_is_trimmed_in_whole_batches(event_log: EventLog) -> None:
    for first in (1, 3, 5, 7):
        await event_log.append(batch(first, 2), at_once=True)
    assert await event_log.trim(0, 5, 10) == (1, 2)
    assert await firsts(event_log) == [3, 5, 7]


async def test_trimming_looks_at_no_more_batches_than_asked(event_log: EventLog) -> None:
    for first in (1, 2, 3, 4):
        await event_log.append(batch(first), at_once=True)
    assert await event_log.trim(NOW + 1, None, 2) == (2, 2)
    assert await firsts(event_log) == [3, 4]
