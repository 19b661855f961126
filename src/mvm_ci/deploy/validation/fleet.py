"""What became of the control plane and its workers during a validation. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec

from mvm_ci.domain.grant import PeerRole
from mvm_ci.wire.api import WorkerView

SILENCE_S: Final = 10.0
"""A control plane that did not answer for less is up: a network may hiccup."""
P2P_PATHS: Final = frozenset({"direct", "relayed"})


class Loss(msgspec.Struct, kw_only=True):
    """A worker's session that ended. Times: seconds since the beginning; ``back_s``: a new one was seen."""

    worker: str
    name: str
    at_s: float
    back_s: float | None = None
    wanted: bool = False
    """It is the one that the validation had killed."""


class Outage(msgspec.Struct, kw_only=True):
    """The control plane did not answer, from the first failure to the first answer after it."""

    at_s: float
    reason: str
    over_s: float | None = None


class Fleet:
    """Compares what is seen now with what was seen before."""

    def __init__(self) -> None:
        self.losses: list[Loss] = []
        self.outages: list[Outage] = []
        self.restarts: list[float] = []
        self.workers: dict[str, WorkerView] = {}
        """By id, as they were seen last."""
        self._started_ms: int | None = None

    def look(self, workers: Sequence[WorkerView], started_ms: int, at_s: float) -> None:
        """Workers, and when the control plane started."""
        if self._started_ms not in {None, started_ms}:
            self.restarts.append(at_s)
        self._started_ms = started_ms
        if self.outages and self.outages[-1].over_s is None:
            self.outages[-1].over_s = at_s
        now = {view.id: view for view in workers}
        for before in self.workers.values():
            after = now.get(before.id)
            if before.connected and (after is None or after.session != before.session or not after.connected):
                self.losses.append(Loss(worker=before.id, name=before.name, at_s=at_s))
        for loss in self.losses:
            back = now.get(loss.worker)
            if loss.back_s is None and back is not None and back.connected:
                loss.back_s = at_s
        self.workers = now

    def silent(self, reason: str, asked_s: float, at_s: float) -> float:
        """What was asked for at ``asked_s`` was not answered; since how many seconds nothing is."""
        if not self.outages or self.outages[-1].over_s is not None:
            self.outages.append(Outage(at_s=asked_s, reason=reason))
        return at_s - self.outages[-1].at_s

    def moments(self) -> list[tuple[float, str]]:
        """What happened, and when."""
        found = [(at, "the control plane was restarted") for at in self.restarts]
        found += [(one.at_s, "the control plane does not answer") for one in self.outages]
        for loss in self.losses:
            found.append((loss.at_s, f"{loss.name} {'was killed' if loss.wanted else 'is lost'}"))
            if loss.back_s is not None:
                found.append((loss.back_s, f"{loss.name} is back"))
        return sorted(found)

    def connected(self) -> list[WorkerView]:
        """Workers that are connected over the peers' network. (Engines are listed, too, and may be lost.)"""
        workers = [view for view in self.workers.values() if view.role != PeerRole.ENGINE]
        return [view for view in workers if view.connected and view.path in P2P_PATHS]
