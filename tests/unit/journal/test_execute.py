"""The loop: what goes out when, and how placements end."""

from collections.abc import Callable

import msgspec
import pytest

from mvm_ci.domain.http import HttpRequest, HttpResponse, HttpResult
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.outcome import (
    Completed,
    Failed,
    Failure,
    FailureKind,
    Outcome,
    Parked,
    Released,
    Stopped,
    Suspended,
)
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import decode_data
from mvm_ci.journal.entries import Began, ClockRead, Finished, HttpDone, HttpIntent, Logged, Placement, Slept
from mvm_ci.journal.steps import JournalLimits
from mvm_ci.lifecycle.execute import Execution, ExecutionLimits, Result, execute
from mvm_ci.ports.execution import Leave
from mvm_ci.ports.guest import GuestFailed
from mvm_ci.ports.immediate import at_once
from mvm_ci.testing.execution import BEGIN_NS, MODULE, Calls, FakeHost, FunctionGuest, World, place

MS = 1_000_000
S = 1_000_000_000
GET = HttpRequest("GET", "https://x/", (), b"", 1000, idempotent=True)
FULL = JournalLimits(entries=5)
POST = HttpRequest("POST", "https://x/", (), b"", 1000, idempotent=False)


def go(host: FakeHost, run: Callable[[Calls], object], **changes: object) -> Result:
    """One placement on ``host`` of a guest that does ``run`` and returns ``b"done"``."""

    def guest(payload: bytes, calls: Calls) -> bytes:
        run(calls)
        return b"done"

    execution = Execution(job=JobId(1), attempt=1, epoch=host.epoch, place="here", module=MODULE, input=b"")
    limits = changes.pop("limits", ExecutionLimits())
    assert isinstance(limits, ExecutionLimits)
    return at_once(execute(FunctionGuest(guest), msgspec.structs.replace(execution, **changes), host, limits))


def kinds(*segments: Segment | None) -> list[type]:
    return [type(entry) for segment in segments if segment is not None for entry in decode_data(segment.data)]


# ---------------------------------------------------------------- when entries go out


def test_a_short_job_is_one_write() -> None:
    def run(calls: Calls) -> None:
        calls.monotonic_ns()
        calls.log("stdout", "hi")
        calls.random(4)

    host = FakeHost(World())
    result = go(host, run)
    assert result.outcome == Completed(b"done")
    assert kinds(result.tail) == [Began, Placement, ClockRead, Logged, Finished]
    assert (host.posted, host.flushes) == ([], 0)


def test_an_idempotent_request_leaves_after_all_entries_are_durable() -> None:
    world = World(lambda request, number: HttpResponse(200, "", (), str(kinds(*world.journal)).encode()))
    host, answers = FakeHost(world), list[HttpResult]()

    def run(calls: Calls) -> None:
        calls.wall_clock_ns()
        answers.append(calls.http(GET))

    result = go(host, run)
    assert answers == [HttpResponse(200, "", (), str([Began, Placement, ClockRead]).encode())]
    assert kinds(result.tail) == [HttpDone, Finished], "its result may wait"
    assert host.flushes == 1


def test_another_request_is_durable_before_and_after() -> None:
    def respond(_request: HttpRequest, _number: int) -> HttpResult:
        seen.append(kinds(*world.journal))
        return HttpResponse(200, "", (), b"")

    world, seen = World(respond), list[list[type]]()
    host = FakeHost(world)

    def run(calls: Calls) -> None:
        calls.http(POST)
        seen.append(kinds(*world.journal))

    result = go(host, run)
    assert seen == [[Began, Placement, HttpIntent], [Began, Placement, HttpIntent, HttpDone]]
    assert kinds(result.tail) == [Finished]
    assert host.flushes == 2


def test_an_interrupted_request_is_known_to_be_before_the_guest_sees_it() -> None:
    class Dying(FakeHost):
        async def http(
            self, request: HttpRequest, idempotency_key: str, *, whole: bool = False
        ) -> HttpResult:
            raise Leave(None)

    world, seen = World(), list[list[type]]()

    def run(calls: Calls) -> None:
        calls.http(POST)
        seen.append(kinds(*world.journal))

    assert go(Dying(world), run) == Result(outcome=None)
    go(FakeHost(world), run, journal=world.journal)
    assert seen == [[Began, Placement, HttpIntent, Placement, HttpDone]]
    assert world.effects == {}


def test_a_short_sleep_posts_and_waits_in_place() -> None:
    world = World()
    host = FakeHost(world)
    result = go(host, lambda calls: calls.sleep_for(5 * S))
    assert (result.outcome, world.waited_ns) == (Completed(b"done"), [5 * S])
    assert kinds(*host.posted) == [Began, Placement, Slept]


def test_a_long_sleep_gives_the_slot_back() -> None:
    world = World()
    host = FakeHost(world)
    result = go(host, lambda calls: calls.sleep_for(5 * S + 1))
    assert result.outcome == Suspended((BEGIN_NS + 5 * S) // MS + 1), "rounded up"
    assert (kinds(result.tail), host.posted, world.waited_ns) == ([Began, Placement, Slept], [], [])


def test_a_woken_guest_goes_on_and_one_woken_early_suspends_again() -> None:
    def sleeper(payload: bytes, calls: Calls) -> bytes:
        calls.sleep_for(60 * S)
        return b"up"

    world, guest = World(), FunctionGuest(sleeper)
    first = place(world, guest)
    assert isinstance(first, Result)
    world.now_ns += 20 * S
    assert place(world, guest) == Result(outcome=first.outcome), "nothing to write"
    world.now_ns += 40 * S
    last = place(world, guest)
    assert isinstance(last, Result)
    assert last.outcome == Completed(b"up")
    assert kinds(last.tail) == [Placement, Finished]


def test_text_is_posted_once_nothing_was_for_200_ms() -> None:
    world = World()
    host = FakeHost(world)
    posted = []

    def run(calls: Calls) -> None:
        for _ in range(5):
            world.now_ns += 80 * MS
            calls.log("stdout", "line\n")
            posted.append(len(host.posted))
        for _ in range(2):
            world.now_ns += 200 * MS
            calls.wall_clock_ns()
            posted.append(len(host.posted))

    go(host, run)
    assert posted == [0, 0, 1, 1, 1, 2, 2], "the last read of a clock shows nobody anything"
    assert host.flushes == 1, "only at the end"


def test_without_text_only_size_counts() -> None:
    world = World()
    host = FakeHost(world)

    def run(calls: Calls) -> None:
        world.now_ns += S
        calls.wall_clock_ns()
        assert not host.posted
        while not host.posted:
            calls.random(8)
            calls.wall_clock_ns()

    go(host, run)
    assert 32 << 10 <= len(host.posted[0].data) < 33 << 10


def test_text_that_was_shown_before_is_not_waiting() -> None:
    world = World()

    def logs(calls: Calls) -> None:
        calls.log("stdout", "once\n")
        if not world.journal:
            raise Leave(Released())
        world.now_ns += S
        calls.wall_clock_ns()

    host = FakeHost(world)
    host.report(go(host, logs))
    host = FakeHost(world)
    result = go(host, logs, journal=world.journal)
    assert (host.posted, kinds(result.tail)) == ([], [Placement, ClockRead, Finished])


def test_a_tail_is_one_segment_and_all_before_it_is_durable() -> None:
    world = World(lambda request, number: HttpResponse(200, "", (("x", "y" * 255_000),), b""))
    host = FakeHost(world)

    def run(calls: Calls) -> None:
        calls.http(GET)
        raise GuestFailed(Failure(kind=FailureKind.ERROR, message="m", detail="d" * 30_000))

    result = go(host, run)
    assert kinds(result.tail) == [Finished]
    assert kinds(*world.journal) == [Began, Placement, HttpDone]


# ---------------------------------------------------------------- payloads


def test_large_payloads_are_blobs_in_the_journal_and_bytes_for_the_guest() -> None:
    large = b"x" * 5000
    world = World(lambda request, number: HttpResponse(200, "", (), large))
    given = world.put_blob(b"g" * 9000)
    seen = []

    def guest(payload: bytes, calls: Calls) -> bytes:
        answer = calls.http(GET)
        assert isinstance(answer, HttpResponse)
        seen.append((len(payload), answer.body))
        return large + b"!"

    host = FakeHost(world)
    execution = Execution(job=JobId(1), attempt=1, epoch=1, place="here", module=MODULE, input=given)
    result = at_once(execute(FunctionGuest(guest), execution, host, ExecutionLimits()))
    assert isinstance(result.outcome, Completed)
    assert isinstance(result.outcome.result, BlobRef)
    assert world.get_blob(result.outcome.result) == large + b"!"
    host.report(result)
    done = world.entries[2]
    assert isinstance(done, HttpDone)
    assert isinstance(done.result, HttpResponse)
    assert isinstance(done.result.body, BlobRef)
    replayed = msgspec.structs.replace(execution, journal=world.journal)
    again = at_once(execute(FunctionGuest(guest), replayed, host, ExecutionLimits()))
    assert (again.outcome, seen) == (result.outcome, [(9000, large)] * 2)


# ---------------------------------------------------------------- ends


def failing(failure: Failure) -> Callable[[Calls], object]:
    def run(calls: Calls) -> None:
        raise GuestFailed(failure)

    return run


def test_a_guest_that_fails() -> None:
    failure = Failure(kind=FailureKind.TRAP, message="unreachable")
    result = go(FakeHost(World()), failing(failure))
    assert result.outcome == Failed(failure)
    assert kinds(result.tail) == [Began, Placement, Finished]


def leaving(outcome: Outcome | None) -> Callable[[Calls], object]:
    def run(calls: Calls) -> None:
        calls.wall_clock_ns()
        raise Leave(outcome)

    return run


@pytest.mark.parametrize("outcome", [Released(), Stopped()], ids=["released", "stopped"])
def test_a_guest_that_has_to_leave_keeps_its_entries(outcome: Outcome) -> None:
    result = go(FakeHost(World()), leaving(outcome))
    assert result.outcome == outcome
    assert kinds(result.tail) == [Began, Placement, ClockRead]


def test_nothing_is_reported_about_a_job_of_somebody_else() -> None:
    assert go(FakeHost(World()), leaving(None)) == Result(outcome=None)


def test_a_failure_from_outside_is_the_end_of_the_journal() -> None:
    late = Failed(Failure(kind=FailureKind.TIME, message="too long"))
    result = go(FakeHost(World()), leaving(late))
    assert result.outcome == late
    assert kinds(result.tail)[-1] is Finished


def test_a_stale_placement_sends_nothing() -> None:
    world = World()
    stale = FakeHost(world)
    FakeHost(world)
    assert go(stale, lambda calls: calls.http(POST)) == Result(outcome=None)
    assert (world.effects, world.journal) == ({}, ())


def test_leaving_while_the_last_entries_go_out() -> None:
    class Drained(FakeHost):
        async def flush(self) -> None:
            raise Leave(Released())

    result = go(Drained(World()), lambda calls: calls.sleep_for(1))
    assert result == Result(outcome=Released()), "its end is not durable, so it did not happen"


@pytest.mark.parametrize(
    ("limits", "run", "kind"),
    [
        (FULL, lambda calls: [calls.wall_clock_ns() for _ in range(9)], FailureKind.JOURNAL),
        (FULL, lambda calls: [calls.sleep_for(0) for _ in range(9)], FailureKind.JOURNAL),
        (FULL, lambda calls: [calls.http(POST) for _ in range(9)], FailureKind.JOURNAL),
        (JournalLimits(log_bytes=99), lambda calls: calls.log("stdout", "x" * 100), FailureKind.OUTPUT),
    ],
    ids=["clock", "sleep", "http", "log"],
)
def test_limits_fail_the_execution(
    limits: JournalLimits, run: Callable[[Calls], object], kind: FailureKind
) -> None:
    result = go(FakeHost(World()), run, limits=ExecutionLimits(journal=limits))
    assert isinstance(result.outcome, Failed)
    assert result.outcome.failure.kind is kind
    assert kinds(result.tail)[-1] is Finished


@pytest.mark.parametrize(
    "other",
    [
        lambda calls: calls.monotonic_ns(),
        lambda calls: calls.sleep_until(1),
        lambda calls: calls.sleep_for(1),
        lambda calls: calls.log("stdout", "x"),
        lambda calls: calls.http(POST),
        lambda calls: None,
        failing(Failure(kind=FailureKind.ERROR, message="no")),
    ],
    ids=["clock", "until", "for", "log", "http", "end", "failure"],
)
def test_a_guest_that_disagrees_is_parked(other: Callable[[Calls], object]) -> None:
    world = World()
    host = FakeHost(world)
    host.report(go(host, leaving(Released())))
    before = world.journal
    host = FakeHost(world)
    result = go(host, other, journal=before)
    assert isinstance(result.outcome, Parked)
    assert result.outcome.failure.kind is FailureKind.NONDETERMINISM
    assert "entry 2 of the journal records a read of the wall clock, but" in result.outcome.failure.message
    assert (result.tail, host.posted) == (None, [])


@pytest.mark.parametrize(
    "segment", [Segment(0, 1, b"\x02 from tomorrow"), Segment(3, 1, b"")], ids=["newer", "gap"]
)
def test_a_journal_that_cannot_be_read_parks_the_job(segment: Segment) -> None:
    result = go(FakeHost(World()), lambda calls: None, journal=(segment,))
    assert isinstance(result.outcome, Parked)
    assert result.outcome.failure.message.startswith("journal entry 0: ")
