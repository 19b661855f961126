"""The connected workers as the dispatcher sees them: credits, and who gets the next job."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from mvm_ci.domain.grant import Grant
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.labels import matches
from mvm_ci.domain.lane import Labels
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.lifecycle.link import Link
from mvm_ci.lifecycle.placements import Placements
from mvm_ci.wire.messages import Assign, Assignment, Granted, Stop

PACK: Final = 32
"""Jobs of no-op size that one worker gets before the next one does: larger frames, fewer of them."""
SHORT_MS: Final = 20.0
"""Mean time at a worker up to which jobs count as no-op-sized; longer ones are packed in proportion less."""
NO_LABELS: Final[Mapping[str, str]] = {}
Granting: TypeAlias = Callable[[Placed, SessionId], Grant]
"""Makes the grant of a placement that a session holds."""
_GRANTS: Final = 4_096
"""In one frame."""
_FRAME_BYTES: Final = 1 << 20
_SEGMENT_OVERHEAD: Final = 32
_ASSIGNMENT_OVERHEAD: Final = 512
_SECRET_OVERHEAD: Final = 64
_LARGEST_JOURNAL: Final = 2 << 20
"""Bytes of a journal that still travel in the ``Assign`` itself; the worker fetches a larger one."""


class Seat:
    """A session with a connection. ``credits``: jobs it may still be given; ``open``: until the connection
    is gone. ``withheld``: credits that may not be used; ``labels``: the worker's; ``placements``: what its
    session has; ``slots``: guests that compute there at once (None: not known); ``extra``: guests beyond
    those, which wait in place, as of its last credit; ``asked``: jobs of claims that are under way.
    ``grant``: of a worker whose engine is elsewhere: makes what it is given in place of a job.
    """

    __slots__ = (
        "_late_stops",
        "_sent_ms",
        "asked",
        "claiming",
        "credits",
        "draining",
        "extra",
        "grant",
        "labels",
        "link",
        "open",
        "placements",
        "session",
        "slots",
        "withheld",
    )

    def __init__(
        self,
        session: SessionId,
        link: Link,
        labels: Mapping[str, str] = NO_LABELS,
        placements: Placements | None = None,
        slots: int | None = None,
        grant: Granting | None = None,
    ) -> None:
        self.session = session
        self.grant = grant
        self.slots = slots
        self.extra = 0
        self.asked = 0
        self.link = link
        self.labels = labels
        self.placements = Placements(lambda: 0) if placements is None else placements
        self.credits = 0
        self.withheld = 0
        self.open = True
        self.draining = False
        self.claiming = 0
        self._late_stops: list[Stop] = []
        self._sent_ms: dict[JobId, int] = {}

    @property
    def free(self) -> int | None:
        """Slots without a job; None: not known."""
        if self.slots is None:
            return None
        return self.slots + self.extra - len(self.placements) - self.asked

    def unused(self, credits_: int) -> None:
        """Credit that is there, or there again; of no use to a worker that drains."""
        if self.draining:
            self.withheld += credits_
        else:
            self.credits += credits_

    def drain(self) -> None:
        """Its credit is not used until ``resume``."""
        self.draining = True
        self.withheld += self.credits
        self.credits = 0

    def resume(self) -> None:
        """Its credit is used again."""
        self.draining = False
        self.credits += self.withheld
        self.withheld = 0

    def probe(self) -> None:
        """One of its credits may be used all the same."""
        if self.withheld and not self.credits:
            self.withheld -= 1
            self.credits = 1

    def assign(self, items: Sequence[Assignment], now_ms: int) -> list[Placed]:
        """Sends jobs, in frames of a sensible size; or that they are granted, and no more. Which ones."""
        placements = [item.placed for item in items]
        if self.grant is not None:
            return self.entrust(placements, now_ms)
        for frame in frames(items):
            self.link.send(Assign(tuple(frame)))
        return self._sent(placements, now_ms)

    def entrust(self, placements: list[Placed], now_ms: int) -> list[Placed]:
        """Grants jobs to a worker whose engine is elsewhere. The same ones."""
        if self.grant is None:
            raise RuntimeError("the worker's engine is its own")
        for at in range(0, len(placements), _GRANTS):
            part = placements[at : at + _GRANTS]
            self.link.send(Granted(tuple(self.grant(placed, self.session) for placed in part)))
        return self._sent(placements, now_ms)

    def _sent(self, placements: list[Placed], now_ms: int) -> list[Placed]:
        for placed in placements:
            self._sent_ms[placed.job] = now_ms
        self.placements.given(placements)
        return placements

    def stop(self, placed: Placed, *, cancel: bool) -> None:
        """Tells the worker to stop a job, whose guest is told first with ``cancel``. Never overtakes the
        job's own assignment, which may be under way.
        """
        if self.claiming:
            self._late_stops.append(Stop((placed,), cancel))
        else:
            self.link.send(Stop((placed,), cancel))

    def claimed(self) -> None:
        """A claim for this seat was answered, and its jobs are sent."""
        self.claiming -= 1
        if not self.claiming and self._late_stops:
            stops, self._late_stops = self._late_stops, []
            for stop in stops:
                self.link.send(stop)

    def forget(self, placements: Sequence[Placed]) -> list[int]:
        """These have left the worker; when they were sent (only those sent on this connection)."""
        sent_ms = self._sent_ms
        return [sent for one in placements if (sent := sent_ms.pop(one.job, None)) is not None]

    @property
    def sent(self) -> int:
        """Jobs that were sent on this connection and have not come back."""
        return len(self._sent_ms)


class Seats:
    """All seats, and the choice among them."""

    def __init__(self) -> None:
        self._seats: dict[SessionId, Seat] = {}
        self._current: Seat | None = None
        self._packed = 0
        self._mean_ms: float | None = None

    def __iter__(self) -> Iterator[Seat]:
        return iter(self._seats.values())

    def get(self, session: SessionId) -> Seat | None:
        """The seat of a session that is connected."""
        return self._seats.get(session)

    def add(self, seat: Seat) -> None:
        """A worker connected; an older connection of the session is no seat any more."""
        self.remove(seat.session)
        self._seats[seat.session] = seat

    def remove(self, session: SessionId) -> None:
        """The connection is gone, or the worker drains."""
        seat = self._seats.pop(session, None)
        if seat is not None:
            seat.open = False
            if self._current is seat:
                self._current = None

    def take(self, needed: Labels = ()) -> Seat | None:
        """A seat with the labels and with credit for one more job, and uses that credit; None if there is
        none.
        """
        if needed:
            seat = self._richest(dict(needed))
            if seat is not None:
                seat.credits -= 1
            return seat
        seat = self._current
        if seat is None or seat.credits < 1 or self._packed >= self._pack():
            seat = self._richest()
            if seat is None:
                return None
            self._current = seat
            self._packed = 0
        self._packed += 1
        seat.credits -= 1
        return seat

    def next_round(self) -> None:
        """A hand-over ends: the next one begins with the worker that then has the most credit."""
        self._current = None

    def measure(self, sent_ms: Sequence[int], now_ms: int) -> None:
        """Jobs that were sent at these times have ended now: how long jobs stay decides how they are
        packed.
        """
        if sent_ms:
            mean = max(0.0, now_ms - sum(sent_ms) / len(sent_ms))
            self._mean_ms = mean if self._mean_ms is None else 0.8 * self._mean_ms + 0.2 * mean

    def _pack(self) -> int:
        # Nothing is known at first: jobs are spread until the first ones have ended.
        if self._mean_ms is None:
            return 1
        return PACK if self._mean_ms <= SHORT_MS else max(1, int(PACK * SHORT_MS / self._mean_ms))

    def _richest(self, needed: Mapping[str, str] = NO_LABELS) -> Seat | None:
        seats = self._seats.values()
        able = seats if not needed else [seat for seat in seats if matches(needed, seat.labels)]
        best = max(able, key=lambda seat: seat.credits, default=None)
        return best if best is not None and best.credits > 0 else None


def fits_frame(assignment_journal_bytes: int) -> bool:
    """Whether a journal of so many bytes may travel inside an ``Assign``."""
    return assignment_journal_bytes <= _LARGEST_JOURNAL


def _secret_bytes(secret: SecretValue) -> int:
    # Its name stands in the spec, too.
    return _SECRET_OVERHEAD + 2 * len(secret.name) + len((secret.value or "").encode())


def frames(items: Sequence[Assignment]) -> Iterator[list[Assignment]]:
    """Assignments in portions that fit a frame."""
    frame: list[Assignment] = []
    size = 0
    for item in items:
        spec = item.spec
        journal = 0
        for segment in item.journal:
            journal += len(segment.data) + _SEGMENT_OVERHEAD
        hosts = sum(map(len, spec.allow_hosts)) if spec.allow_hosts else 0
        inline = len(spec.input) if isinstance(spec.input, bytes) else 0
        secrets = sum(map(_secret_bytes, item.secrets)) if item.secrets else 0
        bytes_ = _ASSIGNMENT_OVERHEAD + inline + hosts + 4 * len(spec.name) + journal + secrets
        if frame and size + bytes_ > _FRAME_BYTES:
            yield frame
            frame, size = [], 0
        frame.append(item)
        size += bytes_
    if frame:
        yield frame
