"""The rules of replay for HTTP requests, on the machine alone."""

import pytest

from mvm_ci.domain.errors import NondeterminismDetected
from mvm_ci.domain.http import HttpFailure, HttpRequest, HttpResponse
from mvm_ci.journal.describe import summarize
from mvm_ci.journal.effects import INTERRUPTED
from mvm_ci.journal.entries import (
    ClockRead,
    HttpDone,
    HttpIntent,
)
from mvm_ci.journal.steps import Answer, Perform
from tests.unit.journal.machines import GET, OK, POST, SECOND, T0, S, fresh, new, recorded, resumed


def test_an_idempotent_request_needs_no_intent() -> None:
    machine = fresh()
    step = machine.http(GET, T0)
    assert isinstance(step, Perform)
    assert (step.key, step.once) == ("j1hf7yat000000-2-0", False)
    assert machine.performed(step, OK, began_ns=T0, ended_ns=T0 + S) == OK
    (done,) = recorded(machine)
    assert done == HttpDone(step.digest, "GET https://x/", OK, T0 // 10**6, T0 // 10**6 + 1000)
    assert resumed(done).http(GET, T0) == Answer(OK, flush=False)


def test_another_request_has_an_intent() -> None:
    machine = fresh()
    step = machine.http(POST, T0)
    assert isinstance(step, Perform)
    assert step.once
    assert recorded(machine) == [HttpIntent(step.digest, "POST https://x/")]
    machine.performed(step, OK, began_ns=T0, ended_ns=T0)
    (done,) = new(machine)
    machine = resumed(HttpIntent(step.digest, ""), SECOND, done)
    assert machine.http(POST, T0) == Answer(OK, flush=False)
    assert new(machine) == []


def test_an_intent_without_result_was_interrupted() -> None:
    step = fresh().http(POST, T0)
    assert isinstance(step, Perform)
    machine = resumed(HttpIntent(step.digest, ""))
    assert machine.http(POST, T0) == Answer(INTERRUPTED, flush=True)
    placed, done = new(machine)
    assert placed == SECOND
    assert isinstance(done, HttpDone)
    assert done.result == INTERRUPTED
    assert resumed(HttpIntent(step.digest, ""), placed, done).http(POST, T0) == Answer(
        INTERRUPTED, flush=False
    )


def test_keys_count_requests_not_entries() -> None:
    machine = fresh()
    first = machine.http(GET, T0)
    assert isinstance(first, Perform)
    machine.performed(first, OK, began_ns=T0, ended_ns=T0)
    (done,) = recorded(machine)
    machine.clock(wall=False, now_ns=T0)
    second = machine.http(GET, T0)
    again = resumed(done, SECOND)
    again.http(GET, T0)
    assert not again.replaying
    third = again.http(GET, T0)
    assert isinstance(second, Perform)
    assert second == third
    assert second.key.endswith("-2-1")


def test_the_digest_is_pinned() -> None:
    """Part of the format: a journal written by one release is compared by the next."""
    step = fresh().http(POST, T0)
    assert isinstance(step, Perform)
    assert step.digest == "c2336e0531ecf71133dd4d3a9f487e98056c8221b4d1ca2bbca7a9e23ac91f22"


@pytest.mark.parametrize(
    "other",
    [
        HttpRequest("PUT", "https://x/", (("a", "b"),), b"{}", 1000, idempotent=False),
        HttpRequest("POST", "https://x/?", (("a", "b"),), b"{}", 1000, idempotent=False),
        HttpRequest("POST", "https://x/", (("a", "c"),), b"{}", 1000, idempotent=False),
        HttpRequest("POST", "https://x/", (("a", "b"),), b"{} ", 1000, idempotent=False),
        HttpRequest("POST", "https://x/", (("a", "b"),), b"{}", 1000, idempotent=True),
    ],
    ids=["method", "url", "headers", "body", "idempotent"],
)
def test_another_request_disagrees(other: HttpRequest) -> None:
    step = fresh().http(POST, T0)
    assert isinstance(step, Perform)
    with pytest.raises(NondeterminismDetected, match=r"entry 2 .* the intent of request POST https://x/ \("):
        resumed(HttpIntent(step.digest, step.summary)).http(other, T0)


def test_the_time_out_may_change() -> None:
    step = fresh().http(POST, T0)
    other = HttpRequest(POST.method, POST.url, POST.headers, POST.body, 99, idempotent=False)
    assert fresh().http(other, T0) == step


def test_a_result_of_another_request_disagrees() -> None:
    step = fresh().http(POST, T0)
    assert isinstance(step, Perform)
    with pytest.raises(
        NondeterminismDetected, match="entry 3 of the journal records a read of the wall clock"
    ):
        resumed(HttpIntent(step.digest, ""), ClockRead(wall=True, value_ns=0)).http(POST, T0)


def test_an_answer_that_fits_no_entry_is_a_failure() -> None:
    machine = fresh()
    step = machine.http(GET, T0)
    assert isinstance(step, Perform)
    large = HttpResponse(200, "", (("x", "y" * 300_000),), b"")
    seen = machine.performed(step, large, began_ns=T0, ended_ns=T0)
    assert isinstance(seen, HttpFailure)
    assert seen.kind == "too-large"
    (done,) = recorded(machine)
    assert isinstance(done, HttpDone)
    assert done.result == seen


def test_summaries_hold_no_secrets() -> None:
    url = "https://me:pw@host:1/a/b@c?token=1#f"
    assert summarize(HttpRequest("GET", url, (), b"", 1, idempotent=True)) == "GET https://host:1/a/b@c"
    assert len(summarize(HttpRequest("GET", "https://" + "x" * 999, (), b"", 1, idempotent=True))) == 200
