"""Removing all jobs of a queue, played by a client that only remembers."""

from __future__ import annotations

import time
from typing import cast
from unittest import mock

from mvm_ci.client.api import AsyncClient
from mvm_ci.client.removal import remove_jobs
from mvm_ci.domain.errors import Unavailable
from mvm_ci.testing.virtual_time import in_virtual_time
from mvm_ci.wire import api

WHICH = api.JobSelection(queue="q")
WITHIN_S = 60.0


class Queue:
    """``going``: jobs that have not ended; ``ends_s``: how long one takes to end once it is cancelled, one
    after the other; ``at_once``: a request changes so many.
    """

    def __init__(self, going: int, ends_s: float = 0.0, at_once: int = 10) -> None:
        self.going, self.stopping, self.ended = going, 0, 0
        self.ends_s = ends_s
        self.at_once = at_once
        self.comes = 0
        """Jobs that come once the first were removed."""
        self.away = False
        self._since = time.perf_counter()

    async def cancel_jobs(self, which: api.JobSelection) -> api.BulkResult:
        assert which == WHICH
        if self.away:
            raise Unavailable("nobody answers")
        changed = min(self.at_once, self.going)
        self.going -= changed
        self.stopping += changed
        return api.BulkResult(
            counts={"stopping": changed} if changed else {}, jobs=(), complete=not self.going
        )

    async def delete_jobs(self, which: api.JobSelection) -> api.BulkResult:
        assert which == WHICH
        while self.stopping and time.perf_counter() - self._since >= self.ends_s:
            self._since += self.ends_s
            self.stopping -= 1
            self.ended += 1
        removed = min(self.at_once, self.ended)
        self.ended -= removed
        if removed:
            self.going, self.comes = self.going + self.comes, 0
        return api.BulkResult(counts={"done": removed} if removed else {}, jobs=(), complete=not self.ended)

    async def jobs(self, which: api.JobSelection, *, limit: int) -> api.JobList:
        left = self.going + self.stopping + self.ended
        return api.JobList(jobs=(api.JobView(id="j", state="cancelling"),) * min(limit, left))


async def removed(queue: Queue) -> str:
    with mock.patch.object(time, "monotonic", time.perf_counter):
        return await remove_jobs(cast("AsyncClient", queue), WHICH, WITHIN_S)


@in_virtual_time
async def test_jobs_are_ended_and_removed() -> None:
    queue = Queue(35)
    assert await removed(queue) == ""
    assert (queue.going, queue.stopping, queue.ended) == (0, 0, 0)


@in_virtual_time
async def test_nothing_is_there() -> None:
    assert await removed(Queue(0)) == ""


@in_virtual_time
async def test_jobs_that_come_meanwhile_are_removed_too() -> None:
    queue = Queue(5)
    queue.comes = 20
    assert await removed(queue) == ""
    assert (queue.going, queue.stopping) == (0, 0)


@in_virtual_time
async def test_it_goes_on_for_as_long_as_jobs_end() -> None:
    began = time.perf_counter()
    assert await removed(Queue(10, ends_s=WITHIN_S / 2)) == ""
    assert time.perf_counter() - began > 4 * WITHIN_S


@in_virtual_time
async def test_jobs_that_do_not_end_are_left_and_that_is_why() -> None:
    queue = Queue(3, ends_s=10 * WITHIN_S)
    assert await removed(queue) == "jobs of the queue q: some have not ended within 60 s of being cancelled"


@in_virtual_time
async def test_a_cluster_that_is_away_is_told_as_that() -> None:
    queue = Queue(3)
    queue.away = True
    assert await removed(queue) == "jobs of the queue q: nobody answers"
