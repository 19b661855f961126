"""Artifacts between guests in real runner processes and the engine: spooled, kept, read, and let go."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed, Failed, Released, Stopped
from mvm_ci.domain.payload import BlobRef
from mvm_ci.journal.entries import Called
from mvm_ci.ports.engine import NotKept
from tests.integration.engine.fake_guests import script
from tests.integration.engine.fakes import ROOT, World, running


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as world:
        yield world


def result(outcome: object) -> Any:
    assert isinstance(outcome, Completed), outcome
    assert isinstance(outcome.result, bytes)
    return json.loads(outcome.result)


def shown(text: str, name: str = "log.txt", media: str = "") -> dict[str, Any]:
    return {"name": name, "digest": sha256(text.encode()).hexdigest(), "size": len(text), "media": media}


def answers(world: World, name: str, ok: object) -> None:
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    answer.set_result(json.dumps({"ok": ok}).encode())
    world.plane.answers[name] = answer


def put(text: str, repeat: int = 1, times: int = 1) -> list[list[Any]]:
    return [
        ["call", "artifact.begin", {"name": "log.txt"}],
        ["write", "log.txt", text, repeat, times],
        ["call", "artifact.end", {"name": "log.txt"}],
    ]


async def test_pieces_become_an_artifact(world: World) -> None:
    answers(world, "artifact.put", shown("hello" * 200_000))
    placed = world.place(1, script(*put("hello", 20_000, 10)))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [{"ok": None}, None, {"ok": shown("hello" * 200_000)}]
    assert world.artifacts.uploaded == [(placed, b"hello" * 200_000)]
    [(_, name, _, argument)] = world.plane.asked
    assert (name, json.loads(argument)) == ("artifact.put", shown("hello" * 200_000))
    assert all(spool.gone for spool in world.artifacts.spools)
    [called] = [
        entry
        for entry in world.journal.entries(1, world.events.ends[placed].tail)
        if isinstance(entry, Called)
    ]
    assert called.summary == "artifact.put: log.txt"


async def test_an_empty_artifact(world: World) -> None:
    answers(world, "artifact.put", shown(""))
    placed = world.place(1, script(*put("", 0, 0)))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome)[-1] == {"ok": shown("")}
    assert world.artifacts.uploaded == [(placed, b"")]


async def test_what_cannot_be_kept_is_said_at_the_end_and_nobody_is_asked(world: World) -> None:
    world.artifacts.refuse = NotKept("disk-full", "no room")
    world.place(1, script(*put("x", 400_000, 2)))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [
        {"ok": None},
        None,
        {"error": {"kind": "disk-full", "message": "no room"}},
    ]
    assert world.plane.asked == []
    assert all(spool.gone for spool in world.artifacts.spools)


async def test_a_dead_runner_costs_a_spool_and_no_artifact(world: World, tmp_path: Path) -> None:
    answers(world, "artifact.put", shown("x" * 400_000))
    steps = [*put("x", 400_000)[:2], ["die", str(tmp_path / "deaths"), 1], put("")[2]]
    placed = world.place(1, script(*steps))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome)[-1] == {"ok": shown("x" * 400_000)}
    assert world.artifacts.uploaded == [(placed, b"x" * 400_000)]
    assert len(world.artifacts.spools) == 2
    assert all(spool.gone for spool in world.artifacts.spools)


async def test_what_is_recorded_is_not_uploaded_again(world: World, tmp_path: Path) -> None:
    answers(world, "artifact.put", shown("x" * 400_000))
    # The request makes the journal durable.
    steps = [*put("x", 400_000), ["http", "POST", "http://a/"], ["die", str(tmp_path / "deaths"), 1]]
    world.place(1, script(*steps))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome)[2:] == [{"ok": shown("x" * 400_000)}, [200, 2], "alive"]
    assert len(world.artifacts.uploaded) == 1
    assert len(world.artifacts.spools) == 1
    assert len(world.plane.asked) == 1


async def test_a_stop_in_the_middle_lets_go_of_everything(world: World) -> None:
    known = world.artifacts.add(b"content")
    answers(world, "artifact.get", {"digest": known.digest, "size": known.size})
    world.http.open.clear()
    world.place(
        1,
        script(
            ["call", "artifact.get", {"name": "a"}],
            ["read", known.digest, 0, 3],
            *put("x", 400_000)[:2],
            ["http", "GET", "http://a/"],
        ),
    )
    async with asyncio.timeout(30):
        await world.http.asked.wait()
    assert world.artifacts.held[known.digest] == 1
    world.pool.stop(Placed(JobId(1), 1))
    assert await world.events.wait_ended(1) == [Stopped()]
    assert world.artifacts.held[known.digest] == 0
    assert [spool.gone for spool in world.artifacts.spools] == [True]


async def test_a_stop_during_an_upload(world: World) -> None:
    world.artifacts.open.clear()
    world.place(1, script(*put("x")))
    async with asyncio.timeout(30):
        await world.artifacts.asked.wait()
    world.pool.stop(Placed(JobId(1), 1))
    assert await world.events.wait_ended(1) == [Stopped()]
    await asyncio.sleep(0)
    assert [spool.gone for spool in world.artifacts.spools] == [True]
    assert world.artifacts.uploaded == []


async def test_reading(world: World) -> None:
    known = world.artifacts.add(b"some content")
    answers(world, "artifact.get", {"digest": known.digest, "size": known.size})
    world.place(
        1,
        script(
            ["read", known.digest, 0, 4],
            ["call", "artifact.get", {"name": "a", "job": "parent"}],
            ["read", known.digest, 0, 4],
            ["read", known.digest, 4, 100],
            ["read", known.digest, 12, 100],
            ["read", known.digest, -1, 100],
        ),
    )
    [outcome] = await world.events.wait_ended(1)
    before, got, first, rest, end, bad = result(outcome)
    assert before["error"]["kind"] == "refused"
    assert got["ok"]["size"] == 12
    assert (first, rest, end) == ("some", " content", "")
    assert bad["error"]["kind"] == "bad-call"
    assert world.artifacts.held[known.digest] == 0


async def test_an_answer_becomes_an_artifact(world: World) -> None:
    answers(world, "artifact.put", {})
    world.http.body, world.http.headers = b"x" * 10_000_000, (("content-type", "text/csv; charset=utf-8"),)
    placed = world.place(1, script(["fetch", "http://a/", "table.csv"]))
    [outcome] = await world.events.wait_ended(1)
    digest = sha256(world.http.body).hexdigest()
    assert result(outcome) == [[200, [digest, 10_000_000]]]
    assert world.artifacts.uploaded == [(placed, world.http.body)]
    [(_, name, key, argument)] = world.plane.asked
    assert name == "artifact.put"
    assert key == world.http.keys[0]
    asked = {"name": "table.csv", "digest": digest, "size": 10_000_000, "media": "text/csv; charset=utf-8"}
    assert json.loads(argument) == asked
    assert world.payloads.blobs == {}


async def test_an_answer_that_is_no_success_becomes_none(world: World) -> None:
    world.http.status, world.http.body = 404, b"x" * 10_000
    world.place(1, script(["fetch", "http://a/", "table.csv"]))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [[404, 10_000]]
    assert (world.artifacts.uploaded, world.plane.asked) == ([], [])
    assert [spool.gone for spool in world.artifacts.spools] == [True]


@pytest.mark.parametrize("name", ["../x", "a//b", "\0"])
async def test_a_bad_name_is_refused_before_the_request(world: World, name: str) -> None:
    world.place(1, script(["fetch", "http://a/", name]))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome)[0][0] == "refused"
    assert world.http.requests == []


async def test_an_answer_that_cannot_be_kept(world: World) -> None:
    world.artifacts.refuse = NotKept("disk-full", "no room")
    world.place(1, script(["fetch", "http://a/", "table.csv"]))
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome) == [["not-kept", "no room"]]


async def test_a_request_from_an_artifact(world: World) -> None:
    known = world.artifacts.add(b"content")
    answers(world, "artifact.get", {"digest": known.digest, "size": known.size})
    world.place(
        1,
        script(
            ["fetch", "http://a/", "", [known.digest, known.size]],
            ["call", "artifact.get", {"name": "a"}],
            ["fetch", "http://a/", "", [known.digest, known.size + 1]],
            ["fetch", "http://a/", "", [known.digest, known.size]],
        ),
    )
    [outcome] = await world.events.wait_ended(1)
    unknown, _, wrong, sent = result(outcome)
    assert unknown[0] == wrong[0] == "refused"
    assert sent == [200, 2]
    assert world.http.bodies == [(b"content", 7)]
    assert world.artifacts.held[known.digest] == 0


async def test_a_killed_runner_gives_back_what_it_held(world: World, tmp_path: Path) -> None:
    known = world.artifacts.add(b"content")
    answers(world, "artifact.get", {"digest": known.digest, "size": known.size})
    world.http.open.clear()
    world.place(
        1,
        script(
            ["call", "artifact.get", {"name": "a"}],
            ["read", known.digest, 0, 3],
            ["http", "GET", "http://a/"],
        ),
    )
    async with asyncio.timeout(30):
        await world.http.asked.wait()
    world.http.open.set()
    os.kill(world.pool.runner_pids[0], signal.SIGKILL)
    [outcome] = await world.events.wait_ended(1)
    assert result(outcome)[1] == "con"
    assert world.artifacts.held[known.digest] == 0


# ---------------------------------------------------------------- files that are given


def given(ref: BlobRef, name: str = "in/data.txt") -> Artifact:
    return Artifact(name, ref.digest, ref.size)


async def test_what_a_guest_is_given_is_a_file(world: World) -> None:
    ref, other = world.artifacts.add(b"some text"), world.artifacts.add(b"")
    inputs = (given(ref), given(other, "empty"))
    placed = world.place(1, script(["given", "in/data.txt"], ["given", "empty"]), inputs=inputs)
    assert result((await world.events.wait_ended(1))[0]) == ["some text", ""]
    assert world.artifacts.held == {ref.digest: 0, other.digest: 0}
    assert [type(entry).__name__ for entry in world.entries(placed.job)] == ["Began", "Placement", "Finished"]


async def test_it_stays_near_as_long_as_the_guest_is_here(world: World) -> None:
    ref = world.artifacts.add(b"some text")
    world.http.open.clear()
    world.place(1, script(["http", "GET", "http://a/"], ["given", "in/data.txt"]), inputs=(given(ref),))
    async with asyncio.timeout(30):
        await world.http.asked.wait()
    assert world.artifacts.held[ref.digest] == 1
    # A runner that dies costs no transfer.
    os.kill(world.pool.runner_pids[0], signal.SIGKILL)
    world.http.open.set()
    (end,) = await world.events.wait_ended(1)
    assert result(end)[1] == "some text"
    assert world.artifacts.held[ref.digest] == 0


async def test_what_is_given_comes_in_the_end(world: World) -> None:
    refs = [world.artifacts.add(text) for text in (b"one", b"two")]
    world.artifacts.unreachable = 2
    inputs = tuple(given(ref, f"{number}") for number, ref in enumerate(refs))
    world.place(1, script(["given", "0"], ["given", "1"]), inputs=inputs)
    assert result((await world.events.wait_ended(1))[0]) == ["one", "two"]
    assert set(world.artifacts.held.values()) == {0}


async def test_what_is_given_is_missing(world: World) -> None:
    ref = world.artifacts.add(b"here")
    world.place(1, script(), inputs=(given(ref), given(BlobRef(Digest("0" * 64), 1), "missing")))
    (end,) = await world.events.wait_ended(1)
    assert isinstance(end, Failed)
    assert "no such artifact" in end.failure.message
    assert world.artifacts.held[ref.digest] == 0


async def test_what_is_given_cannot_be_read_any_more(world: World) -> None:
    """Without it the guest must not go on, as if its file had ended: another worker may have it."""
    ref = world.artifacts.add(b"some text")
    world.http.open.clear()
    world.place(1, script(["http", "GET", "http://a/"], ["given", "in/data.txt"]), inputs=(given(ref),))
    async with asyncio.timeout(30):
        await world.http.asked.wait()
    (world.artifacts.directory / f"artifact-{ref.digest}").write_bytes(b"some")
    world.http.open.set()
    assert await world.events.wait_ended(1) == [Released()]
