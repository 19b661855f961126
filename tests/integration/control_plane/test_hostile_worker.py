"""What a worker that was let in can send about its own jobs: it harms those alone. About the jobs of others:
``test_fleet.py``.
"""

import json
from typing import Any

import httpx
import pytest
from blockbuster import BlockBuster
from msgspec.structs import replace

from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed, Failed, Failure, FailureKind, Parked, Suspended
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.segment import Segment
from mvm_ci.lifecycle.report_checks import MAX_ENTRIES, MAX_FAILURE
from mvm_ci.wire import blobs as w
from mvm_ci.wire import messages as m
from mvm_ci.wire.frames import encode
from tests.integration.control_plane.conftest import Stand, submit
from tests.integration.control_plane.scripted_worker import ScriptedWorker

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
DIGEST = Digest("d" * 64)
LONG = "x" * (MAX_FAILURE + 1)


async def holding(stand: Stand, api: httpx.AsyncClient) -> tuple[ScriptedWorker, m.Assignment, str]:
    """A worker with one job."""
    worker = await stand.worker()
    await worker.welcome(credit=1)
    job = (await submit(api))[0]["id"]
    (item,) = await worker.assigned()
    return worker, item, job


IMPOSSIBLE_ENDS = [
    Completed(BlobRef(Digest("../../../admin-token"), 1)),
    Completed(BlobRef(Digest("D" * 64), 1)),
    Completed(BlobRef(DIGEST, -1)),
    Completed(BlobRef(DIGEST, 1 << 63)),
    Completed(b"x" * 5_000),
    Suspended(1 << 63),
    Suspended(-1),
    Failed(Failure(kind=FailureKind.ERROR, message=LONG)),
    Parked(Failure(kind=FailureKind.NONDETERMINISM, message="", detail=LONG)),
]


@pytest.mark.parametrize("outcome", IMPOSSIBLE_ENDS, ids=lambda outcome: repr(outcome)[:50])
async def test_an_end_that_cannot_be_closes_the_connection_and_changes_nothing(
    stand: Stand, api: httpx.AsyncClient, outcome: Any
) -> None:
    neighbour = await stand.worker()
    await neighbour.welcome()
    worker, item, job = await holding(stand, api)
    await worker.send(m.Ended((m.EndedItem(item.placed, outcome, None),)))
    assert (await worker.closed())[0] == m.CLOSE_PROTOCOL
    assert (await api.get(f"/v1/jobs/{job}")).json()["state"] == "claimed"
    assert (await neighbour.beat()).number == 1


@pytest.mark.parametrize(
    "segment",
    [
        Segment(1 << 63, 1, b"x"),
        Segment(0, 1 << 63, b"x"),
        Segment(MAX_ENTRIES, 1, b"x"),
        Segment(-1, 1, b"x"),
        Segment(0, 0, b"x"),
        Segment(0, 1, bytes((256 << 10) + 1)),
    ],
    ids=lambda segment: f"{segment.first},{segment.count}",
)
async def test_entries_that_cannot_be_close_the_connection_and_are_not_written(
    stand: Stand, api: httpx.AsyncClient, segment: Segment
) -> None:
    worker, item, job = await holding(stand, api)
    await worker.send(m.Append((m.AppendItem(item.placed, segment),)))
    assert (await worker.closed())[0] == m.CLOSE_PROTOCOL
    assert "journal_length" not in (await api.get(f"/v1/jobs/{job}")).json()


@pytest.mark.parametrize("number", [-1, 1 << 63, (1 << 64) - 1])
async def test_ids_that_cannot_be_are_nobody_s(stand: Stand, api: httpx.AsyncClient, number: int) -> None:
    worker, item, job = await holding(stand, api)
    for placed in (Placed(JobId(number), 1), replace(item.placed, epoch=number)):
        recorded = await worker.end(replace(item, placed=placed))
        assert recorded.placements == (placed,)
    assert (await api.get(f"/v1/jobs/{job}")).json()["state"] == "claimed"
    await worker.end(item)
    assert (await api.get(f"/v1/jobs/{job}")).json()["state"] == "completed"


@pytest.mark.parametrize("number", [-1, 1 << 63, (1 << 64) - 1])
async def test_ids_that_cannot_be_are_not_kept(stand: Stand, api: httpx.AsyncClient, number: int) -> None:
    worker, item, job = await holding(stand, api)
    kept = (item.placed, Placed(JobId(number), 1), Placed(item.placed.job, number))
    await worker.dial()
    await worker.send(replace(worker.hello, running=kept))
    assert (await worker.closed())[0] == m.CLOSE_PROTOCOL
    assert (await worker.welcome(running=(item.placed,))).keep == (item.placed,)
    await worker.end(item)
    assert (await api.get(f"/v1/jobs/{job}")).json()["state"] == "completed"


async def test_a_result_that_names_what_nobody_stored_is_not_there(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, job = await holding(stand, api)
    await worker.end(item, outcome=Completed(BlobRef(DIGEST, 10_000)))
    shown = (await api.get(f"/v1/jobs/{job}")).json()
    assert (shown["state"], shown["result_size"]) == ("completed", 10_000)
    missing = await api.get(f"/v1/jobs/{job}/result")
    assert (missing.status_code, missing.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize("data", [b"", b"\xff", b"entry", b"MVMJ" * 9, bytes(100)])
async def test_a_journal_of_noise_is_that_job_s_alone_and_is_named(
    stand: Stand, api: httpx.AsyncClient, data: bytes, no_blocking_calls: BlockBuster
) -> None:
    no_blocking_calls.deactivate()  # a traceback in the log shows source lines: it reads files
    worker, item, job = await holding(stand, api)
    await worker.append(item.placed, Segment(0, 1, data))
    answer = await api.get(f"/v1/jobs/{job}/journal")
    (shown,) = answer.text.splitlines()
    assert json.loads(shown)["kind"] == "Damage"
    assert job in json.loads(shown)["summary"]
    await worker.end(item)
    assert (await api.get(f"/v1/jobs/{job}")).json()["result"] == "done"
    assert (await api.get("/v1/jobs")).status_code == 200


@pytest.mark.parametrize("digest", ["", "../../admin-token", "A" * 64, "a" * 65, "0" * 63 + "\n"])
async def test_what_is_no_digest_is_no_path(stand: Stand, digest: str) -> None:
    for request in (w.GetBlob(Digest(digest)), w.PutBlob(Digest(digest), 1)):
        worker = await stand.worker()
        await worker.welcome()
        stream = await worker.connection.open()
        await stream.write(encode(request))
        assert (await worker.closed())[0] == m.CLOSE_PROTOCOL


@pytest.mark.parametrize("size", [-1, w.MAX_BLOB + 1, 1 << 63])
async def test_a_blob_of_a_size_that_cannot_be_is_not_waited_for(stand: Stand, size: int) -> None:
    worker = await stand.worker()
    await worker.welcome()
    stream = await worker.connection.open()
    await stream.write(encode(w.PutBlob(DIGEST, size)))
    assert (await worker.closed())[0] == m.CLOSE_PROTOCOL
