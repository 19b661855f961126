"""The engine as its API shows it, and what clients order, carried out."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric

from mvm_ci import __version__
from mvm_ci.domain.grant import Grant
from mvm_ci.domain.outcome import Stopped
from mvm_ci.engine.service.client import MAX_UNSEEN, Client
from mvm_ci.engine.service.guests import Guests, State
from mvm_ci.peer.intake import Intake
from mvm_ci.ports.engine import Ended, Hosted
from mvm_ci.serving.families import Families, Ready
from mvm_ci.serving.loop_lag import LoopLag
from mvm_ci.wire import engine as w

ABOUT: Final = {
    "mvm_ci_engine_build_info": "1; the label is the version.",
    "mvm_ci_engine_slots": "Guests that compute at once.",
    "mvm_ci_engine_capacity": "Guests that it has at once at most.",
    "mvm_ci_engine_guests": "Guests that it has, by state: asked-for, waiting, running.",
    "mvm_ci_engine_extra": "Guests that it has or may take beyond the slots, because so many wait in place.",
    "mvm_ci_engine_runners": "Processes that can run guests.",
    "mvm_ci_engine_clients": "Workers that it serves, by whether their lease is valid.",
    "mvm_ci_engine_unseen_ends": "Ends that their workers have not seen yet.",
    "mvm_ci_engine_connected": "1 while its session with the control plane stands.",
    "mvm_ci_engine_refused": "Requests to place that were refused because there was no room.",
    "mvm_ci_engine_wait_seconds": "From when a worker brought a guest until it ran.",
    "mvm_ci_engine_journal_lag_seconds": "From when journal entries were made until they were durable.",
    "mvm_ci_engine_loop_lag_seconds": "How late the event loop was, twice a second.",
}
"""Every metric of ours. A counter's name ends in ``_total`` outside."""
_of: Final = Families(ABOUT)


class Desk:
    """``engine``: names this process; ``url``: where this very one is reached, told to workers."""

    def __init__(self, guests: Guests, engine: Hosted, intake: Intake, *, name: str, url: str) -> None:
        self.guests = guests
        self.engine = name
        self._url = url
        self._engine = engine
        self._intake = intake
        self._refused = 0
        self.lag = LoopLag()
        self._process = ProcessCollector(registry=None)

    def whole_room(self) -> w.Room:
        """The engine as anybody may see it."""
        guests = len(list(self.guests.executions()))
        return self._room(guests, self._engine.extra, self._engine.capacity)

    def room_of(self, client: Client) -> w.Room:
        """The engine as this client sees it: the same until something changes that is of use to it."""
        return self._room(0, self.guests.extra_of(client), self.guests.share())

    def _room(self, guests: int, extra: int, capacity: int) -> w.Room:
        return w.Room(
            engine=self.engine,
            slots=self._engine.slots,
            capacity=capacity,
            runners=self._engine.runners,
            guests=guests,
            extra=extra,
            draining=self.guests.draining,
            connected=self.guests.outbox.attached,
            url=self._url,
            version=__version__,
        )

    def unready(self) -> str:
        """Why it cannot run guests; empty: it can."""
        if self.guests.draining:
            return "the engine drains"
        if not self._engine.runners:
            return "no runner is ready"
        if not self.guests.outbox.attached:
            return "no session with the control plane"
        return ""

    def full(self, client: Client) -> str:
        """Why this client can place nothing now; empty: it can."""
        why = ""
        if self.guests.draining:
            why = "the engine drains: it takes nothing more"
        elif client.full:
            why = f"{MAX_UNSEEN} ends wait until this worker has seen them"
        if why:
            self._refused += 1
        return why

    def no_room(self, grant: Grant) -> str:
        """This one, and what came after it, found no room: why."""
        self._refused += 1
        if self.guests.has(grant.placed):
            return "another worker brought the same placement"
        return f"the engine has {self._engine.capacity} guests, as many as its runners can have"

    def obey(self, client: Client, order: w.Order) -> None:
        """Carries out an order of a client; what is not its own is left alone."""
        match order:
            case w.Seen(number):
                client.seen(number)
            case w.Lease(number, left_ms):
                client.answered(number, left_ms)
            case w.Drop(placements):
                self.guests.drop(self.guests.of(client, placements))
            case w.Stop(placements, cancel):
                mine = self.guests.of(client, placements)
                coming = self.guests.unstarted(mine)
                self._intake.stop([placed for placed in mine if placed not in coming], cancel=cancel)
                if cancel:
                    self._intake.cancel_coming(coming)
                else:
                    self._intake.let_go(coming)
                    self.guests.ended([Ended(placed=placed, outcome=Stopped()) for placed in coming])
            case w.GiveBack(placements, running):
                mine = self.guests.of(client, placements)
                self.guests.give_back(self.guests.unstarted(mine))
                self._intake.release(mine, running=running)

    def drain(self, *, running: bool) -> None:
        """Nothing more is taken, what has not started is given back."""
        self.guests.drain()
        self._intake.give_back(running=running)

    def metrics(self) -> bytes:
        """All figures, for Prometheus."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Ready(self.figures()))
        registry.register(self._process)
        return generate_latest(registry)

    def figures(self) -> Iterator[Metric]:
        """The engine's own, without those of its process."""
        yield _of.gauges("mvm_ci_engine_build_info", "version", {__version__: 1})
        yield _of.gauge("mvm_ci_engine_slots", self._engine.slots)
        yield _of.gauge("mvm_ci_engine_capacity", self._engine.capacity)
        yield _of.gauge("mvm_ci_engine_extra", self._engine.extra)
        yield _of.gauge("mvm_ci_engine_runners", self._engine.runners)
        yield _of.gauge("mvm_ci_engine_connected", int(self.guests.outbox.attached))
        clients = self.guests.clients.values()
        yield _of.gauge("mvm_ci_engine_unseen_ends", sum(client.unseen for client in clients))
        valid = sum(client.valid() for client in clients)
        yield _of.gauges("mvm_ci_engine_clients", "lease", {"valid": valid, "over": len(clients) - valid})
        states = dict.fromkeys(State, 0)
        for _, _, state in self.guests.executions():
            states[state] += 1
        yield _of.gauges(
            "mvm_ci_engine_guests", "state", {state.value: count for state, count in states.items()}
        )
        yield _of.counter("mvm_ci_engine_refused", self._refused)
        yield _of.histogram("mvm_ci_engine_wait_seconds", self.guests.wait_s)
        yield _of.histogram("mvm_ci_engine_journal_lag_seconds", self.guests.outbox.lag_s)
        yield _of.histogram("mvm_ci_engine_loop_lag_seconds", self.lag.lag_s)
