"""Calls about artifacts on the engine's side: what is recorded, what comes at replay, what is refused."""

import json
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Any

import pytest

from mvm_ci.domain.artifact import MAX_ARTIFACT, MAX_PIECE
from mvm_ci.domain.http import HttpFailure, HttpRequest, HttpResponse, HttpResult
from mvm_ci.domain.outcome import Completed, FailureKind, Parked
from mvm_ci.domain.payload import BlobRef
from mvm_ci.journal.entries import Called
from mvm_ci.lifecycle import artifact_calls
from mvm_ci.lifecycle.artifact_calls import MAX_OPEN
from mvm_ci.lifecycle.execute import Result
from mvm_ci.testing.crash_points import POINTS, Crashed, CrashPoints
from mvm_ci.testing.execution import Calls, FunctionGuest, World, place
from tests.unit.lifecycle.artifact_answers import Answers

CONTENT = b"content " * 100_000


def call(host: Calls, called: str, /, **argument: Any) -> Any:
    return json.loads(host.call(called, json.dumps(argument).encode()))


def put(host: Calls, name: str, *pieces: bytes) -> Any:
    call(host, "artifact.begin", name=name)
    for piece in pieces:
        assert host.write_artifact(name, piece) is None
    return call(host, "artifact.end", name=name)


def whole(host: Calls, name: str, job: str | None = None) -> bytes:
    got = call(host, "artifact.get", name=name, job=job)["ok"]
    found = b""
    while len(found) < got["size"]:
        piece, error = host.read_artifact(got["digest"], len(found), 300_000)
        assert error is None
        found += piece
    assert sha256(found).hexdigest() == got["digest"]
    return found


def run(world: World, work: Callable[[Calls], Any], crash_points: CrashPoints | None = None) -> Any:
    """The result, or where it died."""
    guest = FunctionGuest(lambda _, host: json.dumps(work(host)).encode())
    ended = place(world, guest, crash_points=crash_points)
    if isinstance(ended, Crashed):
        return ended.point
    assert isinstance(ended.outcome, Completed), ended.outcome
    assert isinstance(ended.outcome.result, bytes)
    return json.loads(ended.outcome.result)


def kept(answers: Answers, name: str) -> bytes:
    shown = answers.kept[name]
    return answers.world.get_blob(BlobRef(shown["digest"], shown["size"]))


# ---------------------------------------------------------------- crashes


def flow(host: Calls) -> Any:
    """Puts, gets, and puts again under the same name."""
    put(host, "first", *[CONTENT[at : at + 1000] for at in range(0, len(CONTENT), 1000)])
    host.sleep_for(1_000_000)
    text = whole(host, "first")
    put(host, "empty")
    put(host, "second", text, b" end")
    host.sleep_for(1_000_000)
    put(host, "first", b"a newer one")
    return [len(text), whole(host, "first").decode(), len(whole(host, "second"))]


@cache
def visits() -> dict[str, int]:
    world, points = World(), CrashPoints()
    Answers(world)
    run(world, flow, points)
    return dict(points.reached)


@pytest.mark.parametrize("point", [point for point in POINTS if point in visits()])
def test_dying_anywhere_changes_nothing(point: str) -> None:
    expected = [len(CONTENT), "a newer one", len(CONTENT) + 4]
    for visit in range(1, visits()[point] + 1):
        world = World()
        answers = Answers(world)
        ended = run(world, flow, CrashPoints(point, visit))
        if point == "report.after":
            assert isinstance(world.outcome, Completed)
            continue
        assert ended == point
        assert run(world, flow) == expected
        assert kept(answers, "first") == b"a newer one"
        assert kept(answers, "second") == CONTENT + b" end"
        assert kept(answers, "empty") == b""
        # Each call has a key of its own, and says the same under it however often it comes.
        for asked in world.asked.values():
            assert all(one == asked[0] for one in asked)


def test_the_journal_names_what_was_put_and_got() -> None:
    world = World()
    Answers(world)
    assert run(world, flow, CrashPoints("wait.after", 2)) == "wait.after"
    assert run(world, flow)[0] == len(CONTENT)
    calls = [entry for entry in world.entries if isinstance(entry, Called)]
    assert [entry.summary for entry in calls] == [
        "artifact.put: first",
        "artifact.get: first",
        "artifact.put: empty",
        "artifact.put: second",
        "artifact.put: first",
        "artifact.get: first",
        "artifact.get: second",
    ]


def test_the_journal_has_no_content() -> None:
    world = World()
    Answers(world)
    run(world, flow)
    assert sum(len(segment.data) for segment in world.journal) < 5_000


def test_another_content_at_replay_is_nondeterminism() -> None:
    world = World()
    Answers(world)
    contents = iter([b"this", b"that"])

    def work(host: Calls) -> Any:
        put(host, "x", next(contents))
        host.sleep_for(1)

    assert run(world, work, CrashPoints("wait.after")) == "wait.after"
    ended = place(world, FunctionGuest(lambda _, host: work(host) or b""))
    assert isinstance(ended, Result)
    assert isinstance(ended.outcome, Parked)
    assert ended.outcome.failure.kind is FailureKind.NONDETERMINISM


def test_what_was_got_stays_what_it_was() -> None:
    world = World()
    answers = Answers(world)
    answers.given("x", b"then", "j0000000000001")

    def work(host: Calls) -> Any:
        first = whole(host, "x", "j0000000000001").decode()
        host.sleep_for(1)
        return [first, whole(host, "x", "j0000000000001").decode()]

    assert run(world, work, CrashPoints("wait.after")) == "wait.after"
    answers.given("x", b"now", "j0000000000001")
    assert run(world, work) == ["then", "now"]


# ---------------------------------------------------------------- memo


def memo(host: Calls, name: str, function: Callable[[], Any]) -> Any:
    found = call(host, "memo.get", name=name)["ok"]
    if found is not None:
        return found["value"]
    value = function()
    call(host, "memo.put", name=name, value=value)
    return value


def test_what_was_got_inside_of_a_memo_can_be_read_after_it() -> None:
    world = World()
    answers = Answers(world)
    digest = answers.given("x", b"content")
    large = answers.world.put_blob(b"of a request" * 1000)
    world._respond = lambda request, _: HttpResponse(200, request.url, (), large)

    def inside(host: Calls) -> Any:
        call(host, "artifact.get", name="x")
        put(host, "y", b"also")
        host.http(HttpRequest("GET", "http://a/", (), b"", 1000, True, None, "z"))
        return None

    def work(host: Calls) -> Any:
        memo(host, "m", lambda: inside(host))
        host.sleep_for(1)
        also = sha256(b"also").hexdigest()
        return [host.read_artifact(one, 0, 7)[0].decode() for one in (digest, also, large.digest)]

    assert run(world, work, CrashPoints("wait.after")) == "wait.after"
    assert run(world, work) == ["content", "also", "of a re"]


def test_an_artifact_that_begins_before_a_memo_and_ends_in_it() -> None:
    world = World()
    answers = Answers(world)

    def work(host: Calls) -> Any:
        call(host, "artifact.begin", name="x")
        host.write_artifact("x", b"one")

        def inside() -> Any:
            host.write_artifact("x", b"two")
            return call(host, "artifact.end", name="x")["ok"]["size"]

        size = memo(host, "m", inside)
        host.sleep_for(1)
        error = host.write_artifact("x", b"three")
        again = put(host, "x", b"four")["ok"]["size"]
        return [size, json.loads(error or b"{}")["error"]["kind"], again]

    assert run(world, work, CrashPoints("wait.after")) == "wait.after"
    assert run(world, work) == [6, "bad-call", 4]
    assert kept(answers, "x") == b"four"


# ---------------------------------------------------------------- what is refused


def test_a_digest_alone_is_no_permission() -> None:
    world = World()
    ref = world.put_blob(b"of somebody else")

    def work(host: Calls) -> Any:
        data, error = host.read_artifact(ref.digest, 0, 10)
        assert data == b""
        return json.loads(error or b"{}")["error"]["kind"]

    assert run(world, work) == "refused"
    # Nor is it one at replay because the journal shows that it will be got.
    world = World()
    Answers(world).given("x", b"of somebody else", "parent")

    def later(host: Calls) -> Any:
        first = work(host)
        then = whole(host, "x", "parent").decode()
        host.sleep_for(1)
        return [first, then]

    assert run(world, later, CrashPoints("wait.after")) == "wait.after"
    assert run(world, later) == ["refused", "of somebody else"]


def test_a_request_from_or_to_what_is_not_allowed_is_not_made() -> None:
    world = World()
    known = Answers(world).given("x", b"content")
    size = len(b"content")

    def request(body: bytes = b"", source: BlobRef | None = None, to: str = "") -> HttpRequest:
        return HttpRequest("PUT", "http://a/", (), body, 1000, True, source, to)

    def work(host: Calls) -> Any:
        before = host.http(request(source=BlobRef(known, size)))
        call(host, "artifact.get", name="x")
        answers = [
            before,
            host.http(request(source=BlobRef(known, size + 1))),
            host.http(request(b"body", BlobRef(known, size))),
            host.http(request(to="../x")),
            host.http(request(to="x" * 201)),
            host.http(request(source=BlobRef(known, size))),
        ]
        return [answer.kind if isinstance(answer, HttpFailure) else answer.status for answer in answers]

    assert run(world, work) == [*["refused"] * 5, 200]
    assert sum(map(len, world.effects.values())) == 1


def test_only_a_success_becomes_an_artifact() -> None:
    def respond(request: HttpRequest, number: int) -> HttpResult:
        body = world.put_blob(b"x" * 5000)
        return HttpResponse(int(request.url[-3:]), request.url, (), body)

    world = World(respond)

    def work(host: Calls) -> Any:
        found = []
        for url, to in (("http://a/200", "x"), ("http://a/404", "x"), ("http://a/200", "")):
            answer = host.http(HttpRequest("GET", url, (), b"", 1000, True, None, to))
            assert isinstance(answer, HttpResponse)
            found.append("bytes" if isinstance(answer.body, bytes) else "artifact")
        host.sleep_for(1)
        return found

    assert run(world, work, CrashPoints("wait.after")) == "wait.after"
    assert run(world, work) == ["artifact", "bytes", "bytes"]


@pytest.mark.parametrize("name", ["", "/x", "x/", "a//b", ".", "..", "a/../b", "a\0b", "a\nb", "x" * 201])
def test_bad_names(name: str) -> None:
    world = World()
    said = run(world, lambda host: call(host, "artifact.begin", name=name))
    assert said["error"]["kind"] == "bad-call"
    assert world.asked == {}


@pytest.mark.parametrize("name", ["x", "a/b.txt", "...", "a b", "ärger", "C:\\x", "x" * 200])
def test_good_names(name: str) -> None:
    world = World()
    answers = Answers(world)
    run(world, lambda host: put(host, name, b"1"))
    assert kept(answers, name) == b"1"


def test_out_of_order() -> None:
    world = World()
    answers = Answers(world)

    def work(host: Calls) -> Any:
        kinds = [call(host, "artifact.end", name="x")["error"]["kind"]]
        kinds.append(json.loads(host.write_artifact("x", b"1") or b"{}")["error"]["kind"])
        call(host, "artifact.begin", name="x")
        host.write_artifact("x", b"forgotten")
        put(host, "x", b"new")
        kinds.append(call(host, "artifact.end", name="x")["error"]["kind"])
        call(host, "artifact.get", name="x")
        digest = answers.kept["x"]["digest"]
        kinds += [
            json.loads(host.read_artifact(digest, at, 1)[1] or b"{}")["error"]["kind"] for at in (-1, -9)
        ]
        beyond = host.read_artifact(digest, 1 << 60, 1)
        return [*kinds, beyond[0].decode(), beyond[1]]

    assert run(world, work) == [*["bad-call"] * 5, "", None]
    assert kept(answers, "x") == b"new"


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    Answers(world)
    monkeypatch.setattr(artifact_calls, "MAX_ARTIFACT", 3 * MAX_PIECE)
    assert MAX_ARTIFACT > 3 * MAX_PIECE

    def work(host: Calls) -> Any:
        call(host, "artifact.begin", name="x")
        kinds = []
        for size in (MAX_PIECE + 1, MAX_PIECE, MAX_PIECE, MAX_PIECE, 1):
            said = host.write_artifact("x", bytes(size))
            kinds.append(said and json.loads(said)["error"]["kind"])
        opened = [call(host, "artifact.begin", name=f"{number}") for number in range(MAX_OPEN)]
        kinds += [said["error"]["kind"] for said in opened if "error" in said]
        kinds.append(call(host, "artifact.end", name="x")["ok"]["size"])
        return kinds

    assert run(world, work) == ["too-large", None, None, None, "too-large", "bad-call", 3 * MAX_PIECE]


def test_a_refusal_is_recorded() -> None:
    world = World()
    answers = Answers(world)
    answers.refuse = {"kind": "quota-exceeded", "message": "no more"}

    def work(host: Calls) -> Any:
        said = put(host, "x", b"1")["error"]["kind"]
        host.sleep_for(1)
        return [said, call(host, "artifact.get", name="missing")["error"]["kind"]]

    assert run(world, work, CrashPoints("wait.after")) == "wait.after"
    answers.refuse = None
    assert run(world, work) == ["quota-exceeded", "not-found"]


def test_what_is_dropped_makes_room_and_is_never_there() -> None:
    world = World()
    answers = Answers(world)

    def work(host: Calls) -> Any:
        for number in range(3 * MAX_OPEN):
            call(host, "artifact.begin", name=f"{number}")
            assert host.write_artifact(f"{number}", CONTENT) is None
            assert call(host, "artifact.drop", name=f"{number}") == {"ok": None}
        call(host, "artifact.drop", name="was never begun")
        return [call(host, "artifact.end", name="1")["error"]["kind"], put(host, "kept", b"x")["ok"]["size"]]

    assert run(world, work) == ["bad-call", 1]
    assert list(answers.kept) == ["kept"]
