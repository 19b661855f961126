"""One placement from the moment the pool takes it until it is reported or dropped."""

import asyncio
from collections import deque

from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Outcome
from mvm_ci.domain.payload import INLINE_LIMIT
from mvm_ci.domain.segment import Segment
from mvm_ci.ports.engine import Placement
from mvm_ci.ports.guest import CompiledModule


class Live:
    """What the pool knows about a placement. Changed by the pool's parts on the event loop only.

    ``durable``: the execution's journal as far as it is durable: what a new runner is fed if the present one
    dies. ``posted``: segments on their way. ``alone``: it is not to share a runner, for it is suspected or
    large. ``gone``: reported or dropped; a runner may still be busy with it.
    """

    __slots__ = (
        "acked",
        "alone",
        "begun",
        "deaths",
        "durable",
        "effect",
        "final",
        "gone",
        "leave_by",
        "leave_outcome",
        "leaving",
        "module",
        "number",
        "payload",
        "placed",
        "placement",
        "posted",
        "preparing",
        "pump",
        "queue_again",
        "reloaded",
        "run_ns",
        "seated",
        "started",
    )

    def __init__(self, number: int, placement: Placement) -> None:
        self.number = number
        self.placement = placement
        self.placed: Placed = placement.placed
        self.module: CompiledModule | None = None
        self.payload: bytes | None = None
        self.durable: list[Segment] = list(placement.journal)
        self.posted: deque[Segment] = deque()
        self.acked = 0
        self.alone = bool(placement.journal)
        self.deaths = 0
        self.begun: float | None = None
        self.started = False
        self.seated = False
        self.gone = False
        self.reloaded = False
        self.run_ns = 0
        self.queue_again = False
        self.leaving = False
        self.leave_outcome: Outcome | None = None
        self.leave_by = 0.0
        self.final: tuple[Outcome, Segment | None] | None = None
        self.preparing: asyncio.Task[None] | None = None
        self.pump: asyncio.Task[None] | None = None
        self.effect: asyncio.Task[None] | None = None

    def prepared(self, module: CompiledModule, payload: bytes) -> None:
        """All that a runner needs is here."""
        self.module = module
        self.payload = payload
        self.alone = self.alone or len(payload) > INLINE_LIMIT

    def cancel_tasks(self) -> None:
        """Nobody waits for what is going on for it any more."""
        for task in (self.preparing, self.pump, self.effect):
            if task is not None:
                task.cancel()
