"""Whether a peer of the control plane gets on, for whoever supervises it.

It does while its event loop runs, guests can run, and its way to the control plane is looked after: a session
stands, whose heartbeats find out by themselves when nobody answers, or connecting is tried again and again.
Being cut off is not hanging: a peer that is killed for it would lose the guests that wait in its memory.
"""

import asyncio
from typing import Final

from mvm_ci.peer.holder import Holder
from mvm_ci.peer.link import Link
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import Hosted

LOOK_MS: Final = 250
STUCK_S: Final = 120.0
"""From one try to connect to the next: all in it has a time limit, together less than a minute."""


class PeerProgress:
    """``ports.supervisor.Progress``. ``runs``: whether guests run in this process, which needs runners."""

    def __init__(
        self, engine: Hosted, link: Link, holdings: Holder, clock: Clock, *, runs: bool = True
    ) -> None:
        self._engine = engine
        self._runs = runs
        self._link = link
        self._holdings = holdings
        self._clock = clock
        self._turns = -1
        # Not the lease's clock: that goes on while the machine sleeps, and nobody can try anything then.
        self._seconds = asyncio.get_running_loop().time
        self._turned = self._seconds()

    async def __call__(self) -> str:
        while not ((self._engine.runners or not self._runs) and self._link_turns()):
            await self._clock.sleep(LOOK_MS)
        return self.status

    @property
    def status(self) -> str:
        """What it does, in a few words."""
        holdings = self._holdings
        if not self._engine.runners:
            way = "no runner is ready" if self._runs else "the engine is not reached"
        elif holdings.draining:
            way = "draining"
        elif holdings.outbox.attached:
            way = "connected"
        else:
            way = "cut off from the control plane"
        return f"{way}, {len(holdings.running)} jobs run or wait here"

    def _link_turns(self) -> bool:
        now = self._seconds()
        if self._holdings.outbox.attached or self._link.turns != self._turns:
            self._turns, self._turned = self._link.turns, now
        return now - self._turned < STUCK_S
