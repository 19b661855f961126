"""What a session's worker was given and has not ended. Nobody else may report on it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed

_NOTHING: Final = -1


class Placements:
    """In memory, one look-up for each report: a worker cannot touch the jobs of another one.

    ``moved_ms``: when a guest last started or ended. Times are of ``now``, which must not jump. ``roused`` is
    called when a worker that had nothing gets something.
    """

    __slots__ = ("_epochs", "_now", "_roused", "_waiting", "moved_ms")

    def __init__(self, now: Callable[[], int], roused: Callable[[], object] = lambda: None) -> None:
        self._now = now
        self._roused = roused
        self._epochs: dict[JobId, int] = {}
        self._waiting: dict[JobId, int] = {}
        self.moved_ms = now()

    def __contains__(self, placed: Placed) -> bool:
        return self._epochs.get(placed.job, _NOTHING) == placed.epoch

    def __len__(self) -> int:
        return len(self._epochs)

    def given(self, placements: Iterable[Placed]) -> None:
        """These were sent to the worker."""
        now_ms = self._now()
        had_nothing = not self._epochs
        for placed in placements:
            self._epochs[placed.job] = placed.epoch
            self._waiting[placed.job] = now_ms
        if had_nothing:
            self._roused()

    def only(self, placements: Iterable[Placed]) -> None:
        """The worker came back with these, and has nothing else."""
        now_ms = self._now()
        waiting = {
            placed.job: self._waiting.get(placed.job, now_ms)
            for placed in placements
            # What has started says so once more, but it did before.
            if placed not in self or placed.job in self._waiting
        }
        self._epochs = {placed.job: placed.epoch for placed in placements}
        self._waiting = waiting

    def started(self, placements: Iterable[Placed]) -> list[int]:
        """Their guests run. How long those waited of which that is new, in milliseconds."""
        waiting = self._waiting
        since = [at for placed in placements if (at := waiting.pop(placed.job, None)) is not None]
        return self._moved(since) if since else since

    def over(self, placements: Iterable[Placed]) -> list[int]:
        """They ended. How long those waited whose start was not told, in milliseconds."""
        taken, since = self._take(placements)
        return self._moved(since) if taken else since

    def taken(self, placements: Iterable[Placed]) -> int:
        """They are not the worker's any more. How many of them had been."""
        return self._take(placements)[0]

    def _take(self, placements: Iterable[Placed]) -> tuple[int, list[int]]:
        epochs, waiting = self._epochs, self._waiting
        before = len(epochs)
        since: list[int] = []
        for placed in placements:
            job = placed.job
            if epochs.get(job, _NOTHING) == placed.epoch:
                del epochs[job]
                at = waiting.pop(job, None)
                if at is not None:
                    since.append(at)
        return before - len(epochs), since

    def _moved(self, since: Sequence[int]) -> list[int]:
        now_ms = self.moved_ms = self._now()
        return [now_ms - at for at in since]

    def foreign(self, placements: Iterable[Placed]) -> frozenset[Placed]:
        """Those of ``placements`` that are not the worker's."""
        epochs = self._epochs
        return frozenset(
            [placed for placed in placements if epochs.get(placed.job, _NOTHING) != placed.epoch]
        )

    def clear(self) -> None:
        """The session is over: whatever still comes is refused."""
        self._epochs.clear()
        self._waiting.clear()

    def all(self) -> list[Placed]:
        """Everything, oldest first."""
        return [Placed(job, epoch) for job, epoch in self._epochs.items()]

    def waiting(self) -> list[tuple[Placed, int]]:
        """What has not started, with the time since when it waits, oldest first."""
        return [(Placed(job, self._epochs[job]), since) for job, since in self._waiting.items()]

    @property
    def waiting_since(self) -> int | None:
        """Since when the oldest of them waits."""
        return next(iter(self._waiting.values()), None)
