"""Durability none: nothing is durable before the end, and what people see is in the report."""

import json
from collections.abc import Callable

import pytest

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.outcome import Completed, Failed, Failure, FailureKind, Outcome, Released, Stopped
from mvm_ci.journal.codec import decode_data
from mvm_ci.journal.entries import Began, Finished, Logged, Placement
from mvm_ci.lifecycle.execute import Execution, ExecutionLimits, Result, execute
from mvm_ci.ports.execution import Leave
from mvm_ci.ports.guest import GuestFailed
from mvm_ci.ports.immediate import at_once
from mvm_ci.testing.execution import MODULE, Calls, FakeHost, FunctionGuest, World
from tests.unit.journal.machines import GET, POST, S


def go(world: World, run: Callable[[Calls], object]) -> tuple[FakeHost, Result]:
    def guest(_payload: bytes, calls: Calls) -> bytes:
        return json.dumps(run(calls)).encode()

    host = FakeHost(world)
    execution = Execution(
        job=JobId(1), attempt=1, epoch=host.epoch, place="here", module=MODULE, input=b"", ephemeral=True
    )
    return host, at_once(execute(FunctionGuest(guest), execution, host, ExecutionLimits()))


def busy(calls: Calls) -> str:
    calls.wall_clock_ns()
    calls.log("stdout", "hello")
    calls.http(GET)
    calls.http(POST)
    calls.sleep_for(3600 * S)
    calls.call("memo.get", b'{"name": "x"}')
    calls.call("memo.put", b'{"name": "x", "value": 1}')
    return calls.random(4).hex()


def test_nothing_is_posted_and_a_long_sleep_is_waited_out() -> None:
    world = World()
    host, result = go(world, busy)
    assert (host.posted, host.flushes) == ([], 0)
    assert isinstance(result.outcome, Completed)
    assert result.tail is not None
    assert [type(entry) for entry in decode_data(result.tail.data)] == [Began, Placement, Logged, Finished]
    assert world.waited_ns == [3600 * S]
    assert len(world.effects) == 2


def test_much_output_is_all_there_at_the_end() -> None:
    world = World()

    def run(calls: Calls) -> None:
        for _ in range(100):
            calls.log("stdout", "x" * 10_000)

    host, result = go(world, run)
    host.report(result)
    assert len(world.shown) == 1_000_000


def test_a_failure_keeps_what_was_said() -> None:
    world = World()

    def run(calls: Calls) -> None:
        calls.log("stdout", "hello")
        raise GuestFailed(Failure(kind=FailureKind.ERROR, message="no"))

    host, result = go(world, run)
    host.report(result)
    assert (isinstance(result.outcome, Failed), world.shown) == (True, "hello")


@pytest.mark.parametrize("outcome", [Released(), Stopped()])
def test_one_that_leaves_leaves_nothing(outcome: Outcome) -> None:
    def run(calls: Calls) -> None:
        calls.log("stdout", "hello")
        raise Leave(outcome)

    host, result = go(World(), run)
    assert (result.outcome, result.tail, host.posted) == (outcome, None, [])


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("child.start", b'{"jobs": []}'),
        ("message.send", b"{}"),
        ("promise.create", b"{}"),
        ("wait", b'{"topics": ["message:go"]}'),
        ("job.durable", b"{}"),
    ],
)
def test_what_needs_a_journal_is_refused(name: str, argument: bytes) -> None:
    world = World()
    _, result = go(world, lambda calls: json.loads(calls.call(name, argument)))
    assert isinstance(result.outcome, Completed)
    assert b"needs-journal" in bytes(result.outcome.result)  # type: ignore[arg-type]
    assert world.asked == {}
