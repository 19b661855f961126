"""No wake-up is lost, however the time of a sleep and the report about it meet."""

import httpx
import pytest

from mvm_ci.domain.outcome import Suspended
from mvm_ci.domain.segment import Segment
from tests.integration.control_plane.conftest import Stand, submit

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)


async def test_a_guest_whose_sleep_is_over_when_it_suspends_is_placed_at_once(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await stand.worker()
    # The credit for the next job came with that for the first: nothing but the report can set it going.
    await worker.welcome(credit=2)
    await worker.beat()
    await submit(api)
    (item,) = await worker.assigned()
    over = Suspended(stand.clock.now_ms() - 10)
    await worker.end(item, outcome=over, tail=Segment(0, 2, b"entries"), credit=0)
    (again,) = await worker.assigned()
    assert (again.placed.job, again.placed.epoch) == (item.placed.job, 2)
