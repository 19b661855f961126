"""How many workers a running cluster has, and how many jobs a second."""

import asyncio
import time
from typing import TYPE_CHECKING, Final

from mvm_ci.cli.connection import ask

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient

_ENDED: Final = ("mvm_ci_job_events_total", "ended")


def watched(url: str | None, token_file: str | None, seconds: float) -> tuple[int, float]:
    """Workers that are connected, engines not counted, and jobs that ended a second.

    Raises ``BadInput`` if there is no worker, no job ended, or the control plane was restarted meanwhile.
    """
    from mvm_ci.domain.errors import BadInput

    async def work(client: "ApiClient") -> tuple[int, float]:
        before, began = _ended(await client.metrics()), time.monotonic()
        await asyncio.sleep(seconds)
        after, took = _ended(await client.metrics()), time.monotonic() - began
        views = await client.workers()
        workers = sum(view.connected and view.role != "engine" for view in views)
        if not workers:
            raise BadInput("no worker is connected to the running cluster: give --workers and --rate")
        if after < before:
            raise BadInput("the control plane was restarted while it was watched: try again")
        if after == before:
            raise BadInput(
                f"no job ended at the running cluster in {took:.0f} s: watch it for longer, with --duration, "
                "or give --workers and --rate"
            )
        return workers, (after - before) / took

    return ask(url, token_file, work)


def _ended(text: bytes) -> float:
    from prometheus_client.parser import text_string_to_metric_families

    return sum(
        sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if (sample.name, sample.labels.get("kind")) == _ENDED
    )
