"""What the control plane orders, carried out on the engine."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from mvm_ci.domain.errors import MvmCiError, ProtocolError
from mvm_ci.domain.grant import Grant
from mvm_ci.domain.ids import format_job_id
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Stopped
from mvm_ci.domain.segment import Segment
from mvm_ci.peer.holder import Holder
from mvm_ci.ports.engine import Ended, Hosted, Placement
from mvm_ci.wire.messages import NO_DEADLINE, Assignment

log = structlog.get_logger()


class Intake:
    """Between the main stream and the engine.

    ``place`` gives it jobs, of which ``fetch_journal`` gets a journal that did not fit its frame; ``entrust``
    gives an engine elsewhere grants. Which of them there is depends on the peer's role.
    """

    def __init__(
        self,
        engine: Hosted,
        holdings: Holder,
        *,
        place: Callable[[Sequence[Placement]], None] | None = None,
        fetch_journal: Callable[[Placed], Awaitable[tuple[Segment, ...]]] | None = None,
        entrust: Callable[[Sequence[Grant]], None] | None = None,
    ) -> None:
        self._engine = engine
        self._holdings = holdings
        self._place = place
        self._fetch_journal = fetch_journal
        self._entrust = entrust
        self._fetching: dict[Placed, asyncio.Task[None]] = {}
        self._cancelled: set[Placed] = set()
        """Of those that are on their way: the engine is told once it has them."""

    def assign(self, items: Sequence[Assignment]) -> None:
        """New jobs. While the worker drains they go back at once."""
        if self._holdings.draining:
            self._cancelled.difference_update(item.placed for item in items)
            self._holdings.give_back(item.placed for item in items)
            return
        if self._place is None:
            raise ProtocolError("jobs for a worker whose engine is elsewhere")
        new = [item for item in items if self._holdings.expects(item.placed)]
        self._holdings.placed(item.placed for item in new)
        self._hand_over(self._place, [_placement(item, item.journal) for item in new if not _is_cut(item)])
        for item in filter(_is_cut, new):
            task = asyncio.create_task(self._place_later(item), name="fetch-journal")
            self._fetching[item.placed] = task

    def granted(self, grants: Sequence[Grant]) -> None:
        """The same for an engine that is elsewhere."""
        if self._holdings.draining:
            self._holdings.give_back(grant.placed for grant in grants)
            return
        if self._entrust is None:
            raise ProtocolError("grants for a worker with an engine of its own")
        new = [grant for grant in grants if self._holdings.expects(grant.placed)]
        self._holdings.placed(grant.placed for grant in new)
        self._entrust(new)

    def stop(self, placements: Sequence[Placed], *, cancel: bool) -> None:
        """Their jobs are being cancelled, or paused."""
        coming = [placed for placed in placements if placed in self._fetching]
        if cancel:
            self.cancel_coming(coming)
        else:
            self._stop_fetching(coming)
            self._holdings.ended([Ended(placed=placed, outcome=Stopped()) for placed in coming])
        for placed in placements:
            if placed not in coming:
                (self._engine.cancel if cancel else self._engine.stop)(placed)

    def cancel_coming(self, placements: Iterable[Placed]) -> None:
        """These are on their way. Guests that have begun in an earlier placement are to clean up."""
        self._cancelled.update(placements)

    def give_back(self, *, running: bool) -> None:
        """An operator drains the worker: what has not started goes back, and what runs, too, if asked for."""
        log.info("drained_by_operator", running=running)
        self._holdings.hold(held=True)
        self._holdings.give_back(self._stop_fetching(tuple(self._fetching)))
        if running:
            self._engine.release_all()
        else:
            self._engine.release_waiting()

    def release(self, placements: Sequence[Placed], *, running: bool) -> None:
        """The same for these alone, by whoever brought them."""
        self._holdings.give_back(self._stop_fetching(placements))
        if running:
            self._engine.release_all(placements)
        else:
            self._engine.release_waiting(placements)

    def let_go(self, placements: Sequence[Placed]) -> None:
        """The engine ends them with no report."""
        self._stop_fetching(placements)
        self._engine.drop(placements)

    def resume(self) -> None:
        """An operator lets the peer go on."""
        self._holdings.hold(held=False)

    def drop(self, placements: Sequence[Placed]) -> None:
        """They belong to somebody else: not a word about them any more."""
        self.let_go(placements)
        self._holdings.forget(placements)

    async def close(self) -> None:
        """Stops fetching."""
        tasks = list(self._fetching.values())
        self._fetching.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _stop_fetching(self, placements: Sequence[Placed]) -> list[Placed]:
        """Those of them whose journals were on their way."""
        self._cancelled.difference_update(placements)
        found = [placed for placed in placements if placed in self._fetching]
        for placed in found:
            self._fetching.pop(placed).cancel()
        return found

    async def _place_later(self, item: Assignment) -> None:
        if self._fetch_journal is None or self._place is None:
            raise RuntimeError("an engine elsewhere gets its journals itself")
        try:
            journal = await self._fetch_journal(item.placed)
        except MvmCiError as error:
            log.warning("journal_not_fetched", job=format_job_id(item.placed.job), error=str(error))
            self._not_fetched(item.placed)
            return
        except Exception:
            # Else it would be held, and wait, for ever.
            log.exception("journal_not_fetched", job=format_job_id(item.placed.job))
            self._not_fetched(item.placed)
            return
        self._fetching.pop(item.placed, None)
        if sum(segment.count for segment in journal) < item.entries:
            log.error("journal_too_short", job=format_job_id(item.placed.job), expected=item.entries)
            self._not_fetched(item.placed)
            return
        self._hand_over(self._place, [_placement(item, journal)])

    def _not_fetched(self, placed: Placed) -> None:
        self._fetching.pop(placed, None)
        self._cancelled.discard(placed)
        self._holdings.give_back((placed,))

    def _hand_over(
        self, place: Callable[[Sequence[Placement]], None], placements: Sequence[Placement]
    ) -> None:
        place(placements)
        if self._cancelled:
            for placed in self._cancelled.intersection(one.placed for one in placements):
                self._cancelled.discard(placed)
                self._engine.cancel(placed)


def _is_cut(item: Assignment) -> bool:
    return item.entries > 0 and sum(segment.count for segment in item.journal) < item.entries


def _placement(item: Assignment, journal: tuple[Segment, ...]) -> Placement:
    left_ms = None if item.left_ms == NO_DEADLINE else item.left_ms
    return Placement(
        placed=item.placed,
        attempt=item.attempt,
        spec=item.spec,
        journal=journal,
        secrets=item.secrets,
        left_ms=left_ms,
    )
