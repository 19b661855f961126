"""What a runner's host waits for: the answers of its pool, and a clock that may be set."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from mvm_ci.domain.segment import Segment
from mvm_ci.engine.messages import Durable, Post
from mvm_ci.engine.runner_host import RunnerHost
from mvm_ci.engine.runner_link import RunnerLink

TASK = 7


class Link:
    """Answers each ``receive`` with the next of ``coming``; time passes meanwhile."""

    def __init__(self, *coming: list[Any]) -> None:
        self.coming = list(coming)
        self.sent: list[Any] = []
        self.waits: list[float | None] = []
        self.set_wall_by = 0.0
        self.wall, self.boot = 1_000.0, 50.0

    def check(self) -> None:
        """Nobody wants the guest to leave."""

    def send(self, message: object) -> None:
        self.sent.append(message)

    def receive(self, timeout: float | None) -> list[Any]:
        self.waits.append(timeout)
        self.wall += (timeout or 0.0) + self.set_wall_by
        self.boot += timeout or 0.0
        self.set_wall_by = 0.0
        return self.coming.pop(0) if self.coming else []


def host(link: Link) -> RunnerHost:
    return RunnerHost(cast("RunnerLink", link), TASK)


def test_a_flush_returns_when_everything_that_was_posted_is_durable() -> None:
    link = Link([], [Durable(TASK, 1)], [Durable(TASK + 1, 9)], [Durable(TASK, 2)], ["not read"])
    one = host(link)
    segments = [Segment(0, 1, b"a"), Segment(1, 1, b"b")]
    for segment in segments:
        one.post(segment)
    one.flush()
    assert link.sent == [Post(TASK, segment) for segment in segments]
    assert link.coming == [["not read"]]
    one.flush()
    assert link.coming == [["not read"]]


@pytest.mark.parametrize(
    ("set_by", "least_s", "most_s"), [(0, 10, 10), (-3_600, 10, 10), (5, 5, 6), (3_600, 1, 1)]
)
def test_a_wait_ends_by_the_wall_clock_or_when_its_time_has_passed(
    monkeypatch: pytest.MonkeyPatch, set_by: float, least_s: float, most_s: float
) -> None:
    link = Link()
    link.set_wall_by = set_by
    monkeypatch.setattr(time, "time_ns", lambda: int(link.wall * 1e9))
    monkeypatch.setattr(time, "clock_gettime", lambda _: link.boot)
    host(link).wait_until(1_010_000_000_000)
    assert least_s <= sum(wait or 0 for wait in link.waits) <= most_s
