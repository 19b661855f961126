"""What a peer's link knows of the placements that the peer has."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from mvm_ci.domain.grant import Grant
from mvm_ci.domain.job import Placed
from mvm_ci.peer.outbox import Outbox
from mvm_ci.ports.engine import Ended


class Holder(Protocol):
    """One entry for each placement, from when it is given until its end is recorded."""

    outbox: Outbox
    slots: int
    """Guests that compute at once; 0: not known yet."""

    @property
    def draining(self) -> bool:
        """Nothing more is taken."""
        ...

    @property
    def running(self) -> Sequence[Placed]:
        """Those whose guest has started."""
        ...

    @property
    def told(self) -> Sequence[Placed]:
        """Those whose start the control plane has from us, and is told again after a reconnect."""
        ...

    def grants(self) -> tuple[Grant, ...]:
        """Of an engine: those of ``all``, in that order."""
        ...

    def attached(self) -> None:
        """A connection stands."""
        ...

    def all(self) -> tuple[Placed, ...]:
        """Every one that the control plane must know of after a reconnect."""
        ...

    def expects(self, placed: Placed) -> bool:
        """Whether it may be given now: one that it has already may not."""
        ...

    def runners(self) -> int:
        """Processes that can run guests."""
        ...

    def hold(self, *, held: bool) -> None:
        """An operator drains the peer, or lets it go on. (A worker is simply given nothing meanwhile.)"""
        ...

    def wanted(self, credit: int) -> int:
        """How many more jobs to ask for, with ``credit`` asked for and not come yet."""
        ...

    def extra(self) -> int:
        """How many guests it has or may take beyond the slots."""
        ...

    def placed(self, placements: Iterable[Placed]) -> None:
        """These are the engine's now, or will be as soon as their journal is here."""
        ...

    def ended(self, ended: Sequence[Ended]) -> None:
        """They are gone."""
        ...

    def give_back(self, placements: Iterable[Placed]) -> None:
        """These never reached the engine."""
        ...

    def forget(self, placements: Iterable[Placed]) -> None:
        """These belong to somebody else."""
        ...
