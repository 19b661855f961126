"""Python guests: ordinary Python, on recorded effects."""

import json
from typing import Any

import pytest

from mvm_ci.adapters.wasm.runtime import WasmRuntime
from mvm_ci.domain.http import HttpFailure, HttpResponse, HttpResult
from mvm_ci.domain.outcome import Failure, FailureKind
from mvm_ci.ports.guest import GuestFailed, GuestLimits
from tests.integration.wasm.fakes import START_NS, FakeHost, OnlyGuest

LIMITS = GuestLimits(memory_bytes=128 << 20, result_bytes=100_000)


def call(guest: OnlyGuest, do: str, argument: object = None, host: FakeHost | None = None) -> Any:
    payload = json.dumps({"do": do, "argument": argument}).encode()
    return json.loads(guest.run(payload, host or FakeHost(), LIMITS))


def failure(guest: OnlyGuest, do: str, argument: object = None) -> Failure:
    with pytest.raises(GuestFailed) as caught:
        call(guest, do, argument)
    return caught.value.failure


def test_effects_are_the_hosts(everything: OnlyGuest) -> None:
    host = FakeHost()
    said = call(everything, "effects", host=host)
    assert said["time"] == pytest.approx(START_NS / 1e9, abs=1)
    assert said["now"].startswith("2023-11-14T22:13:20")
    assert said["monotonic"] < 1
    assert said["perf"] < 1
    assert {"wall_clock_ns", "monotonic_ns", "random"} == set(host.names())
    assert all(size <= 256 for name, size in host.calls if name == "random" and isinstance(size, int))


def test_a_start_asks_for_randomness_once(everything: OnlyGuest) -> None:
    host = FakeHost()
    call(everything, "echo", host=host)
    assert host.calls == [("random", 32)]


def test_the_random_module_is_whole_again_after_the_start(everything: OnlyGuest) -> None:
    said = call(everything, "seeds")
    assert said["function"] == "Random.seed"
    assert said["again"] == said["first"]
    assert said["fresh"] != said["first"]


def test_the_same_answers_give_the_same_run(everything: OnlyGuest) -> None:
    first, second = FakeHost(), FakeHost()
    assert call(everything, "effects", host=first) == call(everything, "effects", host=second)
    assert first.calls == second.calls


def test_other_answers_give_another_run(everything: OnlyGuest) -> None:
    class Other(FakeHost):
        def random(self, size: int) -> bytes:
            return bytes(255 - byte for byte in super().random(size))

    usual, other = call(everything, "effects"), call(everything, "effects", host=Other())
    for name in ("random", "uuid4", "urandom", "insecure"):
        assert usual[name] != other[name]


def test_the_standard_library(everything: OnlyGuest) -> None:
    said = call(everything, "library")
    assert said["links"] == [["a", {"href": "/x"}]]
    assert said["sha"].startswith("2d711642")
    assert said["url"] == "http://a/c"
    assert said["re"] == ["1", "22"]
    assert (said["idna"], said["cp1252"], said["latin"]) == ("xn--bcher-kva.example", "€", "ä")
    assert (said["strptime"], said["strftime"]) == ("2020-02-03T00:00:00", "03.02.2020")
    assert (said["base64"], said["decimal"], said["sqlite"]) == ("eA==", "2.10", 42)
    assert (said["beside"], said["ssl"], said["lock"]) == (42, True, True)


def test_sleep_is_durable_and_takes_no_time(everything: OnlyGuest) -> None:
    host = FakeHost()
    assert call(everything, "sleep", 3600, host=host) == pytest.approx(3600, abs=1)
    assert [name for name in host.names() if name.startswith("sleep")] == ["sleep_until"]


def test_it_sleeps_as_often_as_it_likes(everything: OnlyGuest) -> None:
    host = FakeHost()
    assert call(everything, "naps", 1_000, host=host) == 1_000
    assert host.names().count("sleep_until") == 1_000


def test_print_is_one_call_a_line(everything: OnlyGuest) -> None:
    host = FakeHost()
    call(everything, "prints", host=host)
    assert host.logs == [("stdout", "one line\n"), ("stderr", "grüße\n"), ("stdout", "no end!")]


def test_there_are_no_sockets_no_environment_and_no_files_of_the_host(everything: OnlyGuest) -> None:
    assert call(everything, "files") == [["FileNotFoundError", "FileNotFoundError"], {}, ""]
    assert call(everything, "sockets") == "gaierror"


def test_an_exception_is_the_failure_with_its_traceback(everything: OnlyGuest) -> None:
    failed = failure(everything, "fails")
    assert (failed.kind, failed.message) == (FailureKind.ERROR, "ValueError: what went wrong")
    assert 'raise ValueError("what went wrong' in failed.detail
    assert "mvm_ci_entry" not in failed.detail


@pytest.mark.parametrize(
    ("do", "argument", "kind", "text"),
    [
        ("wrong_result", None, FailureKind.ERROR, "the result of run() is not JSON: Object of type object"),
        ("not_a_number", None, FailureKind.ERROR, "the result of run() is not JSON: Out of range float"),
        ("leaves", 3, FailureKind.ERROR, "the job called sys.exit(3)"),
        ("recurse", None, FailureKind.ERROR, "RecursionError"),
        ("allocate", 500, FailureKind.MEMORY, "MemoryError"),
        ("aborts", None, FailureKind.TRAP, "unreachable code was executed"),
        ("hard_exit", 3, FailureKind.ERROR, "exit code"),
        ("large", 100_000, FailureKind.OUTPUT, "the result has 100002 bytes"),
        ("nonsense", None, FailureKind.ERROR, "KeyError: 'nonsense'"),
    ],
)
def test_ways_to_fail(everything: OnlyGuest, do: str, argument: object, kind: FailureKind, text: str) -> None:
    failed = failure(everything, do, argument)
    assert failed.kind is kind
    assert text in failed.message


def test_recursion_without_a_limit(everything: OnlyGuest) -> None:
    failed = failure(everything, "deep")
    assert failed.kind in (FailureKind.TRAP, FailureKind.ERROR, FailureKind.MEMORY)
    assert call(everything, "echo", "alive") == "alive"


def test_a_memory_error_may_be_handled(everything: OnlyGuest) -> None:
    assert call(everything, "catches_memory", 500) == "caught"


@pytest.mark.parametrize(
    ("payload", "text"), [(b"{", "the input is not JSON"), (b"\xff", "the input is not UTF-8")]
)
def test_input_that_is_no_json(everything: OnlyGuest, payload: bytes, text: str) -> None:
    with pytest.raises(GuestFailed, match=text):
        everything.run(payload, FakeHost(), LIMITS)


def test_text_travels_unharmed(everything: OnlyGuest) -> None:
    for text in ("", "ä€😀", "\x00", "\ud800", "x" * 50_000):
        assert call(everything, "echo", text) == text


def test_module_level_values_are_frozen(everything: OnlyGuest) -> None:
    assert call(everything, "frozen") == call(everything, "frozen")


def fetch(guest: OnlyGuest, answer: HttpResult | None, **argument: object) -> tuple[Any, FakeHost]:
    url = str(argument.setdefault("url", "https://a.example/x?y#z")).partition("#")[0]
    host = FakeHost(answers={url: answer} if answer is not None else {})
    return call(guest, "fetch", argument, host=host), host


def test_urlopen(everything: OnlyGuest) -> None:
    answer = HttpResponse(
        status=200,
        url="https://a.example/final",
        headers=(("content-type", "text/plain; charset=utf-8"),),
        body="grüße".encode(),
    )
    said, host = fetch(everything, answer, headers={"X-Own": "1"}, timeout=2.5)
    assert said == {
        "status": 200,
        "url": "https://a.example/final",
        "type": "text/plain; charset=utf-8",
        "missing": "default",
        "info": "text/plain",
        "body": "grüße",
        "again": "",
        "reason": "OK",
    }
    (request,) = host.requests
    assert (request.method, request.url) == ("GET", "https://a.example/x?y")
    assert (request.timeout_ms, request.idempotent) == (2500, True)
    assert ("x-own", "1") in request.headers


def test_a_post(everything: OnlyGuest) -> None:
    answer = HttpResponse(status=204, url="http://a/", headers=(), body=b"")
    said, host = fetch(everything, answer, url="http://a/", data="a=b")
    assert said["status"] == 204
    (request,) = host.requests
    assert (request.method, request.body, request.idempotent) == ("POST", b"a=b", False)
    assert ("content-type", "application/x-www-form-urlencoded") in request.headers
    _, host = fetch(everything, answer, url="http://a/", data="a=b", method="PUT", idempotent=True)
    assert (host.requests[0].method, host.requests[0].idempotent) == ("PUT", True)


@pytest.mark.parametrize("status", [404, 500, 304])
def test_error_statuses_raise(everything: OnlyGuest, status: int) -> None:
    answer = HttpResponse(status=status, url="https://a.example/x?y", headers=(), body=b"sorry")
    said, _ = fetch(everything, answer)
    assert (said["http"], said["body"]) == (status, "sorry")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("timeout", "TimeoutError"),
        ("dns", "gaierror"),
        ("connect", "ConnectionError"),
        ("refused", "PermissionError"),
        ("interrupted", "InterruptedError"),
        ("protocol", "OSError"),
    ],
)
def test_failures_are_url_errors(everything: OnlyGuest, kind: str, error: str) -> None:
    said, _ = fetch(everything, HttpFailure(kind=kind, message="because"))
    assert said == {"error": error, "text": "because"}


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b", "nonsense:x"])
def test_other_schemes_do_not_work(everything: OnlyGuest, url: str) -> None:
    said, host = fetch(everything, None, url=url)
    assert "error" in said
    assert not host.requests


def test_the_link_checker(link_checker: OnlyGuest) -> None:
    def page(text: str) -> HttpResponse:
        return HttpResponse(status=200, url="", headers=(("content-type", "text/html"),), body=text.encode())

    host = FakeHost(
        answers={
            "http://site/": page(
                "<a href=/a#top>a</a><a href=b>b</a><a href='mailto:x@y'>m</a><a href=http://other/>o"
            ),
            "http://site/a": page("<a href=/>home</a><a href=/gone>g</a><a href='http://[bad'>?</a>"),
            "http://site/b": HttpFailure(kind="connect", message="connection refused"),
            "http://site/gone": HttpResponse(status=404, url="http://site/gone", headers=(), body=b""),
        }
    )
    # The answers' URLs are where they came from; empty ones would not be of the same host.
    host._answers = {
        url: HttpResponse(status=a.status, url=url, headers=a.headers, body=a.body)
        if isinstance(a, HttpResponse)
        else a
        for url, a in host._answers.items()
    }
    said = json.loads(link_checker.run(b'{"url": "http://site", "delay_s": 2}', host, LIMITS))
    assert said["pages"] == 5
    broken = {entry["url"]: entry for entry in said["broken"]}
    assert broken["http://site/gone"]["status"] == 404
    assert broken["http://site/gone"]["linked_from"] == ["http://site/a"]
    assert broken["http://site/b"]["error"] == "connection refused"
    assert "http://[bad" in broken
    assert [entry["url"] for entry in said["external"]] == ["http://other/"]
    assert [request.url for request in host.requests] == [
        "http://site/",
        "http://site/a",
        "http://site/b",
        "http://site/gone",
    ]
    assert host.text("stdout").splitlines()[0] == "checked 1 of 3 known: / 200"
    assert len([name for name in host.names() if name == "sleep_until"]) == 4


def test_replaced_functions_are_proven_at_start(everything: OnlyGuest, runtime: WasmRuntime) -> None:
    """``load`` ran the self test; here the test itself is tested: with another version nothing arrives."""
    from wasmtime.component import Linker

    from mvm_ci.adapters.wasm import self_test
    from mvm_ci.adapters.wasm.component_host import WASI_VERSION
    from mvm_ci.adapters.wasm.current_run import CurrentRun
    from mvm_ci.adapters.wasm.engines import make_engine
    from mvm_ci.domain.errors import Misconfigured
    from mvm_ci.ports.guest import ModuleKind

    engine = make_engine(ModuleKind.COMPONENT)
    linker = Linker(engine)
    linker.add_wasip2()
    assert WASI_VERSION
    with pytest.raises(Misconfigured, match="not the expected version"):
        self_test.self_test(engine, linker, CurrentRun())
