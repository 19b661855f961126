"""Secrets in an execution: what is recorded of them, what is masked, and that replay agrees."""

import base64
import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from mvm_ci.domain.http import HttpFailure, HttpRequest, HttpResponse, HttpResult
from mvm_ci.domain.mail import Mail
from mvm_ci.domain.masking import forms_of
from mvm_ci.domain.outcome import Completed, Failed, Failure, FailureKind, Parked, Suspended
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.journal.codec import decode
from mvm_ci.journal.entries import HttpDone, HttpIntent, Logged, Memoized, SecretRead
from mvm_ci.lifecycle.execute import Result
from mvm_ci.ports.guest import GuestFailed
from mvm_ci.testing.crash_points import POINTS, Crashed, CrashPoints
from mvm_ci.testing.execution import Calls, FakeHost, FunctionGuest, World, place

VALUE = "hunter22 & more"
NEWER = "correct horse battery"
TOKEN = SecretValue("TOKEN", 3, VALUE, b"k" * 32)
ROTATED = SecretValue("TOKEN", 4, NEWER, b"n" * 32)
GONE = SecretValue("TOKEN", 3, None)
OTHER = SecretValue("OTHER", 1, "another secret", b"o" * 32)
HOUR = 3_600_000_000_000


def read(calls: Calls, name: str = "TOKEN") -> str:
    answer = calls.ask("secret.get", name=name)
    value: str = answer["ok"]
    return value


def run(
    body: Callable[[Calls], object],
    world: World | None = None,
    *,
    secrets: tuple[SecretValue, ...] = (TOKEN,),
    crash_points: CrashPoints | None = None,
) -> tuple[World, Any]:
    """One more placement of a guest whose result is what ``body`` returns."""

    def guest(payload: bytes, calls: Calls) -> bytes:
        return json.dumps(body(calls)).encode()

    world = world or World()
    ended = place(world, FunctionGuest(guest), secrets=secrets, crash_points=crash_points)
    return world, ended.outcome if isinstance(ended, Result) else ended


def assert_nowhere(world: World, *secrets: str) -> None:
    """In nothing that is kept, in no spelling."""
    kept = [segment.data for segment in world.journal] + list(world._blobs.values())
    kept.append(msgspec.json.encode(world.outcome))
    for secret in secrets:
        for form in forms_of(secret):
            assert not any(form in data for data in kept)


def test_what_is_recorded_is_the_name_and_the_version_once() -> None:
    world, outcome = run(lambda calls: [read(calls) == VALUE, read(calls) == VALUE])
    assert outcome == Completed(b"[true, true]")
    assert [entry for entry in world.entries if isinstance(entry, SecretRead)] == [SecretRead("TOKEN", 3)]
    assert_nowhere(world, VALUE)


def test_text_result_and_failure_are_masked_in_every_spelling() -> None:
    def tell(calls: Calls) -> list[str]:
        value = read(calls)
        told = [f"<{form.decode()}>" for form in sorted(forms_of(value))]
        told.append(base64.b64encode(f"user:{value}".encode()).decode())
        for text in told:
            calls.log("stdout", text + "\n")
        return told

    world, outcome = run(tell)
    assert_nowhere(world, VALUE)
    assert world.shown.count("***\n") + world.shown.count("***>\n") >= len(forms_of(VALUE))
    result = world.get_blob(outcome.result) if isinstance(outcome.result, BlobRef) else outcome.result
    assert all("***" in text for text in json.loads(result))

    def fail(calls: Calls) -> None:
        value = read(calls)
        failure = Failure(kind=FailureKind.ERROR, message=f"bad {value}", detail=f"at\n{value!r}")
        raise GuestFailed(failure)

    world, outcome = run(fail)
    assert outcome == Failed(Failure(kind=FailureKind.ERROR, message="bad ***", detail="at\n'***'"))
    assert_nowhere(world, VALUE)


@pytest.mark.parametrize("before", [0, 100, 245, 7_990, 20_000])
def test_a_failure_is_masked_before_it_is_taken_apart_or_cut(before: int) -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END KEY-----\n"

    def fail(calls: Calls) -> None:
        told = f"{'.' * before}{read(calls)}".strip()
        message, _, rest = told.partition("\n")
        raise GuestFailed(Failure(kind=FailureKind.ERROR, message=message, detail=f"{rest}\n{told}\nat 7"))

    world, outcome = run(fail, secrets=(SecretValue("TOKEN", 1, key, b"k" * 32),))
    assert isinstance(outcome, Failed)
    said = outcome.failure.message + outcome.failure.detail
    assert not [line for line in key.splitlines() if line in said or line[:12] in said]
    assert said.endswith("***at 7")
    assert_nowhere(world, key)


def test_a_secret_in_pieces_is_masked_and_a_beginning_is_shown_in_the_end() -> None:
    def tell(calls: Calls) -> None:
        value = read(calls)
        for character in f"it is {value}, ":
            calls.log("stdout", character)
        calls.log("stderr", "hunter2")
        calls.log("stdout", value[:5])

    world, _ = run(tell)
    assert_nowhere(world, VALUE)
    texts = {"stdout": "", "stderr": ""}
    for entry in world.entries:
        if isinstance(entry, Logged):
            texts[entry.stream] += entry.text
    assert texts == {"stdout": "it is ***, hunte", "stderr": "hunter2"}


def test_what_was_held_back_is_shown_when_a_guest_fails() -> None:
    def tell(calls: Calls) -> None:
        calls.log("stdout", read(calls)[:4])
        raise GuestFailed(Failure(kind=FailureKind.ERROR, message="no"))

    assert run(tell)[0].shown == "hunt"


def test_another_placement_is_told_the_version_that_the_first_one_read() -> None:
    def sleeper(calls: Calls) -> str:
        value = read(calls)
        calls.log("stdout", f"value {value}\n")
        calls.sleep_for(HOUR)
        return read(calls)

    world, outcome = run(sleeper)
    assert isinstance(outcome, Suspended)
    world.now_ns += HOUR
    world, outcome = run(sleeper, world, secrets=(TOKEN, OTHER))
    assert outcome == Completed(b'"***"')
    assert world.shown == "value ***\n"
    assert_nowhere(world, VALUE)


@pytest.mark.parametrize("secret", [GONE, ROTATED], ids=["removed", "rotated"])
def test_a_version_that_is_not_there_parks_the_job(secret: SecretValue) -> None:
    def sleeper(calls: Calls) -> str:
        value = read(calls)
        calls.sleep_for(HOUR)
        return value

    world, _ = run(sleeper)
    world.now_ns += HOUR
    before = world.journal
    world, outcome = run(sleeper, world, secrets=(secret,))
    assert isinstance(outcome, Parked)
    assert outcome.failure.kind is FailureKind.ENGINE
    assert "version 3 of the secret 'TOKEN'" in outcome.failure.message
    assert world.journal == before


def test_one_that_was_never_there_parks_the_job_too() -> None:
    _, outcome = run(read, secrets=(SecretValue("TOKEN", 0, None),))
    assert isinstance(outcome, Parked)
    assert "the secret 'TOKEN', which the job reads, is not there" in outcome.failure.message


def test_a_secret_that_the_job_does_not_name_is_refused() -> None:
    world, outcome = run(lambda calls: calls.ask("secret.get", name="OTHER"))
    assert json.loads(outcome.result)["error"]["kind"] == "refused"
    assert not [entry for entry in world.entries if isinstance(entry, SecretRead)]


def test_replay_that_reads_another_one_disagrees() -> None:
    names = iter(["TOKEN", "OTHER"])

    def fickle(calls: Calls) -> str:
        value = read(calls, next(names))
        calls.sleep_for(HOUR)
        return value

    world, _ = run(fickle, secrets=(TOKEN, OTHER))
    _, outcome = run(fickle, world, secrets=(TOKEN, OTHER))
    assert outcome == Parked(
        Failure(
            kind=FailureKind.NONDETERMINISM,
            message="entry 2 of the journal records that the secret 'TOKEN' was read, version 3, "
            "but the guest asked for that the secret 'OTHER' was read, version 1",
        )
    )


# -------------------------------------------------------------------- requests


def asked(value: str, method: str = "GET") -> HttpRequest:
    headers = (("authorization", f"Bearer {value}"),)
    url = f"https://x/{value}?key={value}"
    return HttpRequest(method, url, headers, value.encode(), 1000, idempotent=method == "GET")


def echoing(request: HttpRequest, number: int) -> HttpResult:
    """A server that sends back what it was sent."""
    return HttpResponse(200, request.url, (*request.headers, ("x", "y")), b"you said: " + request.body)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_with_a_secret_leaves_as_it_is_and_is_recorded_without(method: str) -> None:
    def ask(calls: Calls) -> str:
        answer = calls.http(asked(read(calls), method))
        assert isinstance(answer, HttpResponse)
        assert isinstance(answer.body, bytes)
        return answer.body.decode()

    world, outcome = run(ask, World(echoing))
    [[sent]] = world.effects.values()
    assert sent == asked(VALUE, method)
    assert outcome == Completed(b'"you said: ***"')
    assert_nowhere(world, VALUE)
    requests = [entry for entry in world.entries if isinstance(entry, HttpDone | HttpIntent)]
    assert {entry.summary for entry in requests} == {f"{method} https://x/***"}
    done = requests[-1]
    assert isinstance(done, HttpDone)
    assert done.result == HttpResponse(
        200, "https://x/***?key=***", (("authorization", "Bearer ***"), ("x", "y")), b"you said: ***"
    )


def test_the_digest_of_a_request_is_of_no_use_to_who_guesses() -> None:
    def ask(calls: Calls) -> None:
        calls.http(asked(read(calls)))

    def digest(secret: SecretValue) -> str:
        world, _ = run(ask, secrets=(secret,))
        (done,) = [entry for entry in world.entries if isinstance(entry, HttpDone)]
        return done.request

    right = asked(VALUE)
    guess = msgspec.msgpack.encode((right.method, right.url, right.headers, right.body, right.idempotent))
    assert digest(TOKEN) == digest(msgspec.structs.replace(TOKEN, version=9))
    assert digest(TOKEN) != sha256(guess).hexdigest()
    assert digest(TOKEN) != digest(msgspec.structs.replace(TOKEN, digest_key=b"x" * 32))


def test_a_large_answer_is_masked_before_it_is_stored() -> None:
    large = HttpResponse(200, "", (), b"." * 5000 + VALUE.encode())

    def ask(calls: Calls) -> int:
        answer = calls.http(asked(read(calls)))
        assert isinstance(answer, HttpResponse)
        assert isinstance(answer.body, bytes)
        return len(answer.body)

    world, outcome = run(ask, World(lambda request, number: large))
    assert outcome == Completed(b"5003")
    assert_nowhere(world, VALUE)
    assert list(world._blobs.values()) == [b"." * 5000 + b"***"]


def test_a_failed_request_is_masked() -> None:
    failed = HttpFailure("dns", f"{VALUE}.example cannot be resolved")

    def ask(calls: Calls) -> str:
        answer = calls.http(asked(read(calls)))
        assert isinstance(answer, HttpFailure)
        return answer.message

    world, outcome = run(ask, World(lambda request, number: failed))
    assert outcome == Completed(b'"***.example cannot be resolved"')
    assert_nowhere(world, VALUE)


def test_before_a_secret_is_read_nothing_is_masked() -> None:
    def ask(calls: Calls) -> None:
        calls.log("stdout", f"{VALUE}, ")
        calls.http(HttpRequest("GET", "https://x/", (), b"", 1000, idempotent=True))
        read(calls)
        calls.log("stdout", VALUE)

    assert run(ask)[0].shown == f"{VALUE}, ***"


# -------------------------------------------------------------------- calls by name


def test_a_secret_is_not_recorded_as_a_computed_value() -> None:
    def compute(calls: Calls) -> object:
        value = read(calls)
        assert calls.ask("memo.get", name="x") == {"ok": None}
        first = calls.ask("memo.put", name="x", value={"is": value})
        second = calls.ask("memo.get", name=f"of {value}")
        assert calls.ask("memo.drop", name="x") == {"ok": None}
        assert read(calls) == value
        return [first["error"]["kind"], second["error"]["kind"]]

    world, outcome = run(compute)
    assert outcome == Completed(b'["secret", "secret"]')
    assert_nowhere(world, VALUE)


def test_a_secret_that_was_read_while_computing_is_known_after_a_replay_that_passes_it_by() -> None:
    """And so is text that was held back: it does not wait for what comes after the value."""

    def compute(calls: Calls) -> str:
        calls.log("stdout", "begin ")
        read(calls, "OTHER")
        calls.log("stdout", "another sec")
        if calls.ask("memo.get", name="x") == {"ok": None}:
            calls.log("stdout", read(calls)[:5])
            calls.ask("memo.put", name="x", value=1)
        calls.sleep_for(HOUR)
        calls.log("stdout", f"ret, {read(calls)}")
        calls.http(asked(read(calls)))
        calls.sleep_for(HOUR)
        return read(calls)

    world = World(echoing)
    for _ in range(3):
        world, outcome = run(compute, world, secrets=(TOKEN, OTHER))
        world.now_ns += HOUR
    assert outcome == Completed(b'"***"')
    assert_nowhere(world, VALUE, "another secret")
    assert world.shown == "begin another sechunteret, ***"
    entries = [type(entry) for entry in world.entries if isinstance(entry, SecretRead | Memoized)]
    assert entries == [SecretRead, SecretRead, Memoized]


def test_a_version_of_before_is_not_taken_for_another_where_replay_passes_by() -> None:
    def compute(calls: Calls) -> int:
        if calls.ask("memo.get", name="x") == {"ok": None}:
            read(calls)
            calls.ask("memo.put", name="x", value=1)
        calls.sleep_for(HOUR)
        return 1

    world, _ = run(compute)
    _, outcome = run(compute, world, secrets=(ROTATED,))
    assert isinstance(outcome, Parked)
    assert outcome.failure.kind is FailureKind.ENGINE


# -------------------------------------------------------------------- crashes


@pytest.mark.parametrize("visit", [1, 2, 3])
@pytest.mark.parametrize("point", sorted(POINTS))
def test_wherever_it_crashes_the_guest_goes_on_with_the_same_version(point: str, visit: int) -> None:
    """Each placement is given the version that its journal names, else the newest: so the control plane does
    it.
    """

    def work(calls: Calls) -> str:
        value = read(calls)
        for character in f"<{value}>":
            calls.log("stdout", character)
        calls.http(asked(value, "PUT"))
        calls.log("stdout", value)
        calls.sleep_for(1_000_000_000)
        calls.http(asked(value))
        return value * 400

    world = World(echoing)
    _, ended = run(work, world, crash_points=CrashPoints(point, visit))
    while isinstance(ended, Crashed):
        read_before = any(isinstance(entry, SecretRead) for entry in decode(world.journal))
        _, ended = run(work, world, secrets=(TOKEN if read_before else ROTATED,))
    assert isinstance(ended, Completed)
    assert_nowhere(world, VALUE, NEWER)
    assert world.shown == "<***>***"
    assert len({sent.headers for requests in world.effects.values() for sent in requests}) == 1


def test_a_secret_says_nothing_of_its_value_where_it_is_shown() -> None:
    host = FakeHost(World())
    assert VALUE not in repr((TOKEN, [TOKEN], host))
    assert "k" * 32 not in repr(TOKEN)
    assert list(TOKEN.__rich_repr__()) == [("name", "TOKEN"), ("version", 3)]


def test_what_others_send_and_answer_is_masked() -> None:
    world = World()
    world.answers = lambda _name, _argument: json.dumps({"ok": VALUE}).encode()
    world.mail.append((0, Mail(1, "message:go", json.dumps({"told": VALUE}).encode())))
    failed = Failure(kind=FailureKind.ERROR, message=f"no {VALUE}")
    world.mail.append((0, Mail(2, "message:go", None, failed)))

    def body(calls: Calls) -> object:
        read(calls)
        asked = calls.ask("job.metadata", metadata={})
        return [asked, *(calls.ask("wait", topics=["message:go"]) for _ in range(2))]

    world, outcome = run(body, world)
    assert isinstance(outcome, Completed)
    assert_nowhere(world, VALUE)
