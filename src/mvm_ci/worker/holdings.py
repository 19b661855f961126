"""The placements this worker has, and how many more it may ask for."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from mvm_ci.domain.grant import Grant
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Released
from mvm_ci.peer.outbox import Outbox
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import Ended, Hosted
from mvm_ci.wire.messages import EndedItem

FIRST_PREFETCH: Final = 2
MAX_PREFETCH: Final = 512
PREFETCH_MS: Final = 60.0
"""As many jobs may wait as run in about this time, so that a slot never waits for the network."""
STUCK_MS: Final = 1000
"""Waiting jobs are given back after so long behind long ones."""
WAITED_MS: Final = 10_000
"""For so long after guests have waited in place no more jobs are held than the engine has room for."""
_WEIGHT: Final = 32
"""Jobs after which the measured run time has moved half-way to a new one."""


class Prefetch:
    """How many jobs may wait beyond the slots, by the mean run time of the last ones."""

    def __init__(self) -> None:
        self._mean_ms: float | None = None
        self.allowed = FIRST_PREFETCH

    def ran(self, total_ms: float, count: int) -> None:
        """``count`` jobs ran for ``total_ms`` together."""
        mean = total_ms / count
        if self._mean_ms is None:
            self._mean_ms = mean
        else:
            self._mean_ms += (mean - self._mean_ms) * count / (count + _WEIGHT)
        fitting = int(PREFETCH_MS / max(self._mean_ms, PREFETCH_MS / MAX_PREFETCH))
        # Doubling: a few short jobs do not tell what the next ones are like.
        self.allowed = min(fitting, max(FIRST_PREFETCH, 2 * self.allowed))

    def stuck(self) -> None:
        """Waiting jobs could not start: none may wait until run times are known to be short again."""
        self._mean_ms = None
        self.allowed = 0


class Holdings:
    """``ports.engine.EngineEvents``: one entry for each placement that the engine has.

    The engine is ``fitted`` once it is there; jobs are asked for once it has started.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.outbox = Outbox(lambda placed: self.forget((placed,)))
        self.slots = 0
        self.reachable: Callable[[], bool] = lambda: True
        self._engine: Hosted | None = None
        self._shared = False
        self.prefetch = Prefetch()
        self.draining = False
        self._started = False
        self._waited_ms: int | None = None
        self._waiting: dict[Placed, int] = {}
        self._running: dict[Placed, bool] = {}

    # ------------------------------------------------------------------ from the engine

    def started(self, placements: Sequence[Placed]) -> None:
        mine = [placed for placed in placements if self._waiting.pop(placed, None) is not None]
        self._running.update(dict.fromkeys(mine, True))
        self.outbox.started(mine)

    def ended(self, ended: Sequence[Ended]) -> None:
        total_ns, count = 0, 0
        items = []
        for end in ended:
            if not self._running.pop(end.placed, False) and self._waiting.pop(end.placed, None) is None:
                continue  # dropped meanwhile: somebody else's
            if end.run_ns and not isinstance(end.outcome, Released):
                total_ns += end.run_ns
                count += 1
            items.append(EndedItem(end.placed, end.outcome, end.tail))
        if count:
            self.prefetch.ran(total_ns / 1e6, count)
        self.outbox.ended(items)

    def slots_freed(self) -> None:
        self.outbox.wake()

    def fitted(self, engine: Hosted, reachable: Callable[[], bool], *, shared: bool = False) -> None:
        """The engine is made; ``reachable``: whether it takes jobs; ``shared``: with other workers, so that
        no job of ours waits for the room of theirs.
        """
        self._engine = engine
        self._shared = shared
        self.slots = engine.slots
        self.reachable = reachable

    def runners(self) -> int:
        return 0 if self._engine is None else self._engine.runners

    def extra(self) -> int:
        return 0 if self._engine is None else self._engine.extra

    def engine_started(self) -> None:
        """Guests can run from here on."""
        self._started = True
        self.outbox.wake()

    # ------------------------------------------------------------------ from the session

    def placed(self, placements: Iterable[Placed]) -> None:
        """These are the engine's now, or will be as soon as their journal is here."""
        self._waiting.update(dict.fromkeys(placements, self._clock.lease_ms()))

    def give_back(self, placements: Iterable[Placed]) -> None:
        """These never reached the engine."""
        items = []
        for placed in placements:
            self._waiting.pop(placed, None)
            items.append(EndedItem(placed, Released(), None))
        self.outbox.ended(items)

    def forget(self, placements: Iterable[Placed]) -> None:
        """These belong to somebody else."""
        gone = tuple(placements)
        for placed in gone:
            self._waiting.pop(placed, None)
            self._running.pop(placed, None)
        self.outbox.forget(gone)
        self.outbox.wake()

    @property
    def told(self) -> Sequence[Placed]:
        return self.running

    def grants(self) -> tuple[Grant, ...]:
        return ()

    def hold(self, *, held: bool) -> None:
        """It asks for jobs all the same: the control plane knows."""

    def attached(self) -> None:
        """Credit is asked for at each write."""

    @property
    def running(self) -> Sequence[Placed]:
        """Placements whose guest has started."""
        return tuple(self._running)

    def expects(self, placed: Placed) -> bool:
        return placed not in self._waiting and placed not in self._running

    def all(self) -> tuple[Placed, ...]:
        """Every placement that the control plane must know of after a reconnect."""
        return (*self._waiting, *self._running, *self.outbox.unrecorded)

    def wanted(self, credit: int) -> int:
        """How many more jobs to ask for, with ``credit`` asked for and not come yet."""
        engine = self._engine
        if self.draining or not self._started or engine is None or self.outbox.full:
            return 0
        if not self.reachable():
            return 0
        held = len(self._waiting) + len(self._running)
        extra, now = self.extra(), self._clock.lease_ms()
        if extra:
            self._waited_ms = now
        most = self.slots + self.prefetch.allowed + extra
        waited = self._waited_ms is not None and now - self._waited_ms < WAITED_MS
        if waited or self._shared:
            # Once the engine is full, jobs would wait for guests that wait, while another worker may be free.
            most = min(most, engine.capacity)
        return most - held - credit

    def release_stuck(self, release: Callable[[], None]) -> None:
        """Calls ``release`` if jobs have waited for long while every slot is busy."""
        if not self._waiting or len(self._running) < self.slots + self.extra():
            return
        oldest = next(iter(self._waiting.values()))
        if self._clock.lease_ms() - oldest >= STUCK_MS:
            self.prefetch.stuck()
            release()
