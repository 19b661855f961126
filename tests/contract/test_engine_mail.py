"""The contract of ``ports.engine.Engine`` for guests that ask, wait for mail, or go on as new."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.mail import NEVER_MS, WAIT_FOR_MAIL
from mvm_ci.domain.outcome import Completed, Continued, Failed, FailureKind, Released, Stopped, Suspended
from mvm_ci.domain.payload import BlobRef
from mvm_ci.journal.entries import Awaited, Called, Took
from tests.integration.engine.fake_guests import script
from tests.integration.engine.fakes import ROOT, World, running

GO = "message:go"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with blockbuster_ctx("mvm_ci"):
        async with running(tmp_path) as world:
            yield world


@pytest.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[World]:
    """Its guests are suspended after a moment."""
    async with running(tmp_path, suspend_after_ms=50) as world:
        yield world


def result(outcome: object) -> object:
    assert isinstance(outcome, Completed), outcome
    assert isinstance(outcome.result, bytes)
    return json.loads(outcome.result)


def took(world: World, job: int = 1, epoch: int = 1) -> list[int | None]:
    """The numbers of the mail that a job's journal took; None: a wait that took too long."""
    ends = [entry.mail for entry in world.entries(job, epoch) if isinstance(entry, Took)]
    return [mail.number if mail is not None else None for mail in ends]


async def asked(world: World, count: int) -> None:
    """Returns when the control plane was asked so often."""
    async with asyncio.timeout(30):
        while len(world.plane.asked) < count:
            await world.plane._changed.wait()


# -------------------------------------------------------------------- asks


async def test_what_is_asked_is_answered_once_all_before_it_is_durable(world: World) -> None:
    world.journal.open.clear()
    placed = world.place(1, script(["log", "before"], ["call", "message.send", {"to": "x"}]))
    async with asyncio.timeout(30):
        await world.journal.asked.wait()
    assert world.plane.asked == []
    world.journal.open.set()
    await asked(world, 1)
    [(by, name, key, argument)] = world.plane.asked
    assert (by, name, json.loads(argument)) == (placed, "message.send", {"to": "x"})
    assert key.endswith("-1-0")
    world.plane.answers["message.send"].set_result(b'{"ok": {"job": "y"}}')
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [None, {"ok": {"job": "y"}}]


async def test_an_ask_waits_for_the_lease(world: World) -> None:
    world.lease.event.clear()
    world.place(1, script(["call", "message.send", {}]))
    async with asyncio.timeout(30):
        await world.lease.asked.wait()
    assert world.plane.asked == []
    world.lease.event.set()
    await asked(world, 1)


async def test_an_answered_ask_is_not_asked_again_at_replay(world: World) -> None:
    payload = script(["call", "child.start", {}], ["http", "GET", "http://a/"])
    world.http.open.clear()
    world.place(1, payload)
    await asked(world, 1)
    world.plane.answers["child.start"].set_result(b'{"ok": {"jobs": ["c"]}}')
    async with asyncio.timeout(30):
        await world.http.asked.wait()
    await world.journal.wait_for(1, Called)
    os.kill(world.pool.runner_pids[0], signal.SIGKILL)
    world.http.open.set()
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [{"ok": {"jobs": ["c"]}}, [200, 2]]
    assert len(world.plane.asked) == 1


async def test_an_ask_whose_answer_was_lost_is_asked_again_under_its_key(world: World) -> None:
    world.place(1, script(["call", "child.start", {}]))
    await asked(world, 1)
    os.kill(world.pool.runner_pids[0], signal.SIGKILL)
    await asked(world, 2)
    assert world.plane.asked[0] == world.plane.asked[1]
    world.plane.answers["child.start"].set_result(b'{"ok": null}')
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [{"ok": None}]


async def test_what_is_told_needs_no_answer(world: World) -> None:
    placed = world.place(1, script(["call", "job.progress", {"text": "half", "done": 1}]))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [{"ok": None}]
    [(by, name, argument)] = world.plane.told
    assert (by, name, json.loads(argument)) == (placed, "progress", {"text": "half", "done": 1.0})


# -------------------------------------------------------------------- waits


async def test_mail_that_comes_goes_to_the_guest_that_waits_and_is_taken_with_its_entry(world: World) -> None:
    world.place(1, script(["wait", GO], ["wait", GO]))
    await world.plane.until_waiting(1)
    world.plane.send(1, "message:other", b"0")
    world.plane.send(1, GO, b"1")
    world.plane.send(1, GO, b"2")
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [1, 2]
    assert took(world) == [2, 3]
    segments = [*world.journal.segments[JobId(1)], world.tail(1)]
    assert [number for segment in segments if segment for number in segment.taken] == [2, 3]


async def test_large_mail_is_read_by_the_guest_and_kept_by_reference(world: World) -> None:
    body = json.dumps("x" * 50_000).encode()
    world.plane.send(1, GO, await world.payloads.put(body))
    world.place(1, script(["wait", GO]))
    [outcome] = await world.events.wait_ended(1)
    assert isinstance(outcome, Completed)
    assert isinstance(outcome.result, BlobRef)
    assert outcome.result.size > 50_000
    assert sum(len(segment.data) for segment in world.journal.segments[JobId(1)]) < 2_000


async def test_a_wait_takes_at_most_its_time(world: World) -> None:
    world.place(1, script(["wait", GO, 0.05], ["echo", 1]))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [None, 1]
    assert took(world) == [None]
    assert world.plane.waiting == 0, "the control plane is not left waiting"


@pytest.mark.parametrize("timeout_s", [0, 0.000_001])
async def test_a_wait_without_time_finds_what_is_there(world: World, timeout_s: float) -> None:
    world.plane.send(1, GO, b"1")
    world.place(1, script(["wait", GO, timeout_s], ["wait", GO, timeout_s]))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [1, None]


async def test_mail_that_comes_after_the_time_is_for_the_next_wait(world: World) -> None:
    world.http.open.clear()
    world.place(1, script(["wait", GO, 0.05], ["http", "GET", "http://a/"], ["wait", GO]))
    async with asyncio.timeout(30):
        await world.http.asked.wait()
    world.plane.send(1, GO, b"1")
    world.http.open.set()
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [None, [200, 2], 1]
    assert took(world) == [None, 1]


async def test_what_came_for_one_wait_is_there_for_later_ones(world: World) -> None:
    for body in (b"1", b"2", b"3"):
        world.plane.send(1, GO, body)
    both = {"topics": ["message:other", GO]}
    world.place(1, script(["call", "wait", both], ["wait", "message:other", 0], ["wait", GO], ["wait", GO]))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [{"ok": {"topic": GO, "value": 1}}, None, 2, 3]
    assert took(world) == [1, None, 2, 3]


async def test_guests_that_wait_for_mail_leave_their_slot_to_others(world: World) -> None:
    assert (world.pool.slots, world.pool.extra) == (1, 0)
    for job in range(1, 21):
        world.place(job, script(["wait", GO]))
    await world.plane.until_waiting(20)
    assert world.pool.extra == 20
    world.place(99, script(["echo", 1]))
    await world.events.wait_ended(99)
    world.place(98, script(["spin"]))
    await world.events.wait_started(98)
    for job in range(1, 21):
        world.plane.send(job, GO, b"%d" % job)
    outcomes = await world.events.wait_ended(*range(1, 21))
    assert [result(outcome) for outcome in outcomes] == [[job] for job in range(1, 21)]


async def test_a_guest_that_waits_for_mail_is_stopped_at_once(world: World) -> None:
    placed = world.place(1, script(["wait", GO]))
    await world.plane.until_waiting(1)
    [pid] = world.pool.runner_pids
    world.pool.stop(placed)
    assert await world.events.wait_ended(1) == [Stopped()]
    await world.plane.until_waiting(0)
    assert world.pool.runner_pids == [pid], "it left when it was told to"


async def test_a_guest_that_waits_for_mail_is_dropped_without_a_word(world: World) -> None:
    placed = world.place(1, script(["wait", GO]))
    await world.plane.until_waiting(1)
    world.pool.drop([placed])
    await world.plane.until_waiting(0)
    world.plane.send(1, GO, b"1")
    journal = world.journal.segments[JobId(1)]
    world.pool.place([world.placement(1, script(["wait", GO]), epoch=2, journal=journal)])
    [outcome] = await world.events.wait_ended(1, epoch=2)
    assert result(outcome) == [1]
    assert placed not in world.events.ends


async def test_a_guest_that_waits_for_mail_is_handed_over(world: World) -> None:
    world.place(1, script(["wait", GO], ["wait", GO]))
    world.plane.send(1, GO, b"1")
    await world.journal.wait_for(1, Took)
    await world.plane.until_waiting(1)
    await world.pool.drain(0)
    assert await world.events.wait_ended(1) == [Released()]
    assert took(world) == [1]
    assert isinstance(world.entries(1)[-1], Awaited)
    assert world.plane.waiting == 0


async def test_the_time_limit_counts_waits_for_mail(world: World) -> None:
    world.place(1, script(["wait", GO]), timeout_ms=100)
    [outcome] = await world.events.wait_ended(1)
    assert isinstance(outcome, Failed)
    assert outcome.failure.kind is FailureKind.TIME


@pytest.mark.parametrize("steps", [[["wait", GO]], [["wait", GO], ["wait", GO]]])
async def test_a_runner_killed_under_a_guest_that_waits(world: World, steps: list[list[str]]) -> None:
    """However far it was, it goes on with what it had, and gets what it has not."""
    world.place(1, script(*steps))
    for number in range(1, len(steps)):
        world.plane.send(1, GO, b"%d" % number)
        await world.journal.wait_for(1, Took)
    await world.plane.until_waiting(1)
    before = len(world.plane.asked)
    os.kill(world.pool.runner_pids[0], signal.SIGKILL)
    await asked(world, before + 1)
    world.plane.send(1, GO, b"%d" % len(steps))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == list(range(1, len(steps) + 1))
    assert took(world) == list(range(1, len(steps) + 1))


async def test_mail_whose_entry_was_lost_comes_again(world: World) -> None:
    """The guest had it; its runner died before that was durable."""
    world.plane.send(1, GO, b"1")
    count = world.directory / "deaths"
    world.place(1, script(["wait", GO], ["die", str(count), 2], ["wait", GO, 0]))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [1, "alive", None]
    assert took(world) == [1, None]


# -------------------------------------------------------------------- suspension


async def test_a_wait_that_lasts_is_suspended_and_gives_the_slot_back(impatient: World) -> None:
    world = impatient
    world.place(1, script(["wait", GO]))
    world.place(2, script(["wait", GO, 3_600]))
    forever, an_hour = await world.events.wait_ended(1, 2)
    assert forever == Suspended(NEVER_MS, (GO,))
    assert isinstance(an_hour, Suspended)
    (begun,) = [entry for entry in world.entries(2) if isinstance(entry, Awaited)]
    assert an_hour.topics == (GO,)
    assert begun.duration_ns == 3_600 * 10**9
    assert world.pool.extra == world.plane.waiting == 0


async def test_mail_that_comes_in_the_last_moment_is_taken_before_a_suspension(impatient: World) -> None:
    world = impatient
    world.journal.open.clear()
    world.place(1, script(["log", "x"], ["wait", GO]))
    async with asyncio.timeout(30):
        await world.journal.asked.wait()
    world.plane.send(1, GO, b"1")
    world.journal.open.set()
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [None, 1]


async def test_a_suspended_wait_goes_on_where_it_was(impatient: World) -> None:
    world = impatient
    payload = script(["wait", GO], ["wait", GO], ["wait", "message:never", 0.12])
    world.plane.send(1, GO, b"1")
    world.place(1, payload)
    assert await world.events.wait_ended(1) == [Suspended(NEVER_MS, (GO,))]
    tail = world.tail(1)
    journal = [*world.journal.segments[JobId(1)], *([tail] if tail else [])]
    world.journal.segments[JobId(1)] = journal
    world.plane.send(1, GO, b"2")
    world.pool.place([world.placement(1, payload, epoch=2, journal=journal)])
    [waits] = await world.events.wait_ended(1, epoch=2)
    assert isinstance(waits, Suspended)
    assert (waits.topics, waits.wake_ms < NEVER_MS) == (("message:never",), True)
    tail = world.tail(1, epoch=2)
    journal = [*world.journal.segments[JobId(1)], *([tail] if tail else [])]
    world.journal.segments[JobId(1)] = journal
    # Placed long after its time: what is asked for then is what is there.
    await asyncio.sleep(0.15)
    world.pool.place([world.placement(1, payload, epoch=3, journal=journal)])
    [outcome] = await world.events.wait_ended(1, epoch=3)
    assert result(outcome) == [1, 2, None]
    assert took(world, epoch=3) == [1, 2, None]


# -------------------------------------------------------------------- going on as new


async def test_a_guest_that_goes_on_as_new_ends_with_its_next_input(world: World) -> None:
    world.plane.send(1, GO, b"1")
    world.place(1, script(["wait", GO], ["call", "job.continue", {"input": {"n": 2}}], ["echo", "never"]))
    [outcome] = await world.events.wait_ended(1)
    assert outcome == Continued(b'{"n": 2}')
    assert took(world) == [1]
    world.place(2, script(["call", "job.continue", {"input": "x" * 3_000}], ["big", 1]))
    [small] = await world.events.wait_ended(2)
    assert small == Continued(json.dumps("x" * 3_000).encode())


async def test_questions_of_the_last_moment_are_looks_and_no_more(world: World) -> None:
    world.place(1, script(["wait", GO, 0.01]))
    await world.events.wait_ended(1)
    assert {name for _, name, _, _ in world.plane.asked} == {WAIT_FOR_MAIL}
    assert len(world.plane.asked) <= 2
