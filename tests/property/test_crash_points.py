"""Every named crash point, at every visit: the job still ends as if nothing had happened."""

import json
from collections import Counter

import pytest

from mvm_ci.domain.http import HttpRequest, HttpResponse, HttpResult
from mvm_ci.domain.mail import Mail
from mvm_ci.domain.outcome import Completed, Suspended
from mvm_ci.journal.effects import INTERRUPTED
from mvm_ci.journal.entries import HttpDone, Took
from mvm_ci.lifecycle.execute import ExecutionLimits
from mvm_ci.testing.crash_points import POINTS, Crashed, CrashPoints
from mvm_ci.testing.execution import BEGIN_NS, Calls, FunctionGuest, World, place

LIMITS = ExecutionLimits(suspend_after_ms=5_000)
BETWEEN_INTENT_AND_RESULT = {name for name in POINTS if name.startswith(("append.", "effect.", "blob."))}
STEPS = ("GET", "POST", "PUT idempotent", "POST")
ASKS = ("child.start", "message.send", "promise.create", "job.metadata")
S = 1_000_000_000
MAIL = [
    (BEGIN_NS, Mail(1, "message:there", b"1")),
    (BEGIN_NS, Mail(2, "message:there", b"2")),
    (BEGIN_NS + 3 * S, Mail(3, "message:soon", b"3")),
    (BEGIN_NS + 100 * S, Mail(4, "message:late", b"4")),
]
TOOK = [MAIL[0][1], MAIL[2][1], None, MAIL[1][1], MAIL[3][1], None]
WAITS = (
    ("message:there", None),
    ("message:soon", 30),
    ("message:never", 2),
    ("message:there", None),
    ("message:late", None),
    ("message:never", 20),
)


def guest(payload: bytes, host: Calls) -> bytes:
    """All kinds of durable writes and effects: small and large answers, short and long sleeps, what the
    control plane does, mail that is there, comes, comes late or not at all, a large result, going on as new.
    """
    if payload:
        for number in (4, 5):
            host.call("message.send", b'{"to": "%d"}' % number)
            host.sleep_for(1_000_000)
        return payload
    answers = []
    for number, step in enumerate(STEPS):
        method, _, idempotent = step.partition(" ")
        host.log("stdout", f"{number}\n")
        token = host.random(4).hex()
        url = f"https://example.org/{number}/{token}"
        answer = host.http(HttpRequest(method, url, (), b"", 1000, method == "GET" or bool(idempotent)))
        host.sleep_for(1_000_000 if number < 3 else 60_000_000_000)
        answers.append("interrupted" if answer == INTERRUPTED else repr(answer))
    answers += [repr(host.call(name, b'{"label": "%s"}' % name.encode())) for name in ASKS]
    for topic, timeout in WAITS:
        wait = json.dumps({"topics": [topic], "timeout_s": timeout})
        answers += [repr(host.call("wait", wait.encode()))]
    host.call("job.continue", json.dumps({"input": "\n".join(answers)}).encode())
    raise AssertionError("it went on")


def respond(request: HttpRequest, number: int) -> HttpResult:
    return HttpResponse(200, request.url, (), b"small" if "/1/" in request.url else b"large" * 2000)


def run(points: CrashPoints | None) -> tuple[World, list[str]]:
    """Runs to the end, the first placement with ``points``; the world, and how the placements ended."""
    world, ends = World(respond), []
    world.mail = list(MAIL)
    finished: dict[str, int] = {}
    for _ in range(14):
        ended = place(world, FunctionGuest(guest), crash_points=points, limits=LIMITS)
        again = {summary for summary, times in finished.items() if seen(world)[summary] != times}
        assert not again, "an effect whose result was durable happened again"
        finished = {entry.summary: seen(world)[entry.summary] for entry in done(world)}
        ends.append(ended.point if isinstance(ended, Crashed) else type(ended.outcome).__name__)
        if isinstance(world.outcome, Completed):
            return world, ends
        if isinstance(world.outcome, Suspended):
            world.wait(world.outcome.topics, world.outcome.wake_ms * 1_000_000)
    raise AssertionError(ends)


def done(world: World) -> list[HttpDone]:
    return [entry for entry in world.all_entries if isinstance(entry, HttpDone)]


def seen(world: World) -> Counter[str]:
    """How often the outside has seen each request."""
    return Counter(f"{r.method} {r.url}" for requests in world.effects.values() for r in requests)


def result(world: World) -> list[str]:
    assert isinstance(world.outcome, Completed)
    stored = world.outcome.result
    text: str = json.loads(stored if isinstance(stored, bytes) else world.get_blob(stored))
    return text.splitlines()


def check_asks(world: World) -> None:
    """Each thing was asked for under a key of its own, and under no other one."""
    assert [name for ((name, _), *_) in world.asked.values()] == [*ASKS, "message.send", "message.send"]
    assert all(call == calls[0] for calls in world.asked.values() for call in calls)
    assert all(len(calls) <= 2 for calls in world.asked.values())


def visits() -> Counter[str]:
    """How often each point is reached in all placements of an undisturbed run."""
    points = CrashPoints()
    run(points)
    return points.reached


def test_every_crash_point_is_reached() -> None:
    assert set(visits()) == set(POINTS), "a crash point that no test dies at"


def test_nothing_disturbs_the_calm_run() -> None:
    calm, ends = run(None)
    assert ends == ["Suspended"] * 3 + ["Continued", "Completed"]
    check_asks(calm)
    assert [entry.mail for entry in calm.all_entries if isinstance(entry, Took)] == TOOK


@pytest.mark.parametrize("point", POINTS)
def test_dying_there(point: str) -> None:
    calm, _ = run(None)
    for visit in range(1, visits()[point] + 1):
        world, ends = run(CrashPoints(point, visit))
        assert ends.count(point) == 1, "it died there, once"
        assert world.shown == "0\n1\n2\n3\n"
        check_asks(world)
        assert [entry.mail for entry in world.all_entries if isinstance(entry, Took)] == TOOK
        assert world.mail == []
        assert result(world)[len(STEPS) :] == result(calm)[len(STEPS) :], "asked and waited as ever"
        answers = list(zip(result(world), result(calm), strict=True))[: len(STEPS)]
        for number, (got, expected) in enumerate(answers):
            requests = world.effects.get(next(k for k in calm.effects if k.endswith(f"-{number}")), [])
            assert all(request == requests[0] for request in requests)
            if number in {0, 2}:
                assert got == expected, "an idempotent request is answered as ever"
                assert len(requests) in {1, 2}
            elif got == "interrupted":
                assert point in BETWEEN_INTENT_AND_RESULT
                assert len(requests) <= 1, "never repeated"
            else:
                assert (got, len(requests)) == (expected, 1), "a finished effect happened once"


def test_only_known_points() -> None:
    with pytest.raises(KeyError):
        CrashPoints("append.between")
    with pytest.raises(KeyError):
        CrashPoints().reach("append.between")
