"""The contract of ``ports.engine.Engine``, held against every engine there is."""

import asyncio
import json
import re
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from mvm_ci.domain.errors import BadModule
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import OVERDUE, Completed, Failed, FailureKind, Released, Stopped, Suspended
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.journal.entries import Began, Finished, HttpDone, HttpIntent, Logged, SecretRead
from tests.integration.engine.fake_guests import script
from tests.integration.engine.fakes import World


def completed(outcome: object) -> bytes:
    assert isinstance(outcome, Completed), outcome
    assert isinstance(outcome.result, bytes)
    return outcome.result


async def test_a_guest_runs_and_its_result_comes_with_its_journal(world: World) -> None:
    world.place(1, script(["log", "hello"], ["echo", 42]))
    [outcome] = await world.events.wait_ended(1)
    assert completed(outcome) == b"[null, 42]"
    entries = world.entries(1)
    assert isinstance(entries[0], Began)
    assert [entry.text for entry in entries if isinstance(entry, Logged)] == ["hello"]
    assert isinstance(entries[-1], Finished)


async def test_each_placement_ends_once_whatever_their_number(world: World) -> None:
    world.pool.place([world.placement(job, script(["echo", job])) for job in range(1, 301)])
    outcomes = await world.events.wait_ended(*range(1, 301))
    assert [completed(outcome) for outcome in outcomes] == [b"[%d]" % job for job in range(1, 301)]
    assert len(world.events.ends) == 300


async def test_starts_are_told_before_the_end(world: World) -> None:
    placed = world.place(1, script(["http", "GET", "http://a/"]))
    await world.events.wait_ended(1)
    assert world.events.starts == [placed]


async def test_a_failing_guest_fails(world: World) -> None:
    world.place(1, script(["fail", "sorry"]))
    [outcome] = await world.events.wait_ended(1)
    assert isinstance(outcome, Failed)
    assert (outcome.failure.kind, outcome.failure.message) == (FailureKind.ERROR, "sorry")


async def test_a_bad_module_fails_with_its_reason(world: World) -> None:
    bad = Digest("ee" * 32)
    world.payloads.bad_modules.add(bad)
    world.pool.place([world.placement(1, script(), module=bad)])
    [outcome] = await world.events.wait_ended(1)
    assert isinstance(outcome, Failed)
    assert outcome.failure.kind is FailureKind.MODULE
    assert str(BadModule("it is not a module")) in outcome.failure.message


async def test_a_large_input_and_a_large_result_are_blobs(world: World) -> None:
    ref = await world.payloads.put(script(["echo", "y" * 10_000], ["big", 9000]))
    world.place(1, ref)
    [outcome] = await world.events.wait_ended(1)
    assert isinstance(outcome, Completed)
    assert isinstance(outcome.result, BlobRef)
    assert len(world.payloads.blobs[outcome.result.digest]) == outcome.result.size > 19_000


async def test_an_input_that_is_gone_fails_the_job(world: World) -> None:
    world.place(1, BlobRef(Digest("00" * 32), 5))
    [outcome] = await world.events.wait_ended(1)
    assert isinstance(outcome, Failed)


async def test_a_store_that_is_away_for_a_moment_costs_nothing(world: World) -> None:
    world.payloads.unavailable = 3
    world.place(1, script(["big", 5000]))
    [outcome] = await world.events.wait_ended(1)
    assert isinstance(outcome, Completed)


async def test_entries_are_durable_before_a_request_leaves(world: World) -> None:
    world.journal.open.clear()
    world.place(1, script(["log", "before"], ["http", "POST", "http://a/"]))
    async with asyncio.timeout(30):
        await world.journal.asked.wait()
    assert world.http.requests == []
    world.journal.open.set()
    [outcome] = await world.events.wait_ended(1)
    assert completed(outcome) == b"[null, [200, 2]]"
    kinds = [type(entry) for entry in world.journal.entries(1)]
    assert kinds.index(Logged) < kinds.index(HttpIntent) < kinds.index(HttpDone)


async def test_a_request_waits_for_the_lease(world: World) -> None:
    world.lease.event.clear()
    world.place(1, script(["http", "GET", "http://a/"]))
    async with asyncio.timeout(30):
        await world.lease.asked.wait()
    assert world.http.requests == []
    world.lease.event.set()
    [outcome] = await world.events.wait_ended(1)
    assert completed(outcome) == b"[[200, 2]]"
    assert len(world.http.requests) == 1


async def test_a_large_answer_reaches_the_guest_and_the_journal_by_reference(world: World) -> None:
    world.http.body = b"z" * 100_000
    world.place(1, script(["http", "GET", "http://a/"]))
    [outcome] = await world.events.wait_ended(1)
    assert completed(outcome) == b"[[200, 100000]]"
    assert sum(len(segment.data) for segment in world.journal.segments[JobId(1)]) < 2000


async def test_a_journal_is_replayed_and_its_effects_are_not_repeated(world: World) -> None:
    payload = script(["http", "POST", "http://a/"], ["clock"], ["http", "GET", "http://b/"])
    world.place(1, payload)
    [first] = await world.events.wait_ended(1)
    done = len(world.http.requests)
    segments = world.journal.segments[JobId(1)]
    world.pool.place([world.placement(1, payload, epoch=2, journal=segments)])
    [second] = await world.events.wait_ended(1, epoch=2)
    assert completed(second) == completed(first)
    # Only what was not durable before (the last GET) may be asked again.
    assert [request.method for request in world.http.requests[done:]] in ([], ["GET"])


@pytest.mark.parametrize("steps", [["spin"], ["sleep", 50_000], ["http", "GET", "http://a/"]])
async def test_a_running_guest_is_stopped(world: World, steps: list[object]) -> None:
    world.http.open.clear()
    placed = world.place(1, script(["log", "x"], steps))
    await world.events.wait_started(1)
    world.pool.stop(placed)
    assert await world.events.wait_ended(1) == [Stopped()]
    world.place(2, script(["echo", 1]))
    await world.events.wait_ended(2)


async def test_a_waiting_placement_is_stopped(world: World) -> None:
    running_one = world.place(1, script(["spin"]))
    waiting = world.place(2, script(["echo", 1]))
    await world.events.wait_started(1)
    world.pool.stop(waiting)
    assert await world.events.wait_ended(2) == [Stopped()]
    world.pool.stop(running_one)
    await world.events.wait_ended(1)


async def test_a_guest_that_waits_for_its_journal_is_stopped(world: World) -> None:
    world.journal.open.clear()
    placed = world.place(1, script(["http", "GET", "http://a/"]))
    async with asyncio.timeout(30):
        await world.journal.asked.wait()
    world.pool.stop(placed)
    assert await world.events.wait_ended(1) == [Stopped()]
    assert world.http.requests == []


async def test_stopping_and_dropping_what_is_unknown_does_nothing(world: World) -> None:
    world.pool.stop(Placed(JobId(99), 1))
    world.pool.drop([Placed(JobId(99), 1)])
    world.place(1, script(["echo", 1]))
    await world.events.wait_ended(1)
    assert len(world.events.ends) == 1


async def test_dropped_placements_are_not_reported(world: World) -> None:
    one = world.place(1, script(["spin"]))
    two = world.place(2, script(["echo", 2]))
    await world.events.wait_started(1)
    world.pool.drop([one, two])
    world.place(3, script(["echo", 3]))
    await world.events.wait_ended(3)
    assert set(world.events.ends) == {Placed(JobId(3), 1)}


async def test_a_dropped_job_can_be_placed_again_at_once(world: World) -> None:
    one = world.place(1, script(["spin"]))
    await world.events.wait_started(1)
    world.pool.drop([one])
    world.place(1, script(["echo", 1]), epoch=2)
    [outcome] = await world.events.wait_ended(1, epoch=2)
    assert completed(outcome) == b"[1]"


async def test_a_placement_that_runs_too_long_fails(world: World) -> None:
    world.place(1, script(["log", "x"], ["spin"]), timeout_ms=100)
    [outcome] = await world.events.wait_ended(1)
    assert isinstance(outcome, Failed)
    assert outcome.failure.kind is FailureKind.TIME
    assert isinstance(world.entries(1)[-1], Finished)


@pytest.mark.parametrize(
    "steps", [["spin"], ["sleep", 50_000], ["http", "GET", "http://a/"], ["wait", "message:go"]]
)
async def test_a_placement_fails_at_its_deadline_whatever_it_does(world: World, steps: list[object]) -> None:
    world.http.open.clear()
    world.pool.place([msgspec.structs.replace(world.placement(1, script(["log", "x"], steps)), left_ms=200)])
    assert await world.events.wait_ended(1) == [Failed(OVERDUE)]
    end = world.entries(1)[-1]
    assert isinstance(end, Finished)
    assert end.failure == OVERDUE


async def test_a_placement_that_waits_in_line_fails_at_its_deadline(world: World) -> None:
    first = world.place(1, script(["spin"]))
    await world.events.wait_started(1)
    world.pool.place([msgspec.structs.replace(world.placement(2, script(["echo", 1])), left_ms=0)])
    assert await world.events.wait_ended(2) == [Failed(OVERDUE)]
    world.pool.stop(first)
    await world.events.wait_ended(1)


async def test_a_placement_that_ends_before_its_deadline_is_none_the_worse(world: World) -> None:
    world.pool.place([msgspec.structs.replace(world.placement(1, script(["echo", 1])), left_ms=60_000)])
    [outcome] = await world.events.wait_ended(1)
    assert completed(outcome) == b"[1]"
    assert not world.pool._deadlines


async def test_what_has_not_started_is_released(world: World) -> None:
    one = world.place(1, script(["spin"]))
    world.place(2, script(["echo", 2]))
    await world.events.wait_started(1)
    world.pool.release_waiting()
    assert await world.events.wait_ended(2) == [Released()]
    assert one not in world.events.ends


async def test_draining_hands_over_with_the_journal(world: World) -> None:
    world.place(1, script(["log", "kept"], ["spin"]))
    world.place(2, script(["echo", 2]))
    await world.events.wait_started(1)
    await world.pool.drain(0)
    assert await world.events.wait_ended(1, 2) == [Released(), Released()]
    assert [entry.text for entry in world.entries(1) if isinstance(entry, Logged)] == ["kept"]
    world.place(3, script(["echo", 3]))
    assert await world.events.wait_ended(3) == [Released()]


async def test_draining_lets_a_guest_end_in_its_grace(world: World) -> None:
    world.http.open.clear()
    world.place(1, script(["http", "GET", "http://a/"]))
    async with asyncio.timeout(30):
        await world.http.asked.wait()
    draining = asyncio.create_task(world.pool.drain(30))
    world.http.open.set()
    await draining
    [outcome] = await world.events.wait_ended(1)
    assert completed(outcome) == b"[[200, 2]]"


@pytest.mark.parametrize("steps", [["http", "GET", "http://a/"], ["sleep", 50_000]])
async def test_guests_that_wait_leave_their_slot_to_others(world: World, steps: list[object]) -> None:
    world.http.open.clear()
    assert (world.pool.slots, world.pool.extra) == (1, 0)
    waiting = [world.place(job, script(steps)) for job in range(1, 21)]
    while world.pool.extra < len(waiting):
        await world.events.changed()
    assert world.events.freed
    world.place(99, script(["echo", 1]))
    await world.events.wait_ended(99)
    world.pool.release_waiting()
    for placed in waiting:
        world.pool.stop(placed)
    assert await world.events.wait_ended(*range(1, 21)) == [Stopped()] * 20
    assert world.pool.extra == 0


async def test_a_guest_that_waited_goes_on_while_every_slot_is_taken(world: World) -> None:
    world.http.open.clear()
    world.place(1, script(["http", "GET", "http://a/"]))
    async with asyncio.timeout(30):
        await world.http.asked.wait()
    world.place(2, script(["spin"]))
    await world.events.wait_started(2)
    world.http.open.set()
    [outcome] = await world.events.wait_ended(1)
    assert completed(outcome) == b"[[200, 2]]"


async def test_the_time_limit_counts_waiting_too(world: World) -> None:
    world.place(1, script(["log", "x"], ["sleep", 50_000]), timeout_ms=100)
    [outcome] = await world.events.wait_ended(1)
    assert isinstance(outcome, Failed)
    assert outcome.failure.kind is FailureKind.TIME


async def test_it_takes_what_it_has_room_for_and_the_rest_as_room_comes(world: World) -> None:
    world.http.open.clear()
    many = range(1, world.pool.capacity + 11)
    world.pool.place([world.placement(job, script(["http", "GET", "http://a/"])) for job in many])
    while len(world.http.requests) < world.pool.capacity:
        await world.events.changed()
    assert world.pool.extra == world.pool.capacity - world.pool.slots
    world.place(len(many) + 1, script(["echo", 1]))
    world.http.open.set()
    outcomes = await world.events.wait_ended(*many)
    assert {completed(outcome) for outcome in outcomes} == {b"[[200, 2]]"}
    await world.events.wait_ended(len(many) + 1)


async def test_a_long_sleep_gives_the_slot_back(world: World) -> None:
    world.place(1, script(["sleep", 3_600_000]))
    [outcome] = await world.events.wait_ended(1)
    assert isinstance(outcome, Suspended)
    assert len(world.entries(1)) >= 2


async def test_a_short_sleep_is_waited_out(world: World) -> None:
    world.place(1, script(["sleep", 5], ["echo", 1]))
    [outcome] = await world.events.wait_ended(1)
    assert completed(outcome) == b"[null, 1]"


SECRET = SecretValue("TOKEN", 3, "hunter22", b"k" * 32)


async def test_a_secret_is_the_guest_s_alone(world: World) -> None:
    """It leaves with a request, and is in nothing that the engine reports, posts or stores."""
    world.http.body = b"hunter22 " + b"." * 9000 + b" hunter22"
    steps = script(
        ["secret", "TOKEN"], ["secret", "OTHER"], ["log", "not yet hunt"], ["send_secret", "TOKEN"]
    )
    world.pool.place([replace(world.placement(1, steps), secrets=(SECRET,)), world.placement(2, b"[]")])
    [outcome, _] = await world.events.wait_ended(1, 2)
    assert json.loads(completed(outcome)) == ["***", "refused", None, [9008, "*** ................"]]
    [sent] = world.http.requests
    assert (sent.body, sent.headers) == (b"hunter22", (("x", "hunter22"),))
    entries = world.entries(1)
    assert [entry for entry in entries if isinstance(entry, SecretRead)] == [SecretRead("TOKEN", 3)]
    assert list(world.payloads.blobs.values()) == [b"*** " + b"." * 9000 + b" ***"]
    assert b"hunter22" not in msgspec.msgpack.encode(entries)
    assert "hunter22" not in repr(world.events.ends)


async def test_another_guest_of_the_runner_has_no_part_in_it(world: World) -> None:
    steps = script(["secret", "TOKEN"], ["log", "hunter22"])
    world.pool.place([replace(world.placement(1, steps), secrets=(SECRET,)), world.placement(2, steps)])
    [_, outcome] = await world.events.wait_ended(1, 2)
    assert completed(outcome) == b'["refused", null]'
    assert [entry.text for entry in world.entries(2) if isinstance(entry, Logged)] == ["hunter22"]
    assert [entry.text for entry in world.entries(1) if isinstance(entry, Logged)] == ["***"]


async def test_a_guest_whose_runner_died_is_told_the_same_secret(world: World, tmp_path: Path) -> None:
    died = str(tmp_path / "died")
    steps = script(["secret", "TOKEN"], ["sleep", 1], ["die", died, 1], ["send_secret", "TOKEN"])
    world.pool.place([replace(world.placement(1, steps), secrets=(SECRET,))])
    [outcome] = await world.events.wait_ended(1)
    assert json.loads(completed(outcome))[0] == "***"
    assert [request.body for request in world.http.requests] == [b"hunter22"]
    reads = [entry for entry in world.entries(1) if isinstance(entry, SecretRead)]
    assert reads == [SecretRead("TOKEN", 3)]


async def test_runners_leave_no_core_dumps(world: World) -> None:
    for pid in world.pool.runner_pids:
        limits = await asyncio.to_thread(Path(f"/proc/{pid}/limits").read_text)
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
