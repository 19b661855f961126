"""Jobs that begin with a part of another one's journal."""

import asyncio
import json
from itertools import pairwise
from typing import Any

import httpx
import pytest

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.http import HttpResponse
from mvm_ci.domain.ids import Digest, JobId, parse_job_id
from mvm_ci.domain.outcome import Failed, Failure, FailureKind
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.role import Role
from mvm_ci.domain.segment import Prefix, Segment
from mvm_ci.journal.codec import decode, split
from mvm_ci.journal.entries import (
    FORMAT_VERSION,
    Began,
    Called,
    ClockRead,
    Entry,
    Finished,
    HttpDone,
    HttpIntent,
    Logged,
    Placement,
)
from mvm_ci.lifecycle.execute import payload_digest
from mvm_ci.ports.catalogue import ModuleInfo
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import MODULE, TEAM, Stand, submit
from tests.integration.control_plane.scripted_worker import ScriptedWorker
from tests.integration.control_plane.test_artifacts import Guest, digest_of

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)

OTHER = Digest("b" * 64)
GIVEN = b'{"n":0}'
INTENT = HttpIntent(Digest("d" * 64), "POST https://x/")
DONE = HttpDone(INTENT.request, INTENT.summary, HttpResponse(200, "", (), b"ok"), 1, 2)
BEGAN = Began(FORMAT_VERSION, MODULE, payload_digest(GIVEN), bytes(range(32)), 10**18)
ENTRIES: list[Entry] = [
    BEGAN,
    Placement(1, "one", 5),
    *(Logged("stdout", f"{at}", 7) for at in range(3)),
    INTENT,
    Placement(2, "two", 6),
    DONE,
    ClockRead(wall=True, value_ns=1),
    Placement(3, "three", 6),
    Finished(b'"done"', None),
]
EDGES = [0, 4, 6, 8, len(ENTRIES)]
FAILED = Failed(Failure(kind=FailureKind.ERROR, message="again"))


def segments(entries: list[Entry] = ENTRIES) -> list[Segment]:
    edges = [edge for edge in EDGES if edge < len(entries)] + [len(entries)]
    return [one for a, b in pairwise(edges) for one in split(entries[a:b], a)]


async def running(
    stand: Stand, api: httpx.AsyncClient, entries: list[Entry] = ENTRIES, **fields: Any
) -> tuple[ScriptedWorker, m.Assignment, str]:
    """A job that runs, with this journal."""
    worker = await stand.worker()
    await worker.welcome(credit=1)
    await worker.beat()
    (job,) = await submit(api, **fields)
    (item,) = await worker.assigned()
    await worker.append(item.placed, *segments(entries))
    return worker, item, job["id"]


async def fork(api: httpx.AsyncClient, job: str, at: int, **fields: Any) -> httpx.Response:
    return await api.post(f"/v1/jobs/{job}/fork", json={"at": at, **fields})


async def forked(api: httpx.AsyncClient, job: str, at: int, **fields: Any) -> str:
    answer = await fork(api, job, at, **fields)
    assert answer.status_code == 200, answer.text
    new: str = answer.json()["id"]
    return new


async def journal_of(stand: Stand, job: str, attempt: int = 1) -> list[Entry]:
    return decode(await stand.queue.journal(parse_job_id(job), attempt))


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 8, 9, 10])
async def test_a_fork_begins_with_so_many_entries_and_runs(
    stand: Stand, api: httpx.AsyncClient, at: int
) -> None:
    worker, item, job = await running(stand, api)
    new = await forked(api, job, at)
    assert new > job
    shown = (await api.get(f"/v1/jobs/{new}")).json()
    assert (shown["state"], shown["journal_length"], shown.get("attempt", 1)) == ("pending", at, 1)
    assert await journal_of(stand, new) == ENTRIES[:at]
    await worker.send(m.Credit(1))
    (given,) = await worker.assigned()
    assert (given.placed.job, given.placed.epoch, given.entries) == (parse_job_id(new), 1, at)
    assert decode(given.journal) == ENTRIES[:at]
    assert given.spec == item.spec
    await worker.append(given.placed, *split([Logged("stdout", "own", 8)], at))
    await worker.end(given)
    assert len(await journal_of(stand, new)) == at + 1
    assert await journal_of(stand, job) == ENTRIES, "the other one is as it was"


@pytest.mark.parametrize(
    ("at", "says"),
    [
        (0, "at: 0 is not between 1 and 11"),
        (-1, "at: -1 is not between"),
        (12, "at: 12 is not between 1 and 11"),
        (1 << 60, "is not between"),
        (6, "at: 6 is between the intent of request POST https://x/ (digest dddddddd), entry 5"),
        (7, "at: 7 is between the intent of request POST https://x/ (digest dddddddd), entry 5"),
        (11, "entry 10 is the end with a result of 6 bytes"),
    ],
)
async def test_where_no_fork_can_begin_is_said(
    stand: Stand, api: httpx.AsyncClient, at: int, says: str
) -> None:
    _, _, job = await running(stand, api)
    answer = await fork(api, job, at)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-input")
    assert says in answer.json()["detail"]
    assert len((await api.get("/v1/jobs")).json()["jobs"]) == 1


async def test_a_request_that_is_under_way_is_not_forked(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api, ENTRIES[:6])
    answer = await fork(api, job, 6)
    assert "fork at 5, before it, or behind its result" in answer.json()["detail"]
    await worker.append(item.placed, *split([DONE], 6))
    assert (await fork(api, job, 7)).status_code == 200


@pytest.mark.parametrize("at", [1, 3, 4, 5, 9])
async def test_another_module_goes_on_from_there(stand: Stand, api: httpx.AsyncClient, at: int) -> None:
    await stand.registry.put_module(
        "default", ModuleInfo(digest=OTHER, name="other", kind="core", size=0, created_ms=1)
    )
    _, _, job = await running(stand, api)
    new = await forked(api, job, at, module=OTHER)
    assert (await api.get(f"/v1/jobs/{new}")).json()["module"] == OTHER
    began, *rest = await journal_of(stand, new)
    assert began == Began(FORMAT_VERSION, OTHER, BEGAN.input, BEGAN.seed, BEGAN.wall_ns)
    assert rest == ENTRIES[1:at]
    # And from that one again.
    again = await forked(api, new, at)
    assert await journal_of(stand, again) == [began, *rest]


async def test_a_module_that_the_namespace_has_not_is_refused(stand: Stand, api: httpx.AsyncClient) -> None:
    _, _, job = await running(stand, api)
    for module in (OTHER, "nobody@1.0"):
        answer = await fork(api, job, 3, module=module)
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_fork_is_asked_for_as_its_job_was_but_waits_for_nothing(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    options: dict[str, Any] = {
        "queue": "reports",
        "priority": 7,
        "tags": ["red"],
        "metadata": {"customer": "acme"},
        "idempotency_key": "once",
        "start_within_s": 60,
        "deadline_s": 60,
        "max_attempts": 3,
        "memory_mb": 64,
    }
    _, _, job = await running(stand, api, **options)
    new = await forked(api, job, 5)
    one, other = [(await api.get(f"/v1/jobs/{one}")).json() for one in (job, new)]
    same = ("queue", "priority", "tags", "max_attempts", "module", "name")
    assert [one.get(key) for key in same] == [other.get(key) for key in same]
    assert other["metadata"] == {"customer": "acme", "forked_from": job, "forked_at": "5"}
    assert not {"idempotency_key", "expires_ms", "wake_ms", "deadline_ms"} & other.keys()
    found = (await api.get("/v1/jobs", params={"tags": f"forked_from={job}"})).json()["jobs"]
    assert [view["id"] for view in found] == [new]


async def test_a_fork_is_recorded(stand: Stand, api: httpx.AsyncClient) -> None:
    _, _, job = await running(stand, api)
    new = await forked(api, job, 5)
    refused = await fork(api, job, 99)
    assert refused.status_code == 400
    await submit(api)  # what was refused goes to the audit log with the next commit
    entries = (await api.get("/v1/audit", params={"action": "job.fork"})).json()["entries"]
    assert [(entry["target"], entry["outcome"]) for entry in entries] == [
        (f"{job} at 99", "bad-input"),
        (f"{new} from {job} at 5", "done"),
    ]
    events = await api.get("/v1/events", params={"follow": 0, "after": 0, "job": new})
    assert "event: submitted" in events.text
    async with stand.client(Role.VIEWER) as viewer:
        assert (await fork(viewer, job, 5)).status_code == 403
    async with stand.client(Role.ADMIN, TEAM) as outsider:
        assert (await fork(outsider, job, 5)).status_code == 404


async def test_an_earlier_attempt_can_be_forked(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api, ENTRIES[:9], max_attempts=2)
    await worker.end(item, outcome=FAILED)
    now = await fork(api, job, 3)
    assert (now.status_code, now.json()["code"]) == (409, "conflict")
    assert "has no journal to begin with" in now.json()["detail"]
    new = await forked(api, job, 9, attempt=1)
    assert await journal_of(stand, new) == ENTRIES[:9]
    for attempt, status in ((0, 400), (-1, 400), (3, 404)):
        assert (await fork(api, job, 3, attempt=attempt)).status_code == status
    beyond = await fork(api, job, 10, attempt=1)
    assert "at: 10 is not between 1 and 9" in beyond.json()["detail"]


async def test_a_job_without_a_journal_is_not_forked(stand: Stand, api: httpx.AsyncClient) -> None:
    (job,) = await submit(api)
    answer = await fork(api, job["id"], 1)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "it has not begun, or its journal was removed" in answer.json()["detail"]


async def test_a_fork_that_takes_its_time_is_placed_when_it_is_there(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, item, job = await running(stand, api)
    await worker.end(item)
    await worker.send(m.Credit(1))
    insert, ready = stand.queue.fork, stand.plane.services.dispatcher.ready
    asked = asyncio.Event()

    def slow(new: Any, prefix: Prefix) -> asyncio.Future[bool]:
        async def wait() -> bool:
            # Whoever looks for pending jobs now finds none.
            ready(new.options.lane)
            await asyncio.sleep(0.1)
            asked.set()
            return bool(await insert(new, prefix))

        return asyncio.ensure_future(wait())

    monkeypatch.setattr(stand.queue, "fork", slow)
    new = await forked(api, job, 5)
    assert asked.is_set()
    (given,) = await worker.assigned()
    assert given.placed.job == parse_job_id(new)


async def test_a_journal_that_goes_meanwhile_leaves_no_half_of_a_fork(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, item, job = await running(stand, api)
    await worker.end(item)
    insert = stand.queue.fork

    def late(new: Any, prefix: Prefix) -> asyncio.Future[bool]:
        # The job is deleted between the look at its journal and the copy.
        stand.queue.delete([parse_job_id(job)])
        made: asyncio.Future[bool] = insert(new, prefix)
        return made

    monkeypatch.setattr(stand.queue, "fork", late)
    answer = await fork(api, job, 8)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert (await api.get("/v1/jobs")).json()["jobs"] == []
    assert stand.plane.services.backpressure.live == 0


async def test_a_store_that_fails_makes_no_fork(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, job = await running(stand, api)

    def fail(*_: object) -> asyncio.Future[bool]:
        failed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        failed.set_exception(Unavailable("the disk is full"))
        return failed

    before = stand.plane.services.backpressure.live
    monkeypatch.setattr(stand.queue, "fork", fail)
    assert (await fork(api, job, 8)).status_code == 503
    assert stand.plane.services.backpressure.live == before


async def test_a_damaged_journal_is_not_forked(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api, ENTRIES[:8])
    await worker.append(item.placed, Segment(8, 2, b"noise"))
    answer = await fork(api, job, 10)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert job in answer.json()["detail"]
    # What is before the damage can be saved.
    new = await forked(api, job, 8)
    assert await journal_of(stand, new) == ENTRIES[:8]


@pytest.mark.parametrize(
    "began",
    [
        Began(FORMAT_VERSION, OTHER, BEGAN.input, BEGAN.seed, 1),
        Began(FORMAT_VERSION, MODULE, OTHER, BEGAN.seed, 1),
        Logged("stdout", "no beginning", 1),
    ],
    ids=["module", "input", "no begin"],
)
async def test_a_journal_that_is_not_the_jobs_is_not_forked(
    stand: Stand, api: httpx.AsyncClient, began: Entry
) -> None:
    _, _, job = await running(stand, api, [began, *ENTRIES[1:]])
    assert (await fork(api, job, 3)).json()["code"] == "conflict"


async def test_a_large_input_is_that_of_the_fork_too(stand: Stand, api: httpx.AsyncClient) -> None:
    large = {"text": "x" * 10_000}
    worker = await stand.worker()
    await worker.welcome(credit=1)
    (job,) = await submit(api, input=large)
    (item,) = await worker.assigned()
    given = item.spec.input
    assert isinstance(given, BlobRef)
    began = Began(FORMAT_VERSION, MODULE, given.digest, BEGAN.seed, 1)
    await worker.append(item.placed, *segments([began, *ENTRIES[1:]]))
    new = await forked(api, job["id"], 4)
    await worker.send(m.Credit(1))
    (again,) = await worker.assigned()
    assert (again.placed.job, again.spec.input) == (parse_job_id(new), given)


async def test_quotas_hold_for_forks(stand: Stand, api: httpx.AsyncClient) -> None:
    _, _, job = await running(stand, api)
    await api.put("/v1/namespaces/default/quota", json={"max_waiting": 0})
    answer = await fork(api, job, 3)
    assert (answer.status_code, answer.json()["code"]) == (429, "quota-exceeded")


async def test_a_journal_of_many_segments_is_forked_as_a_whole(stand: Stand, api: httpx.AsyncClient) -> None:
    many: list[Entry] = [BEGAN, *(Logged("stdout", "x" * 16_000, at) for at in range(200))]
    worker = await stand.worker()
    await worker.welcome(credit=1)
    await worker.beat()
    (job,) = await submit(api)
    (item,) = await worker.assigned()
    for segment in split(many, 0):
        await worker.append(item.placed, segment)
    new = await forked(api, job["id"], 150)
    assert await journal_of(stand, new) == many[:150]


async def test_ids_of_forks_and_of_other_jobs_are_of_one_sequence(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    _, _, job = await running(stand, api)
    forks = [await forked(api, job, 3) for _ in range(3)]
    (last,) = await submit(api)
    assert [job, *forks, last["id"]] == sorted({job, *forks, last["id"]})
    assert JobId(parse_job_id(forks[0])) > parse_job_id(job)


@pytest.mark.parametrize("body", [{}, {"at": "3"}, {"at": 3, "more": 1}, {"at": 3, "module": 5}, {"at": 2.5}])
async def test_a_body_that_is_wrong_is_refused(stand: Stand, api: httpx.AsyncClient, body: Any) -> None:
    (job,) = await submit(api)
    answer = await api.post(f"/v1/jobs/{job['id']}/fork", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-input")


def answered(name: str, digest: str) -> Called:
    answer = {"ok": {"name": name, "digest": digest, "size": 1, "media": ""}}
    return Called(Digest("e" * 64), f"artifact.put: {name}", json.dumps(answer).encode())


@pytest.mark.parametrize(("at", "names"), [(2, []), (3, ["a"]), (5, ["a", "b"])])
async def test_a_fork_has_the_artifacts_that_its_beginning_put(
    stand: Stand, api: httpx.AsyncClient, at: int, names: list[str]
) -> None:
    put = {name: digest_of(name.encode()) for name in "abc"}
    entries: list[Entry] = [
        BEGAN,
        Placement(1, "one", 5),
        *(answered(name, put[name]) for name in "ab"),
        Logged("stdout", "x", 7),
        answered("c", put["c"]),
    ]
    worker, item, job = await running(stand, api, entries)
    guest = Guest(worker, item)
    for name in put:
        await guest.put(name, name.encode())
    new = await forked(api, job, at)
    answer = await api.get(f"/v1/jobs/{new}/artifacts")
    assert [one["name"] for one in answer.json()["artifacts"]] == names
    for name in names:
        assert (await api.get(f"/v1/jobs/{new}/artifacts/{name}")).content == name.encode()
