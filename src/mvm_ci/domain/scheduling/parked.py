"""Lanes that wait for slots of one key, and which of them go on when some became free."""

from mvm_ci.domain.lane import Labels, Lane, has_begun
from mvm_ci.domain.scheduling.fair import FairQueue


class Parked:
    """Lanes by priority and labels; within these, fairness keys take turns, as they do where lanes are
    claimed from. What a slot costs does not grow with the number of lanes, only with that of the groups:
    which workers will have credit is not known, so each group gets its chance.
    """

    __slots__ = ("_groups", "_lanes")

    def __init__(self) -> None:
        self._lanes: dict[int, Lane] = {}
        self._groups: dict[tuple[int, Labels], FairQueue] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def add(self, lane: Lane, lane_id: int) -> None:
        """A lane waits."""
        self._lanes[lane_id] = lane
        group = self._groups.setdefault((lane.priority, lane.labels), FairQueue())
        group.add(lane.fairness_key, lane_id, first=has_begun(lane_id))

    def remove(self, lane_id: int) -> bool:
        """A lane waits no more. False if it did not."""
        lane = self._lanes.pop(lane_id, None)
        if lane is None:
            return False
        at = (lane.priority, lane.labels)
        group = self._groups[at]
        group.remove(lane.fairness_key, lane_id)
        if not group:
            del self._groups[at]
        return True

    def take(self, count: int) -> list[tuple[int, Lane]]:
        """Up to ``count`` lanes of each group, which wait no more."""
        taken: list[tuple[int, Lane]] = []
        for group in list(self._groups.values()):
            for _ in range(count):
                turn = group.peek()
                if turn is None:
                    break
                _, key, lane_id = turn
                taken.append((lane_id, self._lanes[lane_id]))
                group.charge(key, lane_id, 1)
                self.remove(lane_id)
        return taken
