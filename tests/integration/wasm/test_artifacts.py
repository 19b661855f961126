"""Artifacts in guests: the examples, the functions of the core ABI, and the module for Python."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from guest.build_c import build_c
from mvm_ci.domain.http import HttpRequest, HttpResponse, HttpResult
from mvm_ci.domain.outcome import Completed, FailureKind
from mvm_ci.domain.payload import BlobRef
from mvm_ci.lifecycle.execute import Result
from mvm_ci.testing.crash_points import Crashed, CrashPoints
from mvm_ci.testing.execution import World, place
from tests.integration.wasm.conftest import GUESTS, Load, built
from tests.integration.wasm.fakes import FakeHost, OnlyGuest
from tests.integration.wasm.test_core_guest import LIMITS, failure
from tests.unit.lifecycle.artifact_answers import Answers

C = """
#include <string.h>
#include "mvm_ci.h"
static char digest[64], piece[2 << 20], answer[300];
MVM_CI_RUN {
    char which;
    mvm_ci_input_read(&which, 0, 1);
    mvm_ci_input_read(digest, 1, 64);
    memset(piece, 'x', sizeof piece);
    int size = 0;
    if (which == 'w') size = mvm_ci_artifact_write("known", piece, 1 << 20);
    if (which == 'u') size = mvm_ci_artifact_write("unknown", piece, 3);
    if (which == 'l') size = mvm_ci_artifact_write("known", piece, sizeof piece);
    if (which == 'n') size = mvm_ci_artifact_write_(piece, 801, piece, 1);
    if (which == 'p') size = mvm_ci_artifact_write("known", (void *)0xfffffff0u, 64);
    if (which == 'r') {
        size = mvm_ci_artifact_read(digest, 2, piece, sizeof piece);
        if (size >= 0) mvm_ci_output(piece, size);
        if (size >= 0) return 0;
        size = -size;
    }
    if (which == 'e') return mvm_ci_artifact_read(digest, 1ull << 63, piece, 10);
    if (which == 'b') size = mvm_ci_artifact_read(digest, 0, (void *)0xfffffff0u, 64);
    mvm_ci_call_read(answer, 0, size);
    mvm_ci_output(answer, size);
    return 0;
}
"""


def result(ended: Result | Crashed) -> Any:
    assert isinstance(ended, Result), ended
    assert isinstance(ended.outcome, Completed), ended.outcome
    assert isinstance(ended.outcome.result, bytes)
    return json.loads(ended.outcome.result)


@pytest.fixture(scope="module")
def python(load: Load, tmp_path_factory: pytest.TempPathFactory) -> OnlyGuest:
    return load(built(GUESTS / "tests" / "artifacts" / "job.py", tmp_path_factory.mktemp("artifacts")))


@pytest.fixture(scope="module")
def c(load: Load, tmp_path_factory: pytest.TempPathFactory) -> OnlyGuest:
    source = tmp_path_factory.mktemp("artifacts") / "artifacts-of-tests.c"
    source.write_text(C)
    return load(build_c(source))


def do(guest: OnlyGuest, world: World, name: str, **more: str) -> Any:
    return result(place(world, guest.guest, given=json.dumps({"do": name, **more}).encode()))


# ---------------------------------------------------------------- the examples


def test_the_example_in_c(load: Load) -> None:
    guest = load(build_c(GUESTS / "examples" / "artifacts.c"))
    world = World()
    answers = Answers(world)
    assert result(place(world, guest.guest)) == {"lines": 1000}
    squares = "".join(f"{number * number}\n" for number in range(1, 1001)).encode()
    kept = answers.kept["squares.txt"]
    assert world.get_blob(BlobRef(kept["digest"], kept["size"])) == squares


def test_the_example_in_python(load: Load, tmp_path: Path) -> None:
    guest = load(built(GUESTS / "examples" / "artifacts" / "job.py", tmp_path))
    world = World()
    answers = Answers(world)
    log = b"".join(b"%s line %d\n" % (b"ERROR" if n % 7 == 0 else b"info", n) for n in range(100_000))
    answers.given("app.log", log)
    errors = b"".join(line for line in log.splitlines(keepends=True) if b"ERROR" in line)
    said = result(place(world, guest.guest, given=b"null"))
    assert said == {"of": len(log), "errors": len(errors), "digest": sha256(errors).hexdigest()}


# ---------------------------------------------------------------- Python


def test_python_puts_and_gets(python: OnlyGuest) -> None:
    world = World()
    answers = Answers(world)
    expected = {
        "bytes": b"\x00\xff" * 300_000,
        "text": "grüße".encode(),
        "file": b"file" * 100_000,
        "lines": b"".join(b"%d\n" % n for n in range(1000)),
        "words": b"ab",
        "none": b"",
        "text file": ("ß" * 9).encode(),
    }
    assert do(python, world, "whole") == {
        name: [len(data), sha256(data).hexdigest()] for name, data in expected.items()
    }
    assert answers.kept["dir/file"]["media"] == "text/plain"


def test_python_reads_a_file_of_another_job(python: OnlyGuest) -> None:
    world = World()
    Answers(world).given("given", b"first line\nsecond line\nend", "parent")
    assert do(python, world, "files", job="parent") == ["first line\n", "\nend", "rst", "first", 5]


def test_python_gets_errors(python: OnlyGuest) -> None:
    world = World()
    Answers(world)
    assert do(python, world, "errors") == [
        "not-found",
        "bad-call",
        "bad-call",
        "bad-call",
        "refused",
        "bad-call",
    ]


def test_python_puts_that_break_off_leave_room(python: OnlyGuest) -> None:
    world = World()
    answers = Answers(world)
    assert do(python, world, "broken") == [True, 1]
    assert list(answers.kept) == ["whole"]


def test_python_lists(python: OnlyGuest) -> None:
    world = World()
    Answers(world)
    found = do(python, world, "listed")
    assert [(name, size, given) for name, _, size, _, given in found] == [("a", 2, False), ("b", 1, False)]


def test_python_requests_to_and_from_artifacts(python: OnlyGuest) -> None:
    sent: list[HttpRequest] = []

    def respond(request: HttpRequest, number: int) -> HttpResult:
        sent.append(request)
        if request.url.endswith("/missing"):
            return HttpResponse(404, request.url, (), b"nothing")
        if request.to_artifact:
            return HttpResponse(200, request.url, (), world.put_blob(b"large body"))
        return HttpResponse(200, request.url, (), b"")

    world = World(respond)
    assert do(python, world, "http") == [200, "", 10, "lar", 200, 404, "nothing", True]
    assert [request.to_artifact for request in sent] == ["large", "", "large"]
    assert sent[1].from_artifact == world.put_blob(b"large body")


def test_python_puts_again_after_a_crash_and_not_what_is_recorded(python: OnlyGuest) -> None:
    world, calm = World(), World()
    answers = Answers(world)
    Answers(calm)
    expected = do(python, calm, "whole")
    given = json.dumps({"do": "whole"}).encode()
    ended = place(world, python.guest, given=given, crash_points=CrashPoints("ask.after", visit=5))
    assert isinstance(ended, Crashed)
    asked = len(world.asked)
    assert result(place(world, python.guest, given=given)) == expected
    assert asked < len(world.asked)
    assert set(answers.kept) == {f"dir/{name}" for name in expected}
    # Asked twice is only what was not recorded: the one that the crash interrupted.
    assert sorted(map(len, world.asked.values()))[-2:] == [1, 2]


# ---------------------------------------------------------------- the core ABI


@pytest.mark.parametrize(
    ("which", "kind"), [("u", "bad-call"), ("l", "too-large"), ("n", "too-large")], ids=str
)
def test_what_c_may_not_write(c: OnlyGuest, which: str, kind: str) -> None:
    host = FakeHost()
    assert json.loads(c.run(which.encode(), host, LIMITS))["error"]["kind"] == kind


def test_c_writes(c: OnlyGuest) -> None:
    host = FakeHost()
    host.artifacts["known"] = b""
    assert c.run(b"w", host, LIMITS) == b""
    assert host.calls == [("write_artifact", ("known", b"x" * (1 << 20)))]


def test_c_reads(c: OnlyGuest) -> None:
    digest = "a" * 64
    host = FakeHost()
    assert json.loads(c.run(b"r" + digest.encode(), host, LIMITS))["error"]["kind"] == "refused"
    host.artifacts[digest] = b"content"
    assert c.run(b"r" + digest.encode(), host, LIMITS) == b"ntent"
    assert host.calls[-1] == ("read_artifact", (digest, 2, 1 << 20))
    c.run(b"e" + digest.encode(), host, LIMITS)
    assert host.calls[-1] == ("read_artifact", (digest, (1 << 63) - 1, 10))


@pytest.mark.parametrize("which", ["p", "b"])
def test_a_bad_pointer_ends_the_run(c: OnlyGuest, which: str) -> None:
    host = FakeHost()
    host.artifacts.update({"known": b"", "a" * 64: b"content" * 10})
    kind, message = failure(c, which.encode() + b"a" * 64, host)
    assert kind is FailureKind.TRAP
    assert "bad pointer" in message
