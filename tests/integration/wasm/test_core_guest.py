"""Core modules: every host call, WASI preview 1, limits and failures."""

import json

import pytest

from mvm_ci.domain.http import HttpFailure, HttpRequest, HttpResponse
from mvm_ci.domain.outcome import FailureKind
from mvm_ci.ports.guest import GuestFailed, GuestLimits
from tests.integration.wasm.fakes import FakeHost, OnlyGuest

LIMITS = GuestLimits(memory_bytes=32 << 20, result_bytes=1000)


def run(guest: OnlyGuest, payload: bytes, host: FakeHost | None = None) -> bytes:
    return guest.run(payload, host or FakeHost(), LIMITS)


def failure(guest: OnlyGuest, payload: bytes, host: FakeHost | None = None) -> tuple[FailureKind, str]:
    with pytest.raises(GuestFailed) as caught:
        run(guest, payload, host)
    return caught.value.failure.kind, caught.value.failure.message


def test_clocks_and_randomness_are_the_hosts(probe: OnlyGuest) -> None:
    host = FakeHost()
    assert run(probe, b"c", host) == b"1700000000.000001000 0.000002000 1 0108 1700000000000"
    assert host.calls == [
        ("wall_clock_ns", None),
        ("monotonic_ns", None),
        ("random", 8),
        ("wall_clock_ns", None),
    ]


def test_the_same_answers_give_the_same_result(probe: OnlyGuest) -> None:
    first, second = FakeHost(), FakeHost()
    assert run(probe, b"c", first) == run(probe, b"c", second)
    assert first.calls == second.calls


def test_sleeping_is_a_host_call(probe: OnlyGuest) -> None:
    host = FakeHost()
    assert run(probe, b"s", host) == b"slept"
    assert host.calls == [("sleep_for", 1_500_000), ("sleep_until", 5_000_000_250), ("sleep_for", 7_000_000)]


def test_output_streams_and_split_characters(probe: OnlyGuest) -> None:
    host = FakeHost()
    run(probe, b"p", host)
    assert (host.text("stdout"), host.text("stderr")) == ("to stdout\n", "to stderr\n")
    assert host.text("log") == "hä end ��"


def test_there_are_no_arguments_no_environment_and_no_files_of_the_host(probe: OnlyGuest) -> None:
    assert run(probe, b"e") == b"refused 1 eof none"


def test_http_request_and_answer(probe: OnlyGuest) -> None:
    answer = HttpResponse(status=201, url="http://b/", headers=(("x", "y"),), body=b"\x00\xff")
    host = FakeHost(answers={"http://a/": answer})
    asked = {"url": "http://a/", "method": "post", "headers": [["A", "b"]], "body": "aGk=", "timeout_ms": 0}
    said = json.loads(run(probe, b"h" + json.dumps(asked).encode(), host))
    assert said == {"ok": {"status": 201, "url": "http://b/", "headers": [["x", "y"]], "body": "AP8="}}
    assert host.requests == [
        HttpRequest(
            method="POST", url="http://a/", headers=(("a", "b"),), body=b"hi", timeout_ms=1, idempotent=False
        )
    ]


@pytest.mark.parametrize(
    ("method", "declared", "idempotent"),
    [
        ("GET", None, True),
        ("HEAD", None, True),
        ("PUT", None, False),
        ("PUT", True, True),
        ("GET", False, False),
    ],
)
def test_who_decides_whether_a_request_may_be_repeated(
    probe: OnlyGuest, method: str, *, declared: bool | None, idempotent: bool
) -> None:
    host = FakeHost()
    asked = {"url": "http://a/", "method": method, "idempotent": declared}
    run(probe, b"h" + json.dumps(asked).encode(), host)
    assert host.requests[0].idempotent is idempotent


def test_http_failures_are_answers(probe: OnlyGuest) -> None:
    host = FakeHost(answers={"http://a/": HttpFailure(kind="timeout", message="too slow")})
    assert json.loads(run(probe, b'h{"url": "http://a/"}', host)) == {
        "error": {"kind": "timeout", "message": "too slow"}
    }


@pytest.mark.parametrize(
    "document", [b"nonsense", b"{}", b'{"url": 1}', b'{"url": "x", "body": "*"}', b"\xff"]
)
def test_a_request_that_is_none_is_answered(probe: OnlyGuest, document: bytes) -> None:
    host = FakeHost()
    assert json.loads(run(probe, b"h" + document, host))["error"]["kind"] == "protocol"
    assert not host.requests


def test_the_last_output_counts(probe: OnlyGuest) -> None:
    assert run(probe, b"O") == b"second"


def test_a_result_over_the_limit(probe: OnlyGuest) -> None:
    assert len(run(probe, b"o1000")) == 1000
    assert failure(probe, b"o1001") == (
        FailureKind.OUTPUT,
        "the result has 1001 bytes; at most 1000 are allowed",
    )


def test_an_error_text_and_a_status(probe: OnlyGuest) -> None:
    with pytest.raises(GuestFailed) as caught:
        run(probe, b"fno luck\nand more")
    assert caught.value.failure.kind is FailureKind.ERROR
    assert (caught.value.failure.message, caught.value.failure.detail) == ("no luck", "and more")
    assert failure(probe, b"n7") == (FailureKind.ERROR, "exit code 7")
    assert failure(probe, b"x3") == (FailureKind.ERROR, "exit code 3")
    assert run(probe, b"x0") == b""


def test_a_wasi_command(command: OnlyGuest) -> None:
    host = FakeHost()
    assert run(command, b"0", host) == b"done"
    assert host.text("stdout") == "0 arguments\n"
    assert failure(command, b"4") == (FailureKind.ERROR, "exit code 4")


@pytest.mark.parametrize("which", range(6))
def test_a_bad_pointer_ends_the_guest(probe: OnlyGuest, which: int) -> None:
    kind, message = failure(probe, f"b{which}".encode())
    assert kind is FailureKind.TRAP
    assert "bad pointer" in message


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (b"u", "unreachable code was executed"),
        (b"d", "integer division by zero"),
        (b"r", "stack overflow"),
        (b"b7", "out of bounds memory access"),
        (b"g", "unreachable code was executed"),
    ],
)
def test_traps(probe: OnlyGuest, operation: bytes, text: str) -> None:
    kind, message = failure(probe, operation)
    assert kind is FailureKind.TRAP
    assert text in message


def test_memory_that_is_denied_is_the_guests_to_handle(probe: OnlyGuest) -> None:
    assert run(probe, b"m") == b"none"
    assert probe.run(b"m", FakeHost(), GuestLimits(memory_bytes=200 << 20)) == b"got it"


def test_a_memory_that_does_not_fit_from_the_beginning(probe: OnlyGuest) -> None:
    with pytest.raises(GuestFailed) as caught:
        probe.run(b"c", FakeHost(), GuestLimits(memory_bytes=1 << 16))
    assert caught.value.failure.kind is FailureKind.MEMORY


def test_each_run_has_a_fresh_instance(probe: OnlyGuest) -> None:
    run(probe, b"O")
    assert run(probe, b"n0") == b""
