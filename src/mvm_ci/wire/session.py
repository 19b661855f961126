"""What may be said when: one connection's protocol, seen from each side, without any I/O.

::

    opening ── Hello ──▶ greeting ── Welcome ──▶ open ── Goodbye or Refused ──▶ over
                             └────── Refused ──────────────────────────────────▶ over

Both classes take the messages of both directions: ``sent`` what this side is about to send, ``received`` what
the peer sent. A message that is not legal now is a ``ProtocolError``: from ``received`` the peer is at fault
and the connection must be closed; from ``sent`` the caller is.
"""

from collections import deque
from enum import Enum
from typing import Final

from mvm_ci.domain.errors import ProtocolError
from mvm_ci.domain.grant import PeerRole
from mvm_ci.wire import messages as m

MAX_CREDIT: Final = 100_000
"""Credits a worker may have open: a bound against mistakes, far above any use."""


_NAMES: Final = {
    PeerRole.WORKER: "a worker",
    PeerRole.FOLLOWER: "a worker whose engine is elsewhere",
    PeerRole.ENGINE: "an engine",
}
_NEVER_SAID: Final[dict[PeerRole, tuple[type[m.FromWorker], ...]]] = {
    PeerRole.WORKER: (m.Redeem,),
    PeerRole.FOLLOWER: (m.Redeem, m.Append, m.Ask, m.Tell),  # what its guests need, their engine asks for
    PeerRole.ENGINE: (m.Credit, m.Started, m.Ended),  # the follower holds the placements
}


class Phase(Enum):
    """Where a connection is in its life."""

    OPENING = "opening"
    GREETING = "greeting"
    OPEN = "open"
    OVER = "over"


def negotiate(oldest: int, newest: int) -> int | None:
    """The protocol version to speak with a worker that speaks ``oldest`` to ``newest``: the newest common
    one, or None.
    """
    best = min(newest, m.PROTOCOL)
    return best if best >= max(oldest, m.OLDEST_PROTOCOL) else None


class _Shared:
    """What both sides know: the phase, open credits, unanswered appends, heartbeats and pings."""

    def __init__(self) -> None:
        self.phase = Phase.OPENING
        self.credit = 0
        """Jobs that may still be assigned."""
        self.draining = False
        """The worker said that it takes nothing more."""
        self.heartbeat = 0
        """Number of the last heartbeat."""
        self.answered = 0
        """Number of the last answered heartbeat."""
        self.protocol = 0
        """The version that is spoken, once the session stands."""
        self._appends: deque[int] = deque()
        self._pings: deque[int] = deque()
        self._goodbye = False
        self._role = PeerRole.WORKER

    def _from_worker(self, message: m.FromWorker) -> None:
        if isinstance(message, m.Hello):
            self._expect(Phase.OPENING, message)
            if not 1 <= message.oldest <= message.newest or message.slots < 0:
                raise ProtocolError("a Hello with impossible numbers")
            self._role = message.role
            self.phase = Phase.GREETING
            return
        self._expect(Phase.OPEN, message)
        if isinstance(message, _NEVER_SAID[self._role]):
            raise self._misplaced(message)
        if isinstance(message, m.Credit):
            self._add_credit(message)
        elif isinstance(message, m.Append):
            self._appends.append(len(message.items))
        elif isinstance(message, m.Heartbeat):
            if message.number != self.heartbeat + 1:
                raise ProtocolError(f"heartbeat {message.number} after {self.heartbeat}")
            self.heartbeat = message.number
        elif isinstance(message, m.Pong):
            self._ponged(message.number)
        else:
            self._leaves(message)

    def _leaves(self, message: m.FromWorker) -> None:
        if isinstance(message, m.Draining):
            self.draining = True
        elif isinstance(message, m.Goodbye):
            self._goodbye = True
            self.phase = Phase.OVER

    def _from_control_plane(self, message: m.FromControlPlane) -> None:
        if isinstance(message, m.Refused | m.Welcome):
            self._greeted(message)
            return
        if self._goodbye:
            return  # crossed the Goodbye on its way; nobody acts on it any more
        self._expect(Phase.OPEN, message)
        if isinstance(message, m.Assign):
            if self._role is not PeerRole.ENGINE:
                self._only(PeerRole.WORKER, message)
                self._use_credit(len(message.items))
        elif isinstance(message, m.Granted):
            self._only(PeerRole.FOLLOWER, message)
            self._use_credit(len(message.grants))
        elif isinstance(message, m.Appended):
            if not self._appends or self._appends.popleft() != len(message.results):
                raise ProtocolError("an Appended that answers no Append")
        elif isinstance(message, m.Beat):
            self._beaten(message)
        elif isinstance(message, m.Ping):
            self._pings.append(message.number)

    def _only(self, role: PeerRole, message: m.FromControlPlane) -> None:
        if self._role is not role:
            raise self._misplaced(message)

    def _misplaced(self, message: m.FromWorker | m.FromControlPlane) -> ProtocolError:
        name = type(message).__name__
        article = "an" if name[0] in "AE" else "a"
        return ProtocolError(f"{article} {name} on the connection of {_NAMES[self._role]}")

    def _use_credit(self, jobs: int) -> None:
        if jobs > self.credit:
            raise ProtocolError(f"{jobs} jobs assigned with a credit of {self.credit}")
        self.credit -= jobs

    def _beaten(self, message: m.Beat) -> None:
        if not self.answered < message.number <= self.heartbeat:
            raise ProtocolError(f"a Beat {message.number} after {self.answered} of {self.heartbeat}")
        if message.rest_ms < 0:
            raise ProtocolError(f"a Beat with a rest of {message.rest_ms} ms")
        self.answered = message.number

    def _add_credit(self, credit: m.Credit) -> None:
        if credit.more < 1 or self.credit + credit.more > MAX_CREDIT:
            raise ProtocolError(f"a Credit of {credit.more}")
        if not 0 <= credit.extra <= MAX_CREDIT:
            raise ProtocolError(f"a Credit with {credit.extra} guests beyond the slots")
        self.credit += credit.more

    def _ponged(self, number: int) -> None:
        if not self._pings or self._pings.popleft() != number:
            raise ProtocolError(f"a Pong {number} without its Ping")

    def _greeted(self, message: m.Welcome | m.Refused) -> None:
        if isinstance(message, m.Refused):
            # A worker may also be sent away later: its key was revoked.
            if self.phase not in {Phase.GREETING, Phase.OPEN}:
                raise ProtocolError(f"a Refused while {self.phase.value}")
            self.phase = Phase.OVER
            return
        self._expect(Phase.GREETING, message)
        self._check_welcome(message)
        self.protocol = message.protocol
        self.phase = Phase.OPEN

    def _check_welcome(self, message: m.Welcome) -> None:
        if not m.OLDEST_PROTOCOL <= message.protocol <= m.PROTOCOL:
            raise ProtocolError(f"a Welcome to protocol {message.protocol}, which was not offered")
        if not 0 < message.heartbeat_ms < message.lease_ms:
            raise ProtocolError("a Welcome whose lease is not longer than its heartbeat")

    def _expect(self, phase: Phase, message: m.FromWorker | m.FromControlPlane) -> None:
        if self.phase is not phase:
            raise ProtocolError(f"a {type(message).__name__} while {self.phase.value}")


class WorkerSession(_Shared):
    """The worker's side of one connection."""

    def sent(self, message: m.FromWorker) -> None:
        """Notes a message that is about to be sent."""
        self._from_worker(message)

    def received(self, message: m.FromControlPlane) -> None:
        """Checks and notes a message of the control plane."""
        self._from_control_plane(message)

    def next_heartbeat(self, running: int, runners: int = -1) -> m.Heartbeat:
        """The next heartbeat, noted as sent."""
        beat = m.Heartbeat(number=self.heartbeat + 1, running=running, runners=runners)
        self._from_worker(beat)
        return beat


class ControlSession(_Shared):
    """The control plane's side of one connection."""

    def received(self, message: m.FromWorker) -> None:
        """Checks and notes a message of the worker."""
        self._from_worker(message)

    def sent(self, message: m.FromControlPlane) -> None:
        """Notes a message that is about to be sent."""
        self._from_control_plane(message)

    @property
    def assignable(self) -> int:
        """How many jobs may be assigned now."""
        return 0 if self.draining or self.phase is not Phase.OPEN else self.credit
