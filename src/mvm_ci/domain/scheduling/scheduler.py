"""The scheduler: from which lane a worker's next jobs are claimed.

Priority first, strictly. A worker is given jobs beyond its free slots, so that it need not wait for the next
ones; but not of a lower priority than came lately: they would stand in the way of what comes next. Among
lanes of one priority, fairness keys take turns (``fair``); within a key, attempts that have begun go before
those that have not, and lanes take turns. A lane is left out while its queue is paused, its concurrency key
or namespace is full, its rate is used up, or the worker lacks a label.

It knows which lanes *may* have ready jobs, not which jobs: a claim that finds fewer than it asked for tells
that a lane is empty. So nothing is lost when it is wrong, but a claim.

Where a key or namespace is full, its lanes are parked. A slot that becomes free lets one of them in again (of
each priority and set of labels). A lane that was let in and does not use the slot, because something else
holds it back or because it has fewer jobs, lets in the next one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.labels import matches
from mvm_ci.domain.lane import Labels, Lane, has_begun
from mvm_ci.domain.level import Level
from mvm_ci.domain.scheduling.fair import FairQueue
from mvm_ci.domain.scheduling.limits import Key, Limits, Running
from mvm_ci.domain.scheduling.parked import Parked

RECENT_MS: Final = 5_000
"""So long after a job of a priority came, lower ones get free slots only."""
Queue = tuple[str, str]
"""Namespace and name of a queue."""


class Turn(NamedTuple):
    """Claim up to ``limit`` jobs of a lane: slots for that many are reserved until ``settle``, those of its
    namespace in ``account``. ``level``: what so many leave of the rate of the lane's key, if it has one.
    """

    lane: Lane
    lane_id: int
    limit: int
    account: Running | None
    level: Level | None


class Scheduler:
    """See the module's docstring. Times are Unix milliseconds."""

    def __init__(self) -> None:
        self.limits = Limits()
        self._levels: dict[tuple[str, str], Level] = {}
        self._ready: dict[int, Lane] = {}
        self._groups: dict[int, dict[Labels, FairQueue]] = {}
        self._full: dict[Key, Parked] = {}
        self._until: dict[int, tuple[int, Lane]] = {}
        self._times: list[tuple[int, int]] = []
        self._paused: dict[Queue, dict[int, Lane]] = {}
        self._offers: list[dict[str, str]] = []
        self._came_ms: dict[int, int] = {}
        self._top = -1

    def offers(self, labels: Iterable[Mapping[str, str]]) -> None:
        """The labels of the workers that are there: lanes that none of them can serve hold nobody up."""
        self._offers = [dict(offer) for offer in {tuple(sorted(offered.items())) for offered in labels}]
        self._recount()

    # ------------------------------------------------------------ what becomes ready

    def came(self, lane: Lane, now_ms: int) -> None:
        """A new job of this lane came."""
        self._came_ms[lane.priority] = now_ms

    def ready(self, lane: Lane, lane_id: int) -> None:
        """The lane may have ready jobs."""
        if lane_id not in self._ready:
            self._ready[lane_id] = lane
            self._enter(lane, lane_id)

    def emptied(self, lane_id: int) -> None:
        """The lane has no ready jobs."""
        lane = self._ready.pop(lane_id, None)
        if lane is not None and not self._leave(lane, lane_id) and not self._unpark(lane, lane_id):
            self._until.pop(lane_id, None)
            self._paused.get((lane.namespace, lane.queue), {}).pop(lane_id, None)

    def __bool__(self) -> bool:
        """Whether some lane may be claimed from now by one of the workers that are there."""
        return self._top >= 0

    def known(self) -> Mapping[int, Lane]:
        """All lanes that may have ready jobs."""
        return self._ready

    # ------------------------------------------------------------ what may be claimed

    def admit(self, lane: Lane, now_ms: int) -> bool:
        """Whether a new job of ``lane`` may be placed at once, before what is ready; reserves its slot."""
        if lane.priority <= self._top or (lane.namespace, lane.queue) in self._paused:
            return False
        if self._comes_after(lane.priority, now_ms):
            return False
        if self.limits.unlimited(lane):
            return True
        # Older ones of the lane come first.
        if lane.id in self._ready or not self.limits.room(lane, lane.id, now_ms).jobs:
            return False
        self.limits.reserve(lane, lane.id, 1)
        return True

    def admitted(self, lane: Lane, job: JobId | None) -> None:
        """What became of the slot that ``admit`` reserved: it is the job's, or nobody's."""
        if not self.limits.unlimited(lane):
            account = self.limits.account(lane)
            placed = () if job is None else (Placed(job, 1),)
            self.limits.placed(lane, lane.id, placed, 1, account)
            level = self.limits.level(lane, lane.id) if placed else None
            if level is not None:
                self._levels[level.namespace, level.key] = level

    def levels(self) -> Sequence[Level]:
        """What is left of the rates from which ``admitted`` jobs took since this was last asked: it is to be
        stored with them.
        """
        if not self._levels:
            return ()
        levels, self._levels = self._levels, {}
        return tuple(levels.values())

    def turn(
        self, labels: Mapping[str, str], credit: int, now_ms: int, free: int | None = None
    ) -> Turn | None:
        """Whose turn it is, for a worker with these labels that can take ``credit`` jobs, ``free`` of them at
        once (None: all); None: nobody's.
        """
        self.release(now_ms)
        for priority in sorted(self._groups, reverse=True):
            if free is not None and free < credit and self._comes_after(priority, now_ms):
                credit = free
                if credit < 1:
                    return None
            queues = [
                queue for needed, queue in self._groups[priority].items() if matches(dict(needed), labels)
            ]
            while True:
                turns = [(found, queue) for queue in queues if (found := queue.peek()) is not None]
                if not turns:
                    break
                (_, key, lane_id), queue = min(turns, key=lambda pair: pair[0])
                lane = self._ready[lane_id]
                limit = self._limit(lane, lane_id, credit, sum(map(len, queues)), now_ms)
                if limit:
                    queue.charge(key, lane_id, limit)
                    account = self.limits.reserve(lane, lane_id, limit)
                    return Turn(lane, lane_id, limit, account, self.limits.level(lane, lane_id))
        return None

    def settle(self, turn: Turn, jobs: Iterable[Placed]) -> None:
        """A turn brought these jobs."""
        if not self.limits.unlimited(turn.lane):
            jobs = tuple(jobs)
            self.limits.placed(turn.lane, turn.lane_id, jobs, turn.limit, turn.account)
            if len(jobs) < turn.limit:
                for key in _keys(turn.lane):
                    self._let_in(key, turn.limit - len(jobs))

    # ------------------------------------------------------------ what makes room

    def unplaced(self, placements: Iterable[Placed]) -> bool:
        """No worker has these any more. Whether a lane may go on by that."""
        return self._freed(self.limits.unplaced(placements))

    def ended(self, jobs: Iterable[JobId]) -> bool:
        """The attempts of these jobs have ended. Whether a lane may go on by that."""
        return self._freed(self.limits.ended(jobs))

    def next_ms(self) -> int | None:
        """When a rate lets the next lane go on; None if none waits for that."""
        while self._times:
            at_ms, lane_id = self._times[0]
            if self._until.get(lane_id, (None,))[0] == at_ms:
                return at_ms
            heappop(self._times)
        return None

    def release(self, now_ms: int) -> None:
        """Lanes whose rate lets them go on by now may be claimed from."""
        while (at_ms := self.next_ms()) is not None and at_ms <= now_ms:
            _, lane_id = heappop(self._times)
            _, lane = self._until.pop(lane_id)
            self._enter(lane, lane_id)

    def set_running_limits(self, limits: Mapping[str, int]) -> None:
        """See ``Limits.set_running``; lanes that were full are looked at again."""
        self.limits.set_running(limits)
        self._let_all_in(list(self._full))

    def counted(self, accounts: Sequence[Running], there: Iterable[tuple[Placed, str]]) -> None:
        """See ``Limits.counted``."""
        self._let_all_in(self.limits.counted(accounts, there))

    def pause(self, queue: Queue) -> None:
        """Nothing of this queue is claimed from now on."""
        if queue not in self._paused:
            self._paused[queue] = {
                lane_id: lane
                for lane_id, lane in self._ready.items()
                if (lane.namespace, lane.queue) == queue
                and (self._leave(lane, lane_id) or self._unpark(lane, lane_id))
            }
            # Others may use what these had room for.
            self._let_all_in({key for lane in self._paused[queue].values() for key in _keys(lane)})

    def resume(self, queue: Queue) -> bool:
        """The queue goes on. Whether it was paused."""
        parked = self._paused.pop(queue, None)
        for lane_id, lane in (parked or {}).items():
            self._enter(lane, lane_id)
        return parked is not None

    def paused(self, queue: Queue) -> bool:
        """Whether a queue is paused."""
        return queue in self._paused

    # ------------------------------------------------------------

    def _limit(self, lane: Lane, lane_id: int, credit: int, shares: int, now_ms: int) -> int:
        """How many jobs of a lane may be claimed now; parks the lane if that is none."""
        # With others waiting, a turn is a share of the credit: one key's jobs are not sent before theirs.
        share = max(1, credit // shares) if shares > 1 else credit
        if self.limits.unlimited(lane):
            return share
        room = self.limits.room(lane, lane_id, now_ms)
        if room.jobs:
            return min(share, room.jobs)
        self._leave(lane, lane_id)
        if room.at_ms is not None:
            self._until[lane_id] = (room.at_ms, lane)
            heappush(self._times, (room.at_ms, lane_id))
        elif room.key is not None:
            self._full.setdefault(room.key, Parked()).add(lane, lane_id)
        # Others of the namespace may use what this one may not. (Where it is full, nothing helps them.)
        if room.key != (lane.namespace, None):
            for key in _keys(lane):
                if key != room.key or room.at_ms is not None:
                    self._let_in(key, 1)
        return 0

    def _comes_after(self, priority: int, now_ms: int) -> bool:
        """Whether jobs of a higher priority came lately."""
        return any(
            higher > priority and now_ms - came_ms < RECENT_MS for higher, came_ms in self._came_ms.items()
        )

    def _freed(self, keys: Sequence[Key]) -> bool:
        """A slot of each of these keys became free."""
        if not keys or not self._full:
            return False
        found = False
        for key, count in Counter(keys).items():
            found |= self._let_in(key, count)
        return found

    def _let_in(self, key: Key, count: int) -> bool:
        """Up to ``count`` lanes of each kind that wait for ``key`` may be claimed from. Whether there are
        any.
        """
        parked = self._full.get(key)
        if parked is None:
            return False
        for lane_id, lane in parked.take(count):
            self._enter(lane, lane_id)
        if not parked:
            del self._full[key]
        return True

    def _let_all_in(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._let_in(key, len(self._full.get(key, ())))

    def _unpark(self, lane: Lane, lane_id: int) -> bool:
        """Takes a lane out of those that wait for slots. False if it was not there."""
        for key in _keys(lane):
            parked = self._full.get(key)
            if parked is not None and parked.remove(lane_id):
                if not parked:
                    del self._full[key]
                return True
        return False

    def _enter(self, lane: Lane, lane_id: int) -> None:
        parked = self._paused.get((lane.namespace, lane.queue))
        if parked is not None:
            parked[lane_id] = lane
            return
        queue = self._groups.setdefault(lane.priority, {}).setdefault(lane.labels, FairQueue())
        queue.add(lane.fairness_key, lane_id, first=has_begun(lane_id))
        if lane.priority > self._top and self._served(lane.labels):
            self._top = lane.priority

    def _leave(self, lane: Lane, lane_id: int) -> bool:
        """Takes a lane out of the turns. False if it was parked."""
        groups = self._groups.get(lane.priority, {})
        queue = groups.get(lane.labels)
        if queue is None or not queue.remove(lane.fairness_key, lane_id):
            return False
        if not queue:
            del groups[lane.labels]
        if not groups:
            del self._groups[lane.priority]
        if not queue:
            self._recount()
        return True

    def _recount(self) -> None:
        served = (priority for priority, groups in self._groups.items() if any(map(self._served, groups)))
        self._top = max(served, default=-1)

    def _served(self, needed: Labels) -> bool:
        return any(matches(dict(needed), offered) for offered in self._offers)

    def __iter__(self) -> Iterator[tuple[int, Lane]]:
        """Lanes that may be claimed from, highest priority first."""
        for priority in sorted(self._groups, reverse=True):
            for queue in self._groups[priority].values():
                for lane_id in queue:
                    yield lane_id, self._ready[lane_id]


def _keys(lane: Lane) -> list[Key]:
    """What may be full for this lane."""
    own: list[Key] = [(lane.namespace, lane.concurrency.key)] if lane.concurrency is not None else []
    return [(lane.namespace, None), *own]
