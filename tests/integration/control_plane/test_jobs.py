"""Jobs through the API and a worker."""

import asyncio

import httpx

from mvm_ci.domain.outcome import Completed
from tests.integration.control_plane.conftest import MODULE, Stand, submit


async def test_a_job_runs_and_its_caller_gets_the_result(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await stand.worker()
    await worker.welcome(credit=4)

    async def work() -> None:
        (item,) = await worker.assigned()
        assert item.spec.input == b'{"n":0}'
        assert item.spec.allow_hosts == ("api.example.org",)
        await worker.end(item, outcome=Completed(b'{"x":[1]}'))

    (job,), _ = await asyncio.gather(submit(api, wait_s=20, name="first"), work())
    assert job["state"] == "completed"
    assert job["result"] == {"x": [1]}
    assert (job["name"], job["module"], job["epoch"], job["result_size"]) == ("first", MODULE, 1, 9)
    assert (await api.get(f"/v1/jobs/{job['id']}/result")).json() == {"x": [1]}
