"""One worker process that may hold jobs."""

import asyncio
from collections.abc import Callable

from mvm_ci.domain.ids import Incarnation, SessionId
from mvm_ci.lifecycle.link import Link
from mvm_ci.lifecycle.placements import Placements
from mvm_ci.ports.registry import Worker, WorkerState


class Session:
    """One worker process, connected (``link``) or not.

    ``running``: guests, as of its last heartbeat. It gets no jobs while it is ``leaving`` (its own word),
    ``draining`` (an operator's) or ``stalled`` (see ``lifecycle.watch``). ``restored``: it is from before the
    control plane's start. ``drain_by_ms``: when it must hand
    over what it still runs; ``handed_over_ms``: when it was told so. ``now``: the lease clock; ``roused`` is
    called when it held nothing and is given something.
    """

    __slots__ = (
        "drain_by_ms",
        "draining",
        "ephemeral",
        "handed_over_ms",
        "id",
        "incarnation",
        "labels",
        "lame_since_ms",
        "leaving",
        "link",
        "name",
        "pings",
        "placements",
        "probed_ms",
        "restored",
        "role",
        "running",
        "seen_ms",
        "slots",
        "stalled",
        "worker",
    )

    def __init__(
        self,
        worker: Worker,
        session: SessionId,
        incarnation: Incarnation,
        now: Callable[[], int],
        roused: Callable[[SessionId], object],
    ) -> None:
        self.id = session
        self.worker = worker.id
        self.name = worker.name
        self.role = worker.role
        self.incarnation = incarnation
        self.slots = worker.slots
        self.labels: dict[str, str] = dict(worker.labels)
        self.ephemeral = worker.ephemeral
        self.draining = worker.state is WorkerState.DRAINING
        self.drain_by_ms = worker.drain_by_ms
        self.handed_over_ms: int | None = None
        self.leaving = False
        self.restored = False
        self.stalled = False
        self.probed_ms = 0
        self.lame_since_ms: int | None = None
        self.seen_ms = worker.seen_ms
        self.running = 0
        self.link: Link | None = None
        self.pings: dict[int, asyncio.Event] = {}
        self.placements = Placements(now, lambda: roused(session))

    @property
    def held(self) -> bool:
        """Whether it gets no jobs, whatever credit it gives."""
        return self.leaving or self.draining or self.stalled

    @property
    def idle(self) -> bool:
        """Whether nothing hangs on its heartbeats: it holds no job, and ``lifecycle.watch`` has nothing to
        judge.
        """
        return not self.placements and not self.stalled and self.lame_since_ms is None
