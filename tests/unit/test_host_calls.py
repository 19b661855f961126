"""Calls by name: a guest that asks for nonsense is told so, and goes on."""

import json

import pytest

from mvm_ci.domain.payload import Payload
from mvm_ci.files.system import FileSystem
from mvm_ci.journal.entries import Memoized
from mvm_ci.journal.replay import Replay
from mvm_ci.lifecycle.host_calls import answer
from mvm_ci.ports.immediate import at_once
from tests.unit.journal.machines import fresh, new


class Around:
    def __init__(self) -> None:
        self.machine: Replay = fresh()
        self.files = FileSystem()
        self.posts = 0

    async def load(self, payload: Payload) -> bytes:
        assert isinstance(payload, bytes)
        return payload

    async def store(self, data: bytes) -> Payload:
        return data

    def post(self) -> None:
        self.posts += 1

    def ask(self, name: str, argument: bytes) -> object:
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
    ],
)
def test_nonsense(name: str, argument: bytes, kind: str) -> None:
    around = Around()
    said = around.ask(name, argument)
    assert isinstance(said, dict)
    assert said["error"]["kind"] == kind
    assert [entry for entry in new(around.machine) if isinstance(entry, Memoized)] == []


def test_a_value_is_on_its_way_as_soon_as_it_is_there() -> None:
    around = Around()
    assert around.ask("memo.get", b'{"name": "x"}') == {"ok": None}
    assert around.posts == 0
    assert around.ask("memo.put", b'{"name": "x", "value": [1, {"a": null}]}') == {"ok": None}
    assert around.posts == 1
    [recorded] = [entry for entry in new(around.machine) if isinstance(entry, Memoized)]
    assert (recorded.name, recorded.value) == ("x", b'[1, {"a": null}]')


@pytest.mark.parametrize("end", ["memo.put", "memo.drop", "memo.get"])
def test_what_is_done_to_files_for_a_value_is_undone(end: str) -> None:
    around = Around()
    files = around.files
    argument = b'{"name": "x", "value": 1}' if end == "memo.put" else b'{"name": "x"}'
    files.make_directory(files.root, "before")
    around.ask("memo.get", b'{"name": "x"}')
    files.make_directory(files.root, "before/meanwhile")
    files.remove_directory(files.root, "tmp")
    around.ask("memo.put", b'{"name": "y", "value": 1}')
    assert files.root.names() == ("before",), "another value's end is not this one's"
    around.ask(end, argument)
    assert files.root.names() == ("before", "tmp")
    files.remove_directory(files.root, "before")
