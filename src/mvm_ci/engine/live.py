"""One placement from the moment the pool takes it until it is reported or dropped."""

import asyncio
from collections import deque
from typing import Final

from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Failed, Failure, FailureKind, Outcome, Stopped
from mvm_ci.domain.payload import INLINE_LIMIT
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.engine.inputs import InputFile
from mvm_ci.ports.engine import Placement
from mvm_ci.ports.guest import CompiledModule

MAX_GUESTS: Final = 256
"""Guests that one runner process has at most at once, those that wait included."""
_DOUBT_BITS: Final = 3


class Death:
    """A runner died, of something that a guest did there. ``explained``: it is known which one."""

    __slots__ = ("explained",)

    def __init__(self) -> None:
        self.explained = False


class Live:
    """What the pool knows about a placement. Changed by the pool's parts on the event loop only.

    ``durable``: the execution's journal as far as it is durable: what a new runner is fed if the present one
    dies. ``posted``: segments on their way; ``appending``: the answer to the first one. ``gone``: reported or
    dropped; a runner may still be busy with it.

    ``seat``: index of the one that it was handed over to. There it takes ``weight_ns`` of a slot, except
    while it ``waits`` or ``rests`` (see ``Seat``). ``large``: it takes a whole slot, even if its module is
    quick. ``looked``: the last look of the crew before it began, or went on.

    ``cancelled``: its guest is to learn that its job is being cancelled. ``leaving``: it was told to, with
    ``leave_outcome``; ``insisted``: and then to end as it is.

    ``doubts``: the deaths of runners that it was in; ``deaths``: how often it was alone there.
    """

    __slots__ = (
        "acked",
        "appending",
        "begun",
        "cancelled",
        "deaths",
        "doubts",
        "durable",
        "effect",
        "final",
        "gone",
        "inputs",
        "insisted",
        "large",
        "leave_outcome",
        "leaving",
        "looked",
        "module",
        "number",
        "payload",
        "placed",
        "placement",
        "posted",
        "preparing",
        "queue_again",
        "reloaded",
        "rests",
        "run_ns",
        "seat",
        "started",
        "waits",
        "weight_ns",
    )

    def __init__(self, number: int, placement: Placement) -> None:
        self.number = number
        self.placement = placement
        self.placed: Placed = placement.placed
        self.module: CompiledModule | None = None
        self.payload: bytes | None = None
        self.inputs: tuple[InputFile, ...] = ()
        self.durable: list[Segment] = list(placement.journal)
        self.posted: deque[Segment] = deque()
        self.acked = 0
        self.large = bool(placement.journal)
        self.doubts: tuple[Death, ...] = ()
        self.deaths = 0
        self.begun: float | None = None
        self.started = False
        self.cancelled = False
        self.seat: int | None = None
        self.weight_ns = 0
        self.waits = False
        self.rests = False
        self.looked = 0
        self.gone = False
        self.reloaded = False
        self.run_ns = 0
        self.queue_again = False
        self.leaving = False
        self.insisted = False
        self.leave_outcome: Outcome | None = None
        self.final: tuple[Outcome, Segment | None] | None = None
        self.preparing: asyncio.Task[None] | None = None
        self.appending: asyncio.Future[Append] | None = None
        self.effect: asyncio.Task[None] | None = None

    def prepared(self, module: CompiledModule, payload: bytes, inputs: tuple[InputFile, ...] = ()) -> None:
        """All that a runner needs is here."""
        self.module = module
        self.payload = payload
        self.inputs = inputs
        self.large = self.large or len(payload) > INLINE_LIMIT

    @property
    def most(self) -> int:
        """How many guests may share a runner, itself included: the fewer, the more runners died under it for
        no known reason.
        """
        if not self.doubts:
            return MAX_GUESTS
        if self.deaths:
            return 1
        doubts = sum(not death.explained for death in self.doubts)
        return max(1, MAX_GUESTS >> _DOUBT_BITS * doubts)

    @property
    def under_way(self) -> bool:
        """Whether its guest runs, has run, or has ended."""
        return self.seat is not None or self.begun is not None or self.final is not None

    @property
    def stopping(self) -> bool:
        """Whether somebody waits until its guest stands still."""
        return self.seat is not None and not self.gone and isinstance(self.leave_outcome, Stopped)

    def suspected(self, death: Death, *, alone: bool) -> None:
        """It was in a runner that died. If it was alone there, it may well be why others died, too."""
        self.doubts = (*self.doubts, death)
        if alone:
            self.deaths += 1
            for one in self.doubts:
                one.explained = True

    def too_long(self) -> Failed:
        """How it ends when its time is over."""
        message = f"it ran for longer than {self.placement.spec.timeout_ms} ms"
        return Failed(Failure(kind=FailureKind.TIME, message=message))

    def deadly(self, how: str) -> Failed:
        """How it ends when runners die under it again and again. ``how``: the last one."""
        message = f"its runner died {self.deaths} times under it, the last time {how}"
        return Failed(Failure(kind=FailureKind.ENGINE, message=message))

    def cancel_effect(self) -> None:
        """Nobody waits for the answer to its question any more."""
        effect, self.effect = self.effect, None
        if effect is not None:
            effect.cancel()

    def cancel_tasks(self) -> None:
        """Nobody waits for what is going on for it any more."""
        self.stop_appending()
        for task in (self.preparing, self.effect):
            if task is not None:
                task.cancel()

    def stop_appending(self) -> None:
        """Nobody reads more of its journal than is durable."""
        appending, self.appending = self.appending, None
        if appending is not None:
            appending.cancel()
