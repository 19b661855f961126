"""What the engine has of its clients, from when a grant is brought until its end is told.

::

    grant ── Redeem ──▶ asked for ── Assign ──▶ waiting ──▶ running ──▶ over
                            └── Drop ──────────────────────────────────▶ over, as Released

The worker that brought it holds the placement, and reports its start and its end; nothing but journal,
questions and blobs goes to the control plane from here.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final

import structlog

from mvm_ci.domain.errors import NotFound, QueueFull, Refused
from mvm_ci.domain.grant import Grant
from mvm_ci.domain.histogram import Histogram
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Released
from mvm_ci.engine.service.client import Client
from mvm_ci.peer.intake import Intake
from mvm_ci.peer.outbox import Outbox
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import Ended, Hosted
from mvm_ci.wire.engine import MAX_GRANTS
from mvm_ci.wire.messages import Redeem

MAX_CLIENTS: Final = 1_024
FORGET_MS: Final = 30_000
"""A client whose lease is over, and that follows nothing for so long, is gone: what it had is dropped."""
REAP_MS: Final = 1_000
TELL_S: Final = 0.0002
"""For each client but one: so long after a guest made room they are all told, together 5,000 times a second
at most.
"""
WAIT_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
"""Bounds of ``Guests.wait_s``."""

log = structlog.get_logger()


class State(StrEnum):
    """Of an execution here."""

    ASKED = "asked-for"
    WAITING = "waiting"
    RUNNING = "running"


class Guest:
    """One placement here."""

    __slots__ = ("came_ms", "client", "grant", "state")

    def __init__(self, client: Client, grant: Grant, came_ms: int) -> None:
        self.client = client
        self.grant = grant
        self.came_ms = came_ms
        self.state = State.ASKED


class Guests:
    """The service's ``peer.holder.Holder``, and its engine's ``EngineEvents`` and ``Lease``.

    The engine is ``fitted`` once it is there. ``wait_s``: how long guests waited here until they ran.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.outbox = Outbox(lambda placed: self.forget((placed,)))
        self.wait_s = Histogram(WAIT_S)
        self.slots = 0
        self._leaving = False
        self._drained = False
        """By a call of the API."""
        self._held = False
        """By an operator, at the control plane, which says so on each connection."""
        self._engine: Hosted | None = None
        self._intake: Intake | None = None
        self._guests: dict[Placed, Guest] = {}
        self._clients: dict[str, Client] = {}
        self._followed = 0
        """How many clients have a stream."""
        self._seen = asyncio.Event()
        self._telling: asyncio.TimerHandle | None = None

    def fitted(self, engine: Hosted, intake: Intake) -> None:
        """The engine is made; ``intake``: what gives it to do."""
        self._engine = engine
        self._intake = intake
        self.slots = engine.slots

    # ------------------------------------------------------------------ for its clients

    def client(self, name: str, owner: str) -> Client:
        """The owner's client of this name. Raises ``NotFound``: it has to follow first."""
        client = self._clients.get(name)
        if client is None or client.owner != owner:
            raise NotFound("no such client here; it has to follow its events first")
        return client

    def welcome(self, name: str, owner: str) -> Client:
        """The same, made if it is not there. Raises ``QueueFull``: there are too many; ``Refused``: somebody
        else has one of this name.
        """
        client = self._clients.get(name)
        if client is None:
            if len(self._clients) >= MAX_CLIENTS:
                raise QueueFull(f"the engine has {MAX_CLIENTS} clients, as many as it takes")
            client = self._clients[name] = Client(name, owner, self._clock, self._seen.set)
            log.info("client_came", client=client.shown, owner=owner)
        if client.owner != owner:
            raise Refused("the client of this name is somebody else's")
        return client

    def has(self, placed: Placed) -> bool:
        """Whether somebody brought it."""
        return placed in self._guests

    def take(self, client: Client, grants: Sequence[Grant]) -> int:
        """Asks the control plane for what these grant; how many of them there is room for. One that somebody
        else brought has none.
        """
        engine = self._engine
        if engine is None:
            return 0
        room = max(0, engine.capacity - len(self._guests))
        taken, new, now = 0, [], self._clock.lease_ms()
        for grant in grants:
            guest = self._guests.get(grant.placed)
            if guest is not None and guest.client is not client:
                break
            if guest is None:
                if not room:
                    break
                room -= 1
                self._guests[grant.placed] = Guest(client, grant, now)
                client.placements.add(grant.placed)
                new.append(grant)
            taken += 1
        if new:
            self._redeem(new)
            if not client.valid():
                client.ask_soon()
        return taken

    def of(self, client: Client, placements: Iterable[Placed]) -> list[Placed]:
        """Those of ``placements`` that are the client's."""
        guests = self._guests
        return [
            one for one in placements if (guest := guests.get(one)) is not None and guest.client is client
        ]

    def unstarted(self, placements: Sequence[Placed]) -> list[Placed]:
        """Those of them that are not at the engine yet."""
        return [placed for placed in placements if self._guests[placed].state is State.ASKED]

    def executions(self) -> Iterator[tuple[Placed, str, State]]:
        """All of them, oldest first, each with its client's name."""
        for placed, guest in self._guests.items():
            yield placed, guest.client.shown, guest.state

    def extra_of(self, client: Client) -> int:
        """The client's share of what the engine may have beyond its slots."""
        extra = self.extra()
        return extra * len(client.placements) // len(self._guests) if extra and self._guests else 0

    def share(self) -> int:
        """How many guests each client may have here, so that none takes the room of the others."""
        engine = self._engine
        return 0 if engine is None else max(1, engine.capacity // max(1, self._followed))

    def recount(self) -> None:
        """A client came or left: the others have another share."""
        self._followed = sum(client.followed for client in self._clients.values())
        for client in self._clients.values():
            client.look()

    @property
    def clients(self) -> Mapping[str, Client]:
        """By name."""
        return self._clients

    def drop(self, placements: Iterable[Placed]) -> None:
        """Their clients want no word about them any more."""
        gone = list(placements)
        for placed in gone:
            guest = self._guests.pop(placed, None)
            if guest is not None:
                guest.client.gone((placed,))
        if self._intake is not None:
            self._intake.let_go(gone)
        self.outbox.forget(gone)

    async def reap(self) -> None:
        """Drops what clients that are gone have left behind, until it is cancelled."""
        while True:
            await self._clock.sleep(REAP_MS)
            now = self._clock.lease_ms()
            for client in list(self._clients.values()):
                if not client.followed and not client.valid() and now - client.silent_since >= FORGET_MS:
                    log.info("client_gone", client=client.shown, placements=len(client.placements))
                    del self._clients[client.name]
                    self.drop(client.placements.copy())

    async def until_seen(self) -> None:
        """Returns when every end was seen."""
        while any(client.unseen for client in self._clients.values()):
            self._seen.clear()
            await self._seen.wait()

    # ------------------------------------------------------------------ the lease

    async def wait_valid(self, placed: Placed) -> None:
        guest = self._guests.get(placed)
        if guest is None:
            # It is being dropped: nothing of it leaves any more.
            await asyncio.get_running_loop().create_future()
        else:
            await guest.client.wait_valid()

    # ------------------------------------------------------------------ from the engine

    def started(self, placements: Sequence[Placed]) -> None:
        told: dict[Client, list[Placed]] = {}
        came_ms: list[int] = []
        for placed in placements:
            guest = self._guests.get(placed)
            if guest is not None:
                guest.state = State.RUNNING
                came_ms.append(guest.came_ms)
                told.setdefault(guest.client, []).append(placed)
        now = self._clock.lease_ms()
        self.wait_s.add_all([(now - came) / 1000 for came in came_ms])
        for client, begun in told.items():
            client.started(begun)

    def ended(self, ended: Sequence[Ended]) -> None:
        told: dict[Client, list[Ended]] = {}
        for end in ended:
            guest = self._guests.pop(end.placed, None)
            if guest is not None:
                told.setdefault(guest.client, []).append(end)
        for client, ends in told.items():
            client.ended(ends)

    def slots_freed(self) -> None:
        # Every start of a guest that waits makes room: with many clients, to tell each of them each time
        # would cost more than the guests.
        if self._telling is None:
            delay_s = TELL_S * (len(self._clients) - 1)
            self._telling = asyncio.get_running_loop().call_later(delay_s, self._tell_room)

    def _tell_room(self) -> None:
        self._telling = None
        for client in self._clients.values():
            if client.placements:
                client.look()

    # ------------------------------------------------------------------ from the link

    @property
    def running(self) -> Sequence[Placed]:
        return [placed for placed, guest in self._guests.items() if guest.state is State.RUNNING]

    @property
    def told(self) -> Sequence[Placed]:
        return ()

    def all(self) -> tuple[Placed, ...]:
        return tuple(placed for placed, guest in self._guests.items() if guest.state is not State.ASKED)

    def grants(self) -> tuple[Grant, ...]:
        return tuple(guest.grant for guest in self._guests.values() if guest.state is not State.ASKED)

    def attached(self) -> None:
        asked = [guest.grant for guest in self._guests.values() if guest.state is State.ASKED]
        self._redeem(asked)
        # If the control plane still holds it, it says so next. It may have been let go on while it was away.
        self._held = False
        self.look()

    def _redeem(self, grants: Sequence[Grant]) -> None:
        for at in range(0, len(grants), MAX_GRANTS):
            self.outbox.post(Redeem(tuple(grants[at : at + MAX_GRANTS])))

    def expects(self, placed: Placed) -> bool:
        guest = self._guests.get(placed)
        return guest is not None and guest.state is State.ASKED

    def runners(self) -> int:
        return 0 if self._engine is None else self._engine.runners

    def extra(self) -> int:
        return 0 if self._engine is None else self._engine.extra

    def wanted(self, credit: int) -> int:  # noqa: ARG002 - it is given what its clients bring, and no more
        return 0

    def placed(self, placements: Iterable[Placed]) -> None:
        for placed in placements:
            self._guests[placed].state = State.WAITING

    @property
    def draining(self) -> bool:
        return self._leaving or self._drained or self._held

    def hold(self, *, held: bool) -> None:
        self._held = held
        if not held:
            self._drained = False
        self.look()

    def drain(self) -> None:
        """Nothing more is taken until an operator lets it go on, whatever becomes of the connection."""
        self._drained = True
        self.look()

    def leave(self) -> None:
        """Nothing more is taken for good; what the control plane has not answered goes back."""
        self._leaving = True
        self.give_back([placed for placed, guest in self._guests.items() if guest.state is State.ASKED])
        self.look()

    def look(self) -> None:
        """Its room may be another one than clients were told."""
        for client in self._clients.values():
            client.look()

    def give_back(self, placements: Iterable[Placed]) -> None:
        self.ended([Ended(placed=placed, outcome=Released()) for placed in placements])

    def forget(self, placements: Iterable[Placed]) -> None:
        # If somebody else has them by now, the worker's report of this is refused, and that is all.
        gone = list(placements)
        self.outbox.forget(gone)
        self.give_back(gone)
