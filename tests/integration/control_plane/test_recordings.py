"""What is taken away of a job, to be replayed elsewhere: all of it, whole, and nothing of others."""

import asyncio
from typing import Any

import httpx
import pytest

from mvm_ci.domain.errors import ProtocolError
from mvm_ci.domain.http import HttpResponse
from mvm_ci.domain.ids import Digest, parse_job_id
from mvm_ci.domain.outcome import Completed, Failed, Failure, FailureKind
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.role import Role
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import split
from mvm_ci.journal.entries import Called, Entry, HttpDone, Logged, Memoized
from mvm_ci.lifecycle.recordings import AT_ONCE, PAGE
from mvm_ci.ports.catalogue import ModuleInfo
from mvm_ci.wire import messages as m
from mvm_ci.wire.recording import decode_recording
from tests.integration.control_plane.conftest import MODULE, Stand, submit
from tests.integration.control_plane.scripted_worker import ScriptedWorker

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)

LARGE = {"text": "x" * 10_000}
FAILED = Failed(Failure(kind=FailureKind.ERROR, message="again"))


def segments(count: int) -> list[Segment]:
    return [split([Logged("stdout", f"{at}", 7)], at)[0] for at in range(count)]


async def running(
    stand: Stand, api: httpx.AsyncClient, **fields: Any
) -> tuple[ScriptedWorker, m.Assignment, str]:
    worker = await stand.worker()
    await worker.welcome(credit=1)
    await worker.beat()
    (job,) = await submit(api, **fields)
    (item,) = await worker.assigned()
    return worker, item, job["id"]


async def test_a_recording_is_the_journal_as_it_is_stored(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api, timeout_s=60, memory_mb=64)
    journal = segments(3 * PAGE)
    await worker.append(item.placed, *journal)
    found = decode_recording((await api.get(f"/v1/jobs/{job}/recording")).content)
    assert found.segments == tuple(journal)
    of = found.job
    assert (of.job, of.attempt, of.module, of.input) == (parse_job_id(job), 1, MODULE, b'{"n":0}')
    assert (of.length, of.timeout_ms, of.memory_bytes) == (3 * PAGE, 60_000, 64 << 20)


async def test_damage_leaves_as_it_is(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api)
    noise = Segment(0, 1, b"no journal")
    await worker.append(item.placed, noise)
    found = decode_recording((await api.get(f"/v1/jobs/{job}/recording")).content)
    assert found.segments == (noise,)


async def test_each_attempt_has_a_recording_of_its_own(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api, max_attempts=2)
    first, second = segments(2)
    await worker.end(item, outcome=FAILED, tail=first)
    answer = await api.get(f"/v1/jobs/{job}/recording", params={"attempt": 1})
    found = decode_recording(answer.content)
    assert (found.job.attempt, found.job.length, found.segments) == (1, None, (first,))
    now = decode_recording((await api.get(f"/v1/jobs/{job}/recording")).content)
    assert (now.job.attempt, now.job.length, now.segments) == (2, 0, ())
    missing = await api.get(f"/v1/jobs/{job}/recording", params={"attempt": 3})
    assert missing.status_code == 404
    assert second.first == 1


async def test_what_is_appended_meanwhile_is_not_of_the_recording(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, job = await running(stand, api)
    journal = segments(2 * PAGE)
    await worker.append(item.placed, *journal[:-1])
    (there,) = await stand.queue.get([parse_job_id(job)])
    frames = stand.plane.services.recordings.frames(there, 1)
    data = await anext(frames)
    await worker.append(item.placed, journal[-1])
    data += b"".join([piece async for piece in frames])
    assert decode_recording(data).segments == tuple(journal[:-1])


def test_a_recording_that_breaks_off_is_none(stand: Stand) -> None:
    for data in (b"", b"\0", b"\1\0\0\0\x80"):
        with pytest.raises(ProtocolError):
            decode_recording(data)


async def test_every_beginning_of_a_recording_is_refused(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api)
    await worker.append(item.placed, *segments(3))
    whole = (await api.get(f"/v1/jobs/{job}/recording")).content
    for size in range(len(whole)):
        with pytest.raises(ProtocolError):
            decode_recording(whole[:size])


async def stored(stand: Stand, data: bytes) -> Digest:
    return (await stand.blobs.put(data)).digest


async def test_payloads_that_the_job_refers_to_can_be_had(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api, input=LARGE)
    given = item.spec.input
    assert isinstance(given, BlobRef)
    body, result = await stored(stand, b"b" * 300_000), await stored(stand, b"r" * 5_000)
    answer = HttpResponse(200, "", (), BlobRef(body, 300_000))
    before, done = segments(1)[0], split([HttpDone(MODULE, "GET x", answer, 1, 2)], 1)[0]
    await worker.append(item.placed, before, done)
    await worker.end(item, outcome=Completed(BlobRef(result, 5_000)))
    for digest, size, params in (
        (given.digest, given.size, {}),
        (result, 5_000, {}),
        (body, 300_000, {"from": 1}),
    ):
        found = await api.get(f"/v1/jobs/{job}/payloads/{digest}", params=params)
        assert (found.status_code, len(found.content)) == (200, size)
        assert found.headers["content-type"] == "application/octet-stream"
    elsewhere = await api.get(f"/v1/jobs/{job}/payloads/{body}", params={"from": 0})
    assert elsewhere.status_code == 404


async def test_payloads_of_others_are_not_there(stand: Stand, api: httpx.AsyncClient) -> None:
    _, _, job = await running(stand, api)
    (other,) = await submit(api, input=LARGE)
    (there,) = await stand.queue.get([parse_job_id(other["id"])])
    for digest in (there.spec.input.digest, MODULE, "0" * 64, "no-digest", "..%2f..%2fadmin-token"):
        answer = await api.get(f"/v1/jobs/{job}/payloads/{digest}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_digest_in_a_guest_s_text_is_no_permission(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api)
    secret, body, kept = [await stored(stand, text) for text in (b"of others", b"body", b"kept")]
    answer = HttpResponse(200, "", (), secret.encode())
    entries: list[Entry] = [
        Logged("stdout", secret, 1),
        HttpDone(MODULE, f"GET https://x/{secret}", answer, 1, 2),
        HttpDone(MODULE, "GET https://x/", HttpResponse(200, "", (), BlobRef(body, 4)), 1, 2),
        Memoized(secret, secret.encode(), 0, 0, 0, 0),
        Called(MODULE, f"message.send: {secret}", b'{"ok": {"digest": "%s"}}' % secret.encode()),
        Called(MODULE, "artifact.get: in.bin", b'{"ok": {"digest": "%s", "size": 4}}' % kept.encode()),
        Called(MODULE, "artifact.get: missing", b'{"error": {"kind": "not-found", "message": ""}}'),
        *(Called(MODULE, "artifact.get: a lie", lie) for lie in (b"\xff", b"", b'{"ok": 5}', b"[" * 5_000)),
    ]
    await worker.append(item.placed, segments(1)[0], *split(entries, 1))
    for digest, status in ((secret, 404), (body, 200), (kept, 200)):
        found = await api.get(f"/v1/jobs/{job}/payloads/{digest}", params={"from": 1})
        assert found.status_code == status, digest
    result = await api.get(f"/v1/jobs/{job}/payloads/{secret}", params={"from": 0})
    assert result.status_code == 404


async def test_a_payload_that_was_removed_is_named(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api)
    gone = Digest("c" * 64)
    await worker.end(item, outcome=Completed(BlobRef(gone, 5_000)))
    answer = await api.get(f"/v1/jobs/{job}/payloads/{gone}")
    assert answer.status_code == 404
    assert "is not stored any more" in answer.json()["detail"]


async def with_module(stand: Stand, api: httpx.AsyncClient) -> tuple[str, bytes]:
    """A job, and the bytes of its module."""
    data = b"\0asm" + b"m" * 600_000
    digest = await stored(stand, data)
    info = ModuleInfo(digest=digest, name="m", kind="core", size=len(data), created_ms=1)
    await stand.registry.put_module("default", info)
    (job,) = await submit(api, module=digest)
    return job["id"], data


async def test_a_module_can_be_had_by_those_who_may_push_one(stand: Stand, api: httpx.AsyncClient) -> None:
    job, data = await with_module(stand, api)
    async with stand.client(Role.SUBMITTER) as submitter:
        answer = await submitter.get(f"/v1/jobs/{job}/module")
    assert (answer.content, answer.headers["content-type"]) == (data, "application/wasm")
    async with stand.client(Role.VIEWER) as viewer:
        assert (await viewer.get(f"/v1/jobs/{job}/recording")).status_code == 200
        assert (await viewer.get(f"/v1/jobs/{job}/module")).status_code == 403
    await submit(api)  # entries of the audit log go with the next commit
    audit = (await api.get("/v1/audit", params={"action": "module.download"})).json()["entries"]
    assert [(entry["name"], entry["outcome"]) for entry in audit] == [
        ("viewer", "refused"),
        ("submitter", "done"),
    ]
    assert audit[1]["target"].startswith(job)


async def test_a_module_that_is_not_stored_is_named(stand: Stand, api: httpx.AsyncClient) -> None:
    (job,) = await submit(api)
    answer = await api.get(f"/v1/jobs/{job['id']}/module")
    assert answer.status_code == 404
    assert job["id"] in answer.json()["detail"]


async def test_so_many_are_served_at_once_and_who_leaves_makes_room(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    job, data = await with_module(stand, api)
    (there,) = await stand.queue.get([parse_job_id(job)])
    recordings = stand.plane.services.recordings
    readers = [await recordings.module(there) for _ in range(AT_ONCE)]
    for reader in readers:
        await anext(reader)
    waiting = asyncio.create_task(api.get(f"/v1/jobs/{job}/module"))
    done, _ = await asyncio.wait({waiting}, timeout=0.2)
    assert not done
    await readers[0].aclose()
    async with asyncio.timeout(10):
        assert (await waiting).content == data
    for reader in readers[1:]:
        await reader.aclose()
