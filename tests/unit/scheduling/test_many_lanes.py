"""What a turn costs does not grow with the number of lanes: counted in steps, not in time."""

from typing import Any

import pytest

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.lane import Concurrency, Lane, lane
from mvm_ci.domain.scheduling import fair
from mvm_ci.domain.scheduling.fair import FairQueue
from mvm_ci.domain.scheduling.scheduler import Scheduler


class Counted(int):
    """A lane's number that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return int(self) == other

    __hash__ = int.__hash__


def test_keys_that_have_work_are_not_gone_through_when_one_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair, "_REMEMBERED", 10)
    queue = FairQueue()
    for number in range(100):
        queue.add(f"key-{number}", 2 * number, first=False)
    accounts = queue._accounts
    assert queue.remove("key-0", 0)
    assert queue._accounts is accounts
    for number in range(1, 100):
        assert queue.remove(f"key-{number}", 2 * number)
    # And those without work do not pile up.
    assert len(queue._accounts) <= 11


def test_a_lane_is_removed_without_a_look_at_its_neighbours() -> None:
    queue = FairQueue()
    lanes = [Counted(2 * number) for number in range(1_000)]
    for one in lanes:
        queue.add("", one, first=False)
    Counted.compared = 0
    assert queue.remove("", Counted(1_000))
    assert Counted.compared <= 10
    assert len(list(queue)) == 999


def test_an_empty_lane_is_forgotten_without_a_look_at_all_keys_that_are_full() -> None:
    made = Scheduler()
    made.offers([{}])
    lanes = [lane(concurrency=Concurrency(key=str(number))) for number in range(50)]
    for number, one in enumerate(lanes):
        made.limits.holds(JobId(number), one)
        made.ready(one, one.id)
    assert made.turn({}, 1, 0) is None
    looked: list[object] = []

    class Watched(dict[Any, Any]):
        def values(self) -> Any:
            looked.append(self)
            return super().values()

    made._full = Watched(made._full)
    made.emptied(lanes[7].id)
    assert looked == []
    made.ended([JobId(7), JobId(8)])
    assert [one for one, _ in made] == [lanes[8].id]


def test_a_lane_that_waits_for_its_rate_can_be_claimed_from_when_its_time_has_come() -> None:
    made = Scheduler()
    made.offers([{}])
    limited: Lane = lane(concurrency=Concurrency(key="k", limit=None, starts=1, per_ms=100))
    made.ready(limited, limited.id)
    assert made.turn({}, 1, 0) is not None
    assert made.turn({}, 1, 0) is None
    assert (bool(made), made.next_ms()) == (False, 100)
    made.release(100)
    assert (bool(made), made.next_ms()) == (True, None)


def test_a_slot_that_becomes_free_is_not_offered_to_every_lane_of_its_namespace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = Scheduler()
    made.offers([{}])
    lanes = [lane(fairness_key=str(number)) for number in range(500)]
    for one in lanes:
        made.ready(one, one.id)
    made.set_running_limits({"default": 2})
    made.counted(
        made.limits.uncounted(), [(Placed(JobId(1), 1), "default"), (Placed(JobId(2), 1), "default")]
    )
    assert made.turn({}, 64, 0) is None
    looked: list[int] = []
    room = made.limits.room

    def count(lane: Lane, lane_id: int, now_ms: int) -> Any:
        looked.append(lane_id)
        return room(lane, lane_id, now_ms)

    monkeypatch.setattr(made.limits, "room", count)
    served: set[int] = set()
    for job in range(1, 501):
        assert made.ended([JobId(job)])
        turn = made.turn({}, 64, 0)
        assert turn is not None
        served.add(turn.lane_id)
        made.settle(turn, [Placed(JobId(job + 2), 1)])
        assert made.turn({}, 64, 0) is None
    # Each key had its turn, and each end cost two looks: at who goes on, and that there is no more room.
    assert len(served) == 500
    assert len(looked) <= 2 * 500
