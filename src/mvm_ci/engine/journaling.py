"""Journal segments on their way to be durable: in order for each placement, each when the last one is."""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from mvm_ci.domain.ids import format_job_id
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.engine.live import Live
from mvm_ci.ports.engine import JournalSink

_log = structlog.get_logger(__name__)


class Journaling:
    """Passes on what guests post.

    ``durable``: one more segment is durable. ``refused``: the placement belongs to somebody else. ``broken``:
    the sink failed. ``drained``: nothing is on its way any more. None is called for a placement that is gone.
    """

    def __init__(
        self,
        sink: JournalSink,
        *,
        durable: Callable[[Live], None],
        refused: Callable[[Live], None],
        broken: Callable[[Live], None],
        drained: Callable[[Live], None],
    ) -> None:
        self._sink = sink
        self._durable = durable
        self._refused = refused
        self._broken = broken
        self._drained = drained

    def post(self, live: Live, segment: Segment) -> None:
        """Sends ``segment`` after those posted before."""
        live.posted.append(segment)
        if live.appending is None:
            self._append(live)

    def _append(self, live: Live) -> None:
        # No task for it, nor a coroutine: a guest may wait for thousands of segments, one after the other.
        answer = live.appending = self._sink.append(live.placed, live.posted[0])
        answer.add_done_callback(partial(self._answered, live))

    def _answered(self, live: Live, answer: asyncio.Future[Append]) -> None:
        if live.appending is not answer:
            return  # it was given up
        live.appending = None
        try:
            result = answer.result()
        except Exception:  # noqa: BLE001 - whatever it is, the placement is given back
            _log.exception("journal_broken", job=format_job_id(live.placed.job))
            self._broken(live)
            return
        if result is not Append.DONE:
            if result is Append.GAP:
                _log.error("journal_gap", job=format_job_id(live.placed.job), first=live.posted[0].first)
            self._refused(live)
            return
        live.durable.append(live.posted.popleft())
        live.acked += 1
        self._durable(live)
        if live.posted:
            self._append(live)
        else:
            self._drained(live)
