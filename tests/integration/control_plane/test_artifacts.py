"""Artifacts over the real API and the worker protocol, with workers that a test scripts, honest and not."""

import asyncio
import json
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from mvm_ci.domain.artifact import MAX_ARTIFACT, MAX_ARTIFACTS
from mvm_ci.domain.ids import Digest, format_job_id
from mvm_ci.domain.job import Placed
from mvm_ci.domain.role import Role
from mvm_ci.wire import blobs as w
from mvm_ci.wire import messages as m
from mvm_ci.wire.frames import encode
from tests.integration.control_plane.conftest import TEAM, Stand, jobs, submit
from tests.integration.control_plane.scripted_worker import ScriptedWorker
from tests.integration.control_plane.test_links import transfer

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
DATA = b"0123456789" * 100_000
OCTETS = {"content-type": "application/octet-stream"}


def digest_of(data: bytes) -> Digest:
    return Digest(sha256(data).hexdigest())


async def upload(api: httpx.AsyncClient, data: bytes) -> Digest:
    answer = await api.put(f"/v1/artifacts/{digest_of(data)}", content=data, headers=OCTETS)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"digest": digest_of(data), "size": len(data)}
    return digest_of(data)


async def announce(stand: Stand, api: httpx.AsyncClient, path: str, size: int) -> bytes:
    """The first line of the answer to an upload of so many bytes, none of which come."""
    request = api.build_request("PUT", path, headers={**OCTETS, "content-length": str(size)})
    lines = [f"PUT {path} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items()), "", ""]
    url = httpx.URL(stand.plane.api_url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write("\r\n".join(lines).encode())
        return await reader.readline()
    finally:
        writer.close()


class Guest:
    """What the engine of a scripted worker does for the guest of one placement."""

    def __init__(self, worker: ScriptedWorker, item: m.Assignment) -> None:
        self.worker = worker
        self.item = item
        self.placed = item.placed
        self.number = 0

    async def ask(self, called: str, /, *, key: str = "", **argument: Any) -> Any:
        self.number += 1
        key = key or f"{_id(self.placed)}-1-{self.number}"
        data = json.dumps(argument).encode()
        await self.worker.send(m.Ask(self.number, self.placed, called, key, data))
        return json.loads((await self.worker.next(m.Answered)).answer)

    async def upload(self, data: bytes, **changes: Any) -> list[object]:
        given = {"placed": self.placed, "digest": digest_of(data), "size": len(data), **changes}
        return (await transfer(self.worker, w.PutArtifact(**given), data))[0]

    async def put(self, name: str, data: bytes, **changes: Any) -> Any:
        assert (await self.upload(data))[-1] == w.Stored()
        given = {"name": name, "digest": digest_of(data), "size": len(data), **changes}
        return await self.ask("artifact.put", **given)


def _id(placed: Placed) -> str:
    return format_job_id(placed.job)


async def placed(
    stand: Stand, api: httpx.AsyncClient, count: int = 1, **fields: Any
) -> tuple[ScriptedWorker, list[Guest]]:
    worker = await stand.worker()
    await worker.welcome(credit=count)
    await submit(api, count, **fields)
    items = await worker.assigned(count)
    return worker, [Guest(worker, item) for item in items]


async def listed(api: httpx.AsyncClient, guest: Guest) -> list[tuple[str, int, bool]]:
    answer = await api.get(f"/v1/jobs/{_id(guest.placed)}/artifacts")
    return [(one["name"], one["size"], one["input"]) for one in answer.json()["artifacts"]]


# ---------------------------------------------------------------- uploads and inputs


async def test_an_upload_becomes_the_input_of_a_job(stand: Stand, api: httpx.AsyncClient) -> None:
    missing = await api.get(f"/v1/artifacts/{digest_of(DATA)}")
    assert missing.status_code == 404
    digest = await upload(api, DATA)
    await upload(api, DATA)
    assert (await api.get(f"/v1/artifacts/{digest}")).json() == {"digest": digest, "size": len(DATA)}
    worker, [guest] = await placed(stand, api, inputs={"data/in.csv": digest})
    view = (await api.get(f"/v1/jobs/{_id(guest.placed)}")).json()
    assert view["inputs"] == {"data/in.csv": digest}
    assert await listed(api, guest) == [("data/in.csv", len(DATA), True)]
    shown = {"name": "data/in.csv", "digest": digest, "size": len(DATA), "media": ""}
    assert await guest.ask("artifact.get", name="data/in.csv") == {"ok": shown}
    assert await guest.ask("artifact.list") == {"ok": [{**shown, "input": True}]}
    assert await transfer(worker, w.GetBlob(digest)) == ([w.Follows(len(DATA))], DATA)


@pytest.mark.parametrize(
    ("inputs", "status"),
    [
        ({"a": "0" * 64}, 404),
        ({"a": "x"}, 400),
        ({"../a": "0" * 64}, 400),
        ({"": "0" * 64}, 400),
        ({f"{number}": "0" * 64 for number in range(101)}, 400),
        ({"a/" + "ß" * 128: "0" * 64}, 400),
        ({"a": "0" * 64, "a/b/c": "0" * 64}, 400),
    ],
    ids=["unknown", "no digest", "no name", "empty", "many", "no file", "in a file"],
)
async def test_inputs_that_are_refused(
    stand: Stand, api: httpx.AsyncClient, inputs: dict[str, str], status: int
) -> None:
    answer = await api.post("/v1/jobs", json={"jobs": jobs(1, inputs=inputs)})
    assert answer.status_code == status, answer.text
    assert "jobs[0].inputs" in answer.json()["detail"]


async def test_an_upload_must_be_what_it_says(stand: Stand, api: httpx.AsyncClient) -> None:
    path = f"/v1/artifacts/{digest_of(DATA)}"
    lie = await api.put(path, content=DATA[:-1] + b"x", headers=OCTETS)
    assert (lie.status_code, lie.json()["code"]) == (400, "bad-input")
    assert not await stand.blobs.has(digest_of(DATA))

    async def pieces() -> Any:
        yield DATA

    unknown = await api.put(path, content=pieces(), headers=OCTETS)
    assert unknown.status_code == 411
    assert (await api.put(path, content=DATA)).status_code == 415
    assert (await api.put("/v1/artifacts/x", content=DATA, headers=OCTETS)).status_code == 400
    assert b" 413 " in await announce(stand, api, path, MAX_ARTIFACT + 1)
    async with stand.client(Role.VIEWER) as viewer:
        assert (await viewer.put(path, content=DATA, headers=OCTETS)).status_code == 403
    assert not await stand.blobs.has(digest_of(DATA))


async def test_another_namespace_does_not_hold_it(stand: Stand, api: httpx.AsyncClient) -> None:
    digest = await upload(api, DATA)
    async with stand.client(Role.SUBMITTER, TEAM) as team:
        assert (await team.get(f"/v1/artifacts/{digest}")).status_code == 404
        answer = await team.post("/v1/jobs", json={"jobs": jobs(1, inputs={"a": digest})})
        assert answer.status_code == 404


async def test_a_schedule_has_no_inputs(stand: Stand, api: httpx.AsyncClient) -> None:
    digest = await upload(api, DATA)
    job = {**jobs(1)[0], "inputs": {"a": digest}}
    answer = await api.put("/v1/schedules/nightly", json={"when": "0 5 * * *", "job": job})
    assert (answer.status_code, "inputs" in answer.json()["detail"]) == (400, True)


# ---------------------------------------------------------------- downloads


async def test_a_download_and_its_parts(stand: Stand, api: httpx.AsyncClient) -> None:
    _, [guest] = await placed(stand, api)
    assert "ok" in await guest.put("dir/ü.txt", DATA, media="text/plain")
    path = f"/v1/jobs/{_id(guest.placed)}/artifacts/{quote('dir/ü.txt', safe='')}"
    whole = await api.get(path)
    assert (whole.status_code, whole.content) == (200, DATA)
    assert whole.headers["content-length"] == str(len(DATA))
    assert whole.headers["etag"] == f'"{digest_of(DATA)}"'
    # Whatever a job calls it: no browser shows it as a page of ours.
    assert whole.headers["content-type"] == "application/octet-stream"
    assert whole.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%BC.txt"
    assert whole.headers["x-content-type-options"] == "nosniff"
    etag, size = whole.headers["etag"], len(DATA)
    for asked, start, end in (
        ("0-9", 0, 10),
        ("999990-", size - 10, size),
        ("-5", size - 5, size),
        ("5-99999999", 5, size),
        ("-99999999", 0, size),
    ):
        part = await api.get(path, headers={"range": f"bytes={asked}", "if-range": etag})
        assert (part.status_code, part.content) == (206, DATA[start:end]), asked
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    for asked in ("5-4", "0-1,3-4", "-", "x"):
        assert (await api.get(path, headers={"range": f"bytes={asked}"})).status_code == 200, asked
    changed = await api.get(path, headers={"range": "bytes=0-9", "if-range": '"other"'})
    assert changed.status_code == 200
    for asked in (f"{size}-", "-0"):
        none = await api.get(path, headers={"range": f"bytes={asked}"})
        assert (none.status_code, none.headers["content-range"]) == (416, f"bytes */{size}")


async def test_what_is_not_there(stand: Stand, api: httpx.AsyncClient) -> None:
    _, [guest] = await placed(stand, api)
    job = _id(guest.placed)
    for path in (
        f"/v1/jobs/{job}/artifacts/x",
        f"/v1/jobs/{job}/artifacts/..%2F..%2Fx",
        "/v1/jobs/j0000000000001/artifacts",
    ):
        assert (await api.get(path)).status_code == 404
    await guest.put("x", DATA)
    await stand.blobs.remove([digest_of(DATA)], 1 << 60)
    gone = await api.get(f"/v1/jobs/{job}/artifacts/x")
    assert gone.status_code == 404


async def test_artifacts_go_with_their_job(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, [guest] = await placed(stand, api)
    await guest.put("x", DATA)
    await worker.end(guest.item)
    assert await listed(api, guest) == [("x", len(DATA), False)]
    assert (await api.delete(f"/v1/jobs/{_id(guest.placed)}")).status_code == 200
    assert (await api.get(f"/v1/jobs/{_id(guest.placed)}/artifacts")).status_code == 404
    assert await stand.artifacts.referenced([digest_of(DATA)]) == set()


# ---------------------------------------------------------------- guests


async def test_the_last_one_under_a_name_counts(stand: Stand, api: httpx.AsyncClient) -> None:
    _, [guest] = await placed(stand, api)
    await guest.put("x", b"old")
    await guest.put("x", b"newer")
    assert await listed(api, guest) == [("x", 5, False)]
    # Asked again, as after a lost answer, the first one does not come back.
    answer = await guest.ask(
        "artifact.put", key=f"{_id(guest.placed)}-1-1", name="x", digest=digest_of(b"old"), size=3
    )
    assert "ok" in answer
    assert await listed(api, guest) == [("x", 5, False)]


async def test_jobs_of_a_namespace_get_each_others(stand: Stand, api: httpx.AsyncClient) -> None:
    _, [one, two] = await placed(stand, api, 2)
    await one.put("x", b"of one")
    got = await two.ask("artifact.get", name="x", job=_id(one.placed))
    assert got["ok"]["digest"] == digest_of(b"of one")
    assert [found["name"] for found in (await two.ask("artifact.list", job=_id(one.placed)))["ok"]] == ["x"]
    assert (await two.ask("artifact.get", name="x"))["error"]["kind"] == "not-found"
    assert (await two.ask("artifact.get", name="x", job="parent"))["error"]["kind"] == "not-found"
    assert (await two.ask("artifact.get", name="x", job="nonsense"))["error"]["kind"] == "bad-input"
    async with stand.client(Role.SUBMITTER, TEAM) as team:
        _, [foreign] = await placed(stand, team)
        for job in (_id(one.placed), "j0000000000001"):
            answer = await foreign.ask("artifact.get", name="x", job=job)
            assert answer["error"] == {"kind": "not-found", "message": f"there is no job {job}"}
            assert (await foreign.ask("artifact.list", job=job))["error"]["kind"] == "not-found"


async def test_children_get_those_of_their_parent_and_it_theirs(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, [parent] = await placed(stand, api)
    await parent.put("x", b"of the parent")
    started = await parent.ask("child.start", jobs=[jobs(1)[0]])
    await worker.send(m.Credit(1))
    [item] = await worker.assigned()
    child = Guest(worker, item)
    got = await child.ask("artifact.get", name="x", job="parent")
    assert got["ok"]["size"] == len(b"of the parent")
    await child.put("y", b"of the child")
    got = await parent.ask("artifact.get", name="y", job=started["ok"]["jobs"][0])
    assert got["ok"]["digest"] == digest_of(b"of the child")


async def test_a_child_has_what_its_parent_gives_it(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, [parent] = await placed(stand, api)
    await parent.put("x", b"given on")
    await parent.ask("child.start", jobs=[{**jobs(1)[0], "inputs": {"in": digest_of(b"given on")}}])
    await worker.send(m.Credit(1))
    [item] = await worker.assigned()
    assert await listed(api, Guest(worker, item)) == [("in", len(b"given on"), True)]


async def test_what_a_job_was_given_is_not_changed(stand: Stand, api: httpx.AsyncClient) -> None:
    digest = await upload(api, DATA)
    _, [guest] = await placed(stand, api, inputs={"in": digest})
    answer = await guest.put("in", b"other")
    assert answer["error"]["kind"] == "conflict"
    assert await listed(api, guest) == [("in", len(DATA), True)]


# ---------------------------------------------------------------- limits


async def test_a_quota_counts_artifacts(stand: Stand, api: httpx.AsyncClient) -> None:
    quota = await api.put("/v1/namespaces/default/quota", json={"max_bytes": 1_500_000})
    assert quota.status_code == 200
    _, [guest] = await placed(stand, api)
    await guest.put("x", DATA)
    [answer] = await guest.upload(DATA + b"more")
    assert isinstance(answer, w.TransferFailed)
    assert answer.code == "quota-exceeded"
    digest = digest_of(DATA + b"more")
    refused = await api.put(f"/v1/artifacts/{digest}", content=DATA + b"more", headers=OCTETS)
    assert (refused.status_code, refused.json()["code"]) == (429, "quota-exceeded")
    assert not await stand.blobs.has(digest)
    # The same bytes under another name are there already.
    assert "ok" in await guest.put("y", DATA)


async def test_a_full_disk_is_said_before_the_bytes_come(stand: Stand, api: httpx.AsyncClient) -> None:
    _, [guest] = await placed(stand, api)
    stand.disk.free = 0
    await stand.clock.advance(2_000)
    [answer] = await guest.upload(DATA)
    assert isinstance(answer, w.TransferFailed)
    assert answer.code == "disk-full"
    refused = await api.put(f"/v1/artifacts/{digest_of(DATA)}", content=DATA, headers=OCTETS)
    assert (refused.status_code, refused.json()["code"]) == (429, "disk-full")


async def test_a_job_has_no_more_than_its_artifacts(stand: Stand, api: httpx.AsyncClient) -> None:
    _, [guest] = await placed(stand, api)
    for number in range(MAX_ARTIFACTS):
        assert "ok" in await guest.put(f"{number}", b"small")
    answer = await guest.put("one more", b"small")
    assert answer["error"]["kind"] == "conflict"
    assert "ok" in await guest.put("7", b"replaced")
    assert len(await listed(api, guest)) == MAX_ARTIFACTS


# ---------------------------------------------------------------- workers that lie


async def test_bytes_for_a_job_of_somebody_else(stand: Stand, api: httpx.AsyncClient) -> None:
    _, [guest] = await placed(stand, api)
    other = await stand.worker()
    await other.welcome()
    thief = Guest(other, guest.item)
    assert await thief.upload(DATA) == [w.Missing()]
    for number in (0, 2):
        foreign = Placed(guest.placed.job, number)
        assert await guest.upload(DATA, placed=foreign) == [w.Missing()]
    assert not await stand.blobs.has(digest_of(DATA))
    await guest.upload(DATA)
    await other.send(m.Ask(1, guest.placed, "artifact.put", f"{_id(guest.placed)}-1-1", b"{}"))
    assert (await other.next(m.Drop)).placements == (guest.placed,)
    assert await listed(api, guest) == []


async def test_bytes_that_are_not_what_they_are_said_to_be(stand: Stand, api: httpx.AsyncClient) -> None:
    _, [guest] = await placed(stand, api)
    wrong = await guest.upload(DATA, digest=digest_of(b"other"))
    assert isinstance(wrong[-1], w.TransferFailed)
    assert wrong[-1].code == "bad-input"
    short = await guest.upload(DATA, size=len(DATA) + 1)
    assert isinstance(short[-1], w.TransferFailed)
    assert short[-1].code == "unavailable"
    for digest in (digest_of(b"other"), digest_of(DATA)):
        assert not await stand.blobs.has(digest)
        answer = await guest.ask("artifact.put", name="x", digest=digest, size=len(DATA))
        assert answer["error"]["kind"] == "not-found"
    await guest.upload(DATA)
    answer = await guest.ask("artifact.put", name="x", digest=digest_of(DATA), size=1)
    assert answer["error"]["kind"] == "bad-input"
    assert await listed(api, guest) == []


@pytest.mark.parametrize("size", [-1, MAX_ARTIFACT + 1, 1 << 63])
async def test_a_size_that_cannot_be(stand: Stand, api: httpx.AsyncClient, size: int) -> None:
    _, [guest] = await placed(stand, api)
    [answer] = await guest.upload(b"", size=size)
    assert isinstance(answer, w.TransferFailed)
    assert answer.code == "too-large"


async def test_more_than_was_announced_ends_the_connection(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, [guest] = await placed(stand, api)
    stream = await worker.connection.open()
    await stream.write(encode(w.PutArtifact(guest.placed, digest_of(DATA), 10)) + DATA)
    assert (await worker.closed())[0] == m.CLOSE_PROTOCOL
    assert not await stand.blobs.has(digest_of(DATA))


@pytest.mark.parametrize("digest", ["", "../../admin-token", "A" * 64, "0" * 63 + "\n"])
async def test_what_is_no_digest(stand: Stand, api: httpx.AsyncClient, digest: str) -> None:
    worker, [guest] = await placed(stand, api)
    answer = await guest.ask("artifact.put", name="x", digest=digest, size=0)
    assert answer["error"]["kind"] == "bad-input"
    stream = await worker.connection.open()
    await stream.write(encode(w.PutArtifact(guest.placed, Digest(digest), 0)))
    assert (await worker.closed())[0] == m.CLOSE_PROTOCOL


@pytest.mark.parametrize(
    "argument",
    [
        {"name": "../x"},
        {"name": "x\0"},
        {"name": ""},
        {"name": "x" * 201},
        {"media": "no media type"},
        {"media": "text/" + "x" * 100},
        {"size": -1},
        {"size": "1"},
        {"more": 1},
        {"key": "of somebody else-1-1"},
        {"key": "x"},
    ],
    ids=str,
)
async def test_what_no_engine_asks(stand: Stand, api: httpx.AsyncClient, argument: dict[str, Any]) -> None:
    _, [guest] = await placed(stand, api)
    await guest.upload(b"1")
    answer = await guest.ask(
        "artifact.put", **{"name": "x", "digest": digest_of(b"1"), "size": 1, **argument}
    )
    assert answer["error"]["kind"] == "bad-input"
    assert await listed(api, guest) == []


async def test_what_is_larger_than_a_payload_is_streamed(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, [guest] = await placed(stand, api)
    await guest.put("x", DATA)
    monkeypatch.setattr(w, "MAX_BLOB", 1_000)
    assert await transfer(worker, w.GetBlob(digest_of(DATA))) == ([w.Follows(len(DATA))], DATA)


async def test_uploads_survive_a_restart(stand: Stand, api: httpx.AsyncClient) -> None:
    digest = await upload(api, DATA)
    await stand.stop()
    await stand.start()
    async with stand.client() as again:
        [job] = await submit(again, inputs={"a": digest})
        found = (await again.get(f"/v1/jobs/{job['id']}/artifacts")).json()["artifacts"]
        assert [one["name"] for one in found] == ["a"]
