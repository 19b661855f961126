"""Parents at workers that a test scripts, and what their guests ask for."""

from typing import Any

import httpx

from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import MODULE, Stand, submit
from tests.integration.control_plane.scripted_worker import ScriptedWorker

NOWHERE = {"where": "nowhere"}
"""Labels that no worker here has."""
HOST = "api.example.org"
"""What the module may call."""


async def ready(stand: Stand, credit: int = 9, **hello: Any) -> ScriptedWorker:
    worker = await stand.worker()
    await worker.welcome(credit=credit, **hello)
    await worker.beat()
    return worker


async def running(
    stand: Stand, api: httpx.AsyncClient, *, credit: int = 1, **fields: Any
) -> tuple[ScriptedWorker, m.Assignment, str]:
    """A worker that runs one job."""
    worker = await ready(stand, credit)
    (job,) = await submit(api, **fields)
    (item,) = await worker.assigned()
    await worker.send(m.Started((item.placed,)))
    return worker, item, job["id"]


def children(*inputs: Any, **fields: Any) -> dict[str, Any]:
    """The argument of ``child.start``."""
    return {"jobs": [{"module": MODULE, "input": given, **fields} for given in inputs]}


async def start(
    worker: ScriptedWorker,
    item: m.Assignment,
    count: int = 1,
    *,
    call: int = 0,
    labels: dict[str, str] | None = None,
) -> list[str]:
    """The children that a guest starts, by their ids."""
    asked = children(*range(count), labels=labels or {})
    answer = await worker.ask(item.placed, "child.start", asked, call=call)
    jobs: list[str] = answer["ok"]["jobs"]
    return jobs


async def seen(api: httpx.AsyncClient, job: str) -> dict[str, Any]:
    view: dict[str, Any] = (await api.get(f"/v1/jobs/{job}")).json()
    return view


async def state(api: httpx.AsyncClient, job: str) -> str:
    found: str = (await seen(api, job))["state"]
    return found


async def ended(api: httpx.AsyncClient, job: str) -> str:
    """How a job ended, once it has."""
    answer = await api.get(f"/v1/jobs/{job}/wait", params={"timeout_s": 10})
    found: str = answer.json()["state"]
    return found
