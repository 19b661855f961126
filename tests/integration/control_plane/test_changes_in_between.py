"""What people change while something else is under way, through the API, with workers that a test scripts."""

from typing import Any

import httpx
import pytest

from mvm_ci.domain.outcome import Completed, Failed, Failure, FailureKind, Stopped
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import MODULE, Stand, submit
from tests.integration.control_plane.test_options import change, given, ids, ready, show

ERROR = Failed(Failure(kind=FailureKind.ERROR, message="no luck"))

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)


async def state_at_rest(api: httpx.AsyncClient, job: dict[str, Any]) -> Any:
    return (await api.get(f"/v1/jobs/{job['id']}/wait?timeout_s=30")).json()["state"]


async def test_a_worker_that_comes_back_is_told_what_was_paused_meanwhile(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await ready(stand)
    (job,) = await submit(api)
    (item,) = await worker.assigned()
    worker.connection.cut()  # type: ignore[attr-defined] # a fault of the network in memory
    await settle()
    assert (await change(api, job, "pause")).json()["change"] == "stopping"
    await worker.welcome(running=(item.placed,))
    assert (await worker.next(m.Stop)).placements == (item.placed,)
    await worker.end(item, outcome=Stopped(), credit=1)
    assert (await show(api, job))["state"] == "paused"


async def test_a_job_that_is_paused_beyond_its_deadline_fails_when_it_goes_on(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    (job,) = await submit(api, start_within_s=1)
    await change(api, job, "pause")
    await stand.clock.advance(2_000)
    assert (await show(api, job))["state"] == "paused"
    await change(api, job, "resume")
    assert await state_at_rest(api, job) == "failed"


async def test_an_upstream_that_is_tried_again_is_waited_for_again(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await ready(stand, credit=2)
    first, second = await submit(api, 2)
    (last,) = await submit(
        api, after=[{"job": first["id"], "needs": "end"}, {"job": second["id"], "needs": "end"}]
    )
    one, two = await worker.assigned(2)
    await worker.end(one, outcome=ERROR, credit=1)
    await settle()
    await change(api, first, "retry")
    (again,) = await worker.assigned()
    await worker.end(two, outcome=Completed(b"1"))
    assert (await show(api, last))["state"] == "blocked"
    await worker.end(again, outcome=Completed(b"1"), credit=1)
    assert await given(worker) == ids(last)


async def test_of_two_needs_of_one_job_the_stricter_one_counts(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand, credit=1)
    jobs = [
        {"module": MODULE, "idempotency_key": "k"},
        {"module": MODULE, "idempotency_key": "k"},
        {"module": MODULE, "after": [{"job": "#0", "needs": "end"}, {"job": "#1"}]},
    ]
    build, same, test = (await api.post("/v1/jobs", json={"jobs": jobs})).json()["jobs"]
    assert build["id"] == same["id"]
    (item,) = await worker.assigned()
    await worker.end(item, outcome=ERROR, credit=1)
    assert await state_at_rest(api, test) == "cancelled"
