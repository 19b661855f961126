"""What a start asks of the stores, and makes of it."""

from typing import Any

import pytest

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import JobSpec, JobState, NewJob
from mvm_ci.domain.lane import Concurrency, Excess, lane
from mvm_ci.domain.options import JobOptions
from mvm_ci.testing.clock import settle
from tests.integration.control_plane.conftest import MODULE, Stand


async def test_what_counts_in_limits_is_read_once_and_a_crash_before_a_superseding_is_made_up_for(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stand.stop()
    options = JobOptions(lane=lane(concurrency=Concurrency(key="site", excess=Excess.CANCEL_OLDER)))
    spec = JobSpec(module=MODULE, input=b"")
    older, newer = JobId(1), JobId(2)
    new = [NewJob(id=job, spec=spec, created_ms=0, options=options) for job in (older, newer)]
    await stand.queue.submit(new)
    read, reads = stand.queue.holders, []

    def counted() -> Any:
        reads.append(1)
        return read()

    monkeypatch.setattr(stand.queue, "holders", counted)
    await stand.start()
    await settle()
    assert len(reads) == 1
    states = [job.state for job in await stand.queue.get([older, newer])]
    assert states == [JobState.CANCELLED, JobState.PENDING]
