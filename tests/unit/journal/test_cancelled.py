"""A cancellation reaches the guest once, as an error at its next call; at every replay at the same one."""

import json
from collections.abc import Callable

import pytest

from mvm_ci.domain.http import HttpFailure
from mvm_ci.domain.outcome import Completed, Failed, Failure, FailureKind, Stopped
from mvm_ci.journal.entries import Awaited, CancelSeen, Finished, HttpDone, Slept
from mvm_ci.lifecycle.execute import Result
from mvm_ci.ports.guest import GuestFailed
from mvm_ci.testing.crash_points import Crashed
from mvm_ci.testing.execution import Calls, FunctionGuest, World, place
from tests.unit.journal.machines import GET, POST, S

WAIT = b'{"topics": ["message:go"]}'


def call(calls: Calls, name: str, argument: bytes = b"{}") -> object:
    return json.loads(calls.call(name, argument))


def kind(answer: object) -> str:
    assert isinstance(answer, dict)
    return str(answer["error"]["kind"]) if "error" in answer else "ok"


def ran(world: World, run: Callable[[Calls], object]) -> Result:
    def guest(_payload: bytes, calls: Calls) -> bytes:
        return json.dumps(run(calls)).encode()

    result = place(world, FunctionGuest(guest))
    assert not isinstance(result, Crashed)
    return result


def cancel(world: World) -> None:
    world.cancelled = True


def http_kind(calls: Calls, request: object = GET) -> str:
    answer = calls.http(request)  # type: ignore[arg-type]
    return answer.kind if isinstance(answer, HttpFailure) else "ok"


def test_a_call_learns_of_it_once_and_what_follows_is_done() -> None:
    world, seen = World(), list[str]()

    def run(calls: Calls) -> None:
        cancel(world)
        seen.append(kind(call(calls, "job.check")))
        seen.append(kind(call(calls, "job.check")))
        seen.append(http_kind(calls))
        raise GuestFailed(Failure(kind=FailureKind.ERROR, message="cancelled"))

    result = ran(world, run)
    assert seen == ["cancelled", "ok", "ok"]
    assert isinstance(result.outcome, Failed)
    assert [type(entry) for entry in world.entries[2:]] == [CancelSeen, HttpDone, Finished]


def test_whoever_was_told_to_end_and_does_has_not_completed() -> None:
    world = World()

    def run(calls: Calls) -> str:
        cancel(world)
        return kind(call(calls, "job.check"))

    assert ran(world, run).outcome == Stopped()


def test_who_is_never_told_completes() -> None:
    world = World()

    def run(_calls: Calls) -> int:
        cancel(world)
        return 1

    assert ran(world, run).outcome == Completed(b"1")


@pytest.mark.parametrize("request_", [GET, POST], ids=["idempotent", "not idempotent"])
def test_a_request_is_not_made(request_: object) -> None:
    world = World()

    def run(calls: Calls) -> str:
        cancel(world)
        return http_kind(calls, request_)

    assert ran(world, run).outcome == Stopped()
    assert world.effects == {}


def test_a_sleep_ends_at_once_however_long_it_is() -> None:
    world = World()

    def run(calls: Calls) -> str:
        cancel(world)
        calls.sleep_for(3600 * S)
        return kind(call(calls, "job.check"))

    assert ran(world, run).outcome == Stopped()
    assert world.waited_ns == []
    assert [type(entry) for entry in world.entries[2:]] == [Slept, CancelSeen, Finished]


def test_a_wait_for_mail_is_ended() -> None:
    world, seen = World(), list[str]()

    def run(calls: Calls) -> None:
        seen.append(kind(call(calls, "wait", WAIT)))
        # Cleaning up, it may wait again.
        seen.append(kind(call(calls, "wait", b'{"topics": ["message:go"], "timeout_s": 1}')))

    world.on_mail = lambda: cancel(world)
    ran(world, run)
    assert seen == ["cancelled", "ok"]
    kinds = [type(entry) for entry in world.entries[2:4]]
    assert kinds == [Awaited, CancelSeen]


@pytest.mark.parametrize("request_", [GET, POST], ids=["idempotent", "not idempotent"])
def test_every_replay_learns_of_it_at_the_same_call(request_: object) -> None:
    world, seen = World(), list[list[str]]()

    def run(calls: Calls) -> None:
        mine: list[str] = []
        seen.append(mine)
        mine.append(kind(call(calls, "job.check")))
        mine.append(http_kind(calls, request_))
        cancel(world)
        mine.append(http_kind(calls, request_))
        mine.append(kind(call(calls, "job.check")))
        calls.sleep_for(10 * S)

    for _ in range(2):
        ran(world, run)
        world.now_ns += 20 * S
    assert seen[0] == seen[1] == ["ok", "ok", "cancelled", "ok"]
