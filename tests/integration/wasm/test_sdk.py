"""The module ``mvm_ci`` of Python guests: what a job's author uses, in a real guest."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from mvm_ci.domain.http import HttpFailure, HttpRequest, HttpResponse, HttpResult
from mvm_ci.domain.outcome import Completed, Continued, Failed, Outcome, Suspended
from mvm_ci.journal.entries import Awaited, ClockRead
from mvm_ci.lifecycle.execute import ExecutionLimits
from mvm_ci.testing.crash_points import Crashed, CrashPoints
from mvm_ci.testing.execution import MODULE, place
from tests.integration.wasm.conftest import GUESTS, Load, built
from tests.integration.wasm.fakes import OnlyGuest
from tests.integration.wasm.outside import Outside, S

IN_PLACE = ExecutionLimits(suspend_after_ms=10**9)


@pytest.fixture(scope="module")
def sdk(load: Load, tmp_path_factory: pytest.TempPathFactory) -> OnlyGuest:
    return load(built(GUESTS / "tests" / "sdk" / "job.py", tmp_path_factory.mktemp("sdk")))


def outcome(world: Outside, guest: OnlyGuest, do: str, argument: object = None) -> Outcome | None:
    given = json.dumps({"do": do, "argument": argument}).encode()
    for _ in range(50):
        ended = place(world, guest.guest, given=given, limits=IN_PLACE)
        assert not isinstance(ended, Crashed)
        if not isinstance(ended.outcome, Suspended):
            return ended.outcome
        world.wake()
    pytest.fail("it does not end")


def call(world: Outside, guest: OnlyGuest, do: str, argument: object = None) -> Any:
    ended = outcome(world, guest, do, argument)
    assert isinstance(ended, Completed), ended
    kept = ended.result
    return json.loads(kept if isinstance(kept, bytes) else world.get_blob(kept))


def test_gather_returns_results_in_order(sdk: OnlyGuest) -> None:
    world = Outside()
    assert call(world, sdk, "gathers", [6, 2, 4]) == [6, 2, 4]
    ((name, asked),) = world.done
    assert name == "child.start"
    assert [job["module"] for job in asked["jobs"]] == [MODULE] * 3


def test_gather_raises_the_first_failure_at_once_and_the_others_go_on(sdk: OnlyGuest) -> None:
    said = call(Outside(), sdk, "gather_fails", [8, 3, 10, 2])
    assert said["kind"] == "error"
    assert said["message"].endswith(": after 3")
    assert said["message"].startswith(said["of"])
    assert said["after"] == pytest.approx(3.5, abs=0.2)
    assert (said["left"], said["results"]) == (2, [8, 10])


def test_gather_can_return_failures(sdk: OnlyGuest) -> None:
    first, second, third = call(Outside(), sdk, "gather_all", [4, 1, 2])
    assert (first, second["kind"], third) == (4, "error", 2)


def test_as_completed_goes_by_the_ends(sdk: OnlyGuest) -> None:
    assert call(Outside(), sdk, "completed", [6, 2, 4]) == [2, 4, 6]


@pytest.mark.parametrize("seconds", [0, 2.5])
def test_waits_end_in_time(sdk: OnlyGuest, seconds: float) -> None:
    said = call(Outside(), sdk, "times_out", seconds)
    assert said["result"] == 100
    assert (said["first"], said["receive"], said["inbox"]) == (None, None, None)
    assert said["gather"] == f"TimeoutError: 1 of 1 have not ended within {seconds} s"
    assert (said["done"], said["done now"]) == (False, True)


def test_more_than_one_wait_can_name(sdk: OnlyGuest) -> None:
    gathered, first, together = call(Outside(), sdk, "too_many")
    assert gathered == "1001 of 1001 have not ended within 0 s"
    assert first == "1001 topics; there must be 1 to 1000"
    assert together.startswith("1001 children, promises and types of messages are awaited at once")


def test_a_wait_for_children_promises_and_messages_at_once(sdk: OnlyGuest) -> None:
    found = call(Outside([(1, "b"), (3, "a"), (9, "b")]), sdk, "mix")
    assert found == [["b", 0], ["Promise", 2], ["a", 1], ["Child", 4], ["b", 2], 32, "http://here/"]


def test_what_is_there_is_found_by_who_does_not_wait(sdk: OnlyGuest) -> None:
    world = Outside([(0, "a")])
    world.now_ns += S
    assert call(world, sdk, "iterates", 1) == [0]


def test_two_names_of_one_child_share_its_end(sdk: OnlyGuest) -> None:
    assert call(Outside(), sdk, "same_child") == [[2, 2, 2], True, True]


def test_messages_can_be_iterated(sdk: OnlyGuest) -> None:
    assert call(Outside([(2, "a"), (1, "b"), (3, "a")]), sdk, "iterates", 2) == [0, 2]


def test_nonsense_is_refused_with_its_reason(sdk: OnlyGuest) -> None:
    said = call(Outside(), sdk, "refused")
    assert said["option"] == ["bad-input", "strange"]
    assert said["topic"][0] == "bad-call"
    assert said["topic"][1].endswith("is no topic: child:ID, message:TYPE or promise:ID")
    assert said["progress"] == ["bad-call", "text: 300 characters; at most 200 are allowed"]
    assert said["continue"][0] == "TypeError"
    assert said["nothing"][0] == "ValueError"


def test_what_a_job_tells(sdk: OnlyGuest) -> None:
    world = Outside()
    none, job, attempt, module, shown = call(world, sdk, "tells")
    assert (none, attempt, module, shown) == ([], 1, 64, f"job {job}")
    assert world.told == [("progress", b'{"text":"half","done":1.0,"total":2.0}')]
    assert world.done == [
        ("job.metadata", {"metadata": {"customer": "7", "stage": None}}),
        ("message.send", {"to": "job-key", "type": "hello", "body": {"a": 1}}),
        ("child.cancel", {"job": "j0000000000000"}),
    ]


def test_continue_as_new(sdk: OnlyGuest) -> None:
    ended = outcome(Outside(), sdk, "goes_on", 7)
    assert isinstance(ended, Continued)
    assert json.loads(ended.input if isinstance(ended.input, bytes) else b"") == {"round": 7}


def test_tasks_share_children_and_take_turns_with_messages(sdk: OnlyGuest) -> None:
    done, first, second, third, fourth = call(Outside([(4, "a"), (5, "b"), (2, "b")]), sdk, "async_mix")
    assert done == 3, "both waits for the child end with it, and a message had come before"
    assert first == second
    assert first["message"].endswith("after 3")
    assert (third, fourth) == (2, 1)


def test_blocking_waits_among_tasks(sdk: OnlyGuest) -> None:
    assert call(Outside(), sdk, "sync_in_async") == [2, 2]
    assert call(Outside(), sdk, "runner") == [1, [2, 2]]


def test_a_loop_that_is_never_idle_sees_mail_and_timers(sdk: OnlyGuest) -> None:
    world = Outside([(0, "a")])
    world.now_ns += S
    assert call(world, sdk, "polls") == [0, True]


def test_tasks_that_can_never_go_on_are_an_error(sdk: OnlyGuest) -> None:
    ended = outcome(Outside(), sdk, "never")
    assert isinstance(ended, Failed)
    assert "all tasks wait for each other" in ended.failure.message


def test_an_error_in_a_task_shows_the_jobs_own_frames(sdk: OnlyGuest) -> None:
    ended = outcome(Outside(), sdk, "async_fails")
    assert isinstance(ended, Failed)
    assert ended.failure.message == "LookupError: deep inside"
    assert 'raise LookupError("deep inside")' in ended.failure.detail
    assert "base_events" not in ended.failure.detail


def test_an_error_that_nobody_looks_at_is_in_the_log(sdk: OnlyGuest) -> None:
    world = Outside()
    call(world, sdk, "unhandled")
    assert "Task exception was never retrieved" in world.shown
    assert "LookupError: nobody waits for it" in world.shown


def test_everything_of_asyncio(sdk: OnlyGuest) -> None:
    expected = [0, 1, 2, 0, 1, 2, "shielded", "first", "second", 3, 7]
    assert call(Outside(), sdk, "async_all_kinds") == expected


def test_timers_cost_few_entries_and_leave_nothing_behind(sdk: OnlyGuest) -> None:
    world = Outside()
    assert call(world, sdk, "many_timers", 300) == sum(range(300))
    waits = [entry for entry in world.entries if not isinstance(entry, ClockRead)]
    assert len(waits) < 20, "six waits, for six different times"
    reads = len(world.entries) - len(waits)
    assert reads <= 4 * 300 + 20, "what each timer asks for"


def test_a_wait_for_many_costs_little_room(sdk: OnlyGuest) -> None:
    world = Outside()
    assert call(world, sdk, "gathers", [2] * 200) == [2] * 200
    waits = [entry for entry in world.entries if isinstance(entry, Awaited)]
    assert len(waits) == 200
    assert all(len(entry.topics) <= 20 for entry in waits)
    assert sum(len(segment.data) for segment in world.journal) < 40_000


Respond = Callable[[HttpRequest, int], HttpResult]


def says(*outcomes: int | str, headers: tuple[tuple[str, str], ...] = ()) -> Respond:
    """An outside that answers so, one after the other: a status, or a kind of failure."""

    def respond(request: HttpRequest, number: int) -> HttpResult:
        said = outcomes[min(number, len(outcomes) - 1)]
        if isinstance(said, str):
            return HttpFailure(said, "because")
        return HttpResponse(said, request.url, headers, b"body")

    return respond


def sent(world: Outside) -> list[HttpRequest]:
    return [request for requests in world.effects.values() for request in requests]


def header(request: HttpRequest, name: str) -> str | None:
    return dict(request.headers).get(name)


def test_a_request_as_it_leaves(sdk: OnlyGuest) -> None:
    world = Outside(respond=says(200))
    options = {
        "params": {"q": "a b", "many": [1, 2], "none": None},
        "headers": {"X-Own": 5},
        "json": {"ä": 1},
        "timeout": 2.5,
    }
    said = call(world, sdk, "request", ["post", "https://a.example/p?x=1#part", options])
    assert (said["status"], said["text"]) == (200, "body")
    (request,) = sent(world)
    assert (request.method, request.url) == ("POST", "https://a.example/p?x=1&q=a+b&many=1&many=2")
    assert json.loads(request.body) == {"ä": 1}
    assert dict(request.headers) == {"x-own": "5", "content-type": "application/json"}
    assert (request.timeout_ms, request.idempotent) == (2500, False)


@pytest.mark.parametrize(
    ("data", "body", "kind"),
    [
        ({"a": "b c", "d": [1, 2]}, b"a=b+c&d=1&d=2", "application/x-www-form-urlencoded"),
        ("grüße", "grüße".encode(), None),
    ],
)
def test_bodies(sdk: OnlyGuest, data: object, body: bytes, kind: str | None) -> None:
    world = Outside(respond=says(200))
    call(world, sdk, "request", ["PUT", "http://a.example/ä", {"data": data}])
    (request,) = sent(world)
    assert (request.url, request.body) == ("http://a.example/%C3%A4", body)
    assert header(request, "content-type") == kind


def test_an_answer(sdk: OnlyGuest) -> None:
    pairs = (("content-type", "application/json"), ("set-cookie", "a"), ("set-cookie", "b"), ("x-a", "1"))
    world = Outside(respond=lambda request, _: HttpResponse(404, "http://b/?secret", pairs, b'{"a": 1}'))
    assert call(world, sdk, "response", "http://a/") == {
        "ok": False,
        "json": {"a": 1},
        "content": 8,
        "raised": ["GET http://b/: 404", True],
        "missing": 5,
        "type": "application/json",
        "cookies": ["a", "b"],
        "joined": "a, b",
        "names": ["content-type", "set-cookie", "x-a"],
        "in": True,
        "repr": "<Response 404>",
        "url": "http://b/?secret",
    }


def test_verbs(sdk: OnlyGuest) -> None:
    world = Outside(respond=says(200))
    assert call(world, sdk, "verbs", "http://a/") == ["body"] * 4
    assert [(r.method, r.body) for r in sent(world)] == [
        ("GET", b""),
        ("POST", b"[1]"),
        ("PUT", "ä".encode()),
        ("DELETE", b""),
    ]


@pytest.mark.parametrize(
    ("kind", "builtin"), [("timeout", ["TimeoutError"]), ("interrupted", ["InterruptedError"]), ("dns", [])]
)
def test_no_answer(sdk: OnlyGuest, kind: str, builtin: list[str]) -> None:
    said = call(Outside(respond=says(kind)), sdk, "request", ["GET", "http://a/?secret", {}])
    assert said == {"kind": kind, "message": "GET http://a/: because", "builtin": builtin}


@pytest.mark.parametrize(
    ("method", "options", "outcomes", "tries"),
    [
        ("GET", {}, [503, "timeout", 200], 1),  # without a policy: once
        ("GET", {"retry": {}}, [503, "timeout", 200], 3),
        ("GET", {"retry": {"attempts": 2}}, [503, 503, 200], 2),
        ("GET", {"retry": {}}, [404, 200], 1),
        ("GET", {"retry": {}}, ["refused", 200], 1),
        ("GET", {"retry": {"statuses": [404], "errors": ["refused"]}}, [404, "refused", 200], 3),
        ("POST", {"retry": {}}, [503, 200], 1),  # it may have been carried out
        ("POST", {"retry": {}}, ["timeout", 200], 1),
        ("POST", {"retry": {}}, ["interrupted", 200], 1),
        ("POST", {"retry": {}}, ["connect", 429, 200], 3),
        ("POST", {"retry": {}, "idempotent": True}, [503, "timeout", 200], 3),
        ("POST", {"retry": {}, "idempotency_key": "mine"}, [503, "protocol", 200], 3),
        ("GET", {"retry": {}, "idempotent": False}, [503, 200], 1),
    ],
)
def test_what_is_tried_again(
    sdk: OnlyGuest, method: str, options: dict[str, Any], outcomes: list[int | str], tries: int
) -> None:
    world = Outside(respond=says(*outcomes))
    said = call(world, sdk, "request", [method, "http://a/", options])
    assert len(sent(world)) == tries
    last = outcomes[tries - 1]
    assert said.get("kind" if isinstance(last, str) else "status") == last


def test_pauses_grow_and_have_chance(sdk: OnlyGuest) -> None:
    retry = {"attempts": 4, "first_s": 10, "factor": 3, "longest_s": 60}
    world = Outside(respond=says(500, 500, 500, 200))
    at = call(world, sdk, "request", ["GET", "http://a/", {"retry": retry}])["at"]
    assert (5 + 15 + 30) < at < (10 + 30 + 60)
    assert at != int(at)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("40", 40),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),  # the world begins at 22:13:20
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
        ("nonsense", 0),
        (str(10**9), 86_400),
    ],
)
def test_a_server_that_says_when(sdk: OnlyGuest, asked: str, seconds: float) -> None:
    world = Outside(respond=says(503, 200, headers=(("retry-after", asked),)))
    at = call(world, sdk, "request", ["GET", "http://a/", {"retry": {"first_s": 0.001}}])["at"]
    assert at == pytest.approx(seconds, abs=0.01)


def test_all_attempts_of_a_request_bear_one_key(sdk: OnlyGuest) -> None:
    world = Outside(respond=says(503, 503, 200))
    call(world, sdk, "request", ["POST", "http://a/", {"retry": {}, "idempotent": True}])
    keys = {header(request, "idempotency-key") for request in sent(world)}
    assert len(keys) == 1
    assert len(keys.pop() or "") == 32
    assert all(request.idempotent for request in sent(world))
    other = Outside(respond=says(200))
    named = {"idempotency_key": "order-7", "idempotency_header": "X-Request-Id"}
    call(other, sdk, "request", ["POST", "http://a/", named])
    (request,) = sent(other)
    assert (header(request, "x-request-id"), header(request, "idempotency-key")) == ("order-7", None)
    assert request.idempotent


@pytest.mark.parametrize("point", ["effect.before", "effect.after", "wait.after"])
@pytest.mark.parametrize("visit", [1, 2])
def test_a_worker_lost_between_attempts_changes_nothing(sdk: OnlyGuest, point: str, visit: int) -> None:
    asked = ["POST", "http://a/", {"retry": {"first_s": 2}, "idempotent": True}]
    given = json.dumps({"do": "request", "argument": asked}).encode()
    calm, lost = (Outside(respond=lambda r, _: HttpResponse(503, r.url, (), b"")) for _ in range(2))
    undisturbed = call(calm, sdk, "request", asked)
    assert isinstance(place(lost, sdk.guest, given=given, crash_points=CrashPoints(point, visit)), Crashed)
    assert call(lost, sdk, "request", asked) == undisturbed
    assert {header(r, "idempotency-key") for r in sent(lost)} == {
        header(r, "idempotency-key") for r in sent(calm)
    }
    assert len(sent(lost)) == 3 + (point == "effect.after")
