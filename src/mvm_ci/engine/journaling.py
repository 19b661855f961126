"""Journal segments on their way to be durable: in order for each placement, each when the last one is."""

import asyncio
from collections.abc import Callable

import structlog

from mvm_ci.domain.ids import format_job_id
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.engine.live import Live
from mvm_ci.ports.engine import JournalSink

_log = structlog.get_logger(__name__)


class Journaling:
    """One task for each placement that has segments on their way.

    ``durable``: one more is durable. ``refused``: the placement belongs to somebody else. ``broken``: the
    sink failed. ``drained``: nothing is on its way any more. None is called for a placement that is gone.
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
        if live.pump is None:
            live.pump = asyncio.get_running_loop().create_task(self._run(live))

    async def _run(self, live: Live) -> None:
        after = self._drained
        try:
            while live.posted:
                segment = live.posted[0]
                answer = await self._sink.append(live.placed, segment)
                if answer is not Append.DONE:
                    if answer is Append.GAP:
                        _log.error("journal_gap", job=format_job_id(live.placed.job), first=segment.first)
                    after = self._refused
                    break
                live.posted.popleft()
                live.durable.append(segment)
                live.acked += 1
                if not live.gone:
                    self._durable(live)
        except Exception:  # noqa: BLE001 - whatever it is, the placement is given back
            _log.exception("journal_broken", job=format_job_id(live.placed.job))
            after = self._broken
        finally:
            live.pump = None
        if not live.gone:
            after(live)
