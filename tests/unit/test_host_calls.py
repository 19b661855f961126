"""Calls by name: a guest that asks for nonsense is told so, and goes on."""

import json
import re
from pathlib import Path
from typing import NoReturn

import pytest

from mvm_ci.domain.mail import Mail
from mvm_ci.domain.payload import Payload
from mvm_ci.files.system import FileSystem
from mvm_ci.journal.entries import Memoized
from mvm_ci.journal.replay import Replay
from mvm_ci.lifecycle.artifact_calls import ArtifactCalls
from mvm_ci.lifecycle.host_calls import answer
from mvm_ci.ports.immediate import at_once
from mvm_ci.testing.execution import FakeHost, World
from tests.unit.journal.machines import T0, fresh, new


class Around:
    def __init__(self) -> None:
        self.machine: Replay = fresh()
        self.files = FileSystem()
        self.posts = 0
        self.artifacts = ArtifactCalls(self, FakeHost(World()))

    async def load(self, payload: Payload) -> bytes:
        assert isinstance(payload, bytes)
        return payload

    async def store(self, data: bytes) -> Payload:
        return data

    def post(self) -> None:
        self.posts += 1

    def tell_rest(self) -> None:
        for stream, text in self.machine.disclosed.rest():
            self.machine.log(stream, text, T0)

    async def ask(self, name: str, argument: bytes, about: str | None = None) -> bytes:
        raise NotImplementedError

    def tell(self, name: str, argument: bytes) -> None:
        raise NotImplementedError

    async def mail(self, topics: tuple[str, ...], duration_ns: int | None) -> Mail | None:
        raise NotImplementedError

    async def durable(self) -> None:
        raise NotImplementedError

    def cancelled(self) -> bool:
        return False

    def continue_as_new(self, given: Payload) -> NoReturn:
        raise NotImplementedError

    def calls(self, name: str, argument: bytes) -> object:
        return json.loads(at_once(answer(self, name, argument)))


@pytest.mark.parametrize(
    ("name", "argument", "kind"),
    [
        ("nonsense", b"{}", "unknown-call"),
        ("memo.get", b"{", "bad-call"),
        ("memo.get", b'{"name": ""}', "bad-call"),
        ("memo.get", b'{"name": "x", "more": 1}', "bad-call"),
        ("memo.put", b'{"name": "x"}', "bad-call"),
        ("memo.drop", json.dumps({"name": "x" * 201}).encode(), "bad-call"),
        ("memo.get", b"[" * 100_000, "bad-call"),
        ("memo.get", b"\xff", "bad-call"),
        ("wait", b"{}", "bad-call"),
        ("wait", b'{"topics": []}', "bad-call"),
        ("wait", json.dumps({"topics": ["message:"] * 1_001}).encode(), "bad-call"),
        ("wait", b'{"topics": ["message:"], "timeout_s": -1}', "bad-call"),
        ("wait", b'{"topics": ["message:"], "timeout_s": 1e10}', "bad-call"),
        ("wait", b'{"topics": ["message:"], "timeout_s": 1e300}', "bad-call"),
        ("wait", b'{"topics": ["child:nobody"]}', "bad-call"),
        ("wait", b'{"topics": ["child:5"]}', "bad-call"),
        ("wait", b'{"topics": ["other:x"]}', "bad-call"),
        ("wait", b'{"topics": ["message:a\\u0000b"]}', "bad-call"),
        ("wait", json.dumps({"topics": ["message:" + "x" * 101]}).encode(), "bad-call"),
        ("job.progress", json.dumps({"text": "x" * 201}).encode(), "bad-call"),
        ("job.progress", b'{"text": 1}', "bad-call"),
        ("job.progress", b'{"text": "x", "more": 1}', "bad-call"),
        ("job.continue", b"{}", "bad-call"),
        ("job.continue", json.dumps({"input": "x" * (1 << 20)}).encode(), "too-large"),
        ("promise.create", b'{"label": 1}', "bad-call"),
        ("child.start", b'"' + b"x" * (1 << 20) + b'"', "too-large"),
        ("secret.get", b"{}", "bad-call"),
        ("secret.get", b'{"name": "NOBODY"}', "refused"),
    ],
)
def test_nonsense(name: str, argument: bytes, kind: str) -> None:
    around = Around()
    said = around.calls(name, argument)
    assert isinstance(said, dict)
    assert said["error"]["kind"] == kind
    assert [entry for entry in new(around.machine) if isinstance(entry, Memoized)] == []


def test_the_page_on_calls_names_them_all() -> None:
    page = (Path(__file__).parents[2] / "guest" / "abi" / "calls.md").read_text()
    named = re.findall(r"^\| `([a-z.]+)` \|", page, re.MULTILINE)
    said = Around().calls("nonsense", b"{}")
    assert isinstance(said, dict)
    assert sorted(named) == sorted(said["error"]["message"].rpartition("there are ")[2].split(", "))


def test_a_value_is_on_its_way_as_soon_as_it_is_there() -> None:
    around = Around()
    assert around.calls("memo.get", b'{"name": "x"}') == {"ok": None}
    assert around.posts == 0
    assert around.calls("memo.put", b'{"name": "x", "value": [1, {"a": null}]}') == {"ok": None}
    assert around.posts == 1
    [recorded] = [entry for entry in new(around.machine) if isinstance(entry, Memoized)]
    assert (recorded.name, recorded.value) == ("x", b'[1, {"a": null}]')


@pytest.mark.parametrize("end", ["memo.put", "memo.drop", "memo.get"])
def test_what_is_done_to_files_for_a_value_is_undone(end: str) -> None:
    around = Around()
    files = around.files
    argument = b'{"name": "x", "value": 1}' if end == "memo.put" else b'{"name": "x"}'
    files.make_directory(files.root, "before")
    around.calls("memo.get", b'{"name": "x"}')
    files.make_directory(files.root, "before/meanwhile")
    files.remove_directory(files.root, "tmp")
    around.calls("memo.put", b'{"name": "y", "value": 1}')
    assert files.root.names() == ("before",), "another value's end is not this one's"
    around.calls(end, argument)
    assert files.root.names() == ("before", "tmp")
    files.remove_directory(files.root, "before")
