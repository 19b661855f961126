"""Leases: which sessions may hold jobs, and until when. Pure; times are milliseconds of the lease clock."""

from mvm_ci.domain.ids import SessionId


class LeaseTable:
    """Sessions and their deadlines. A session whose deadline has passed stays until it is removed: it is
    the owner of
    the table who declares it lost, once.
    """

    __slots__ = ("_deadlines", "lease_ms")

    def __init__(self, lease_ms: int) -> None:
        self.lease_ms = lease_ms
        self._deadlines: dict[SessionId, int] = {}

    def __contains__(self, session: SessionId) -> bool:
        return session in self._deadlines

    def __len__(self) -> int:
        return len(self._deadlines)

    def grant(self, session: SessionId, now: int) -> None:
        """A session begins, or is known of from before the control plane's start (its grace): one whole
        lease.
        """
        self._deadlines[session] = now + self.lease_ms

    def renew(self, session: SessionId, now: int) -> bool:
        """A sign of life. False, and nothing changes, if the session is unknown or its lease has run out."""
        deadline = self._deadlines.get(session)
        if deadline is None or deadline <= now:
            return False
        self._deadlines[session] = now + self.lease_ms
        return True

    def rest(self, session: SessionId, now: int, ms: int) -> None:
        """A session that holds nothing has just given a sign of life: the next one may come ``ms`` later than
        others'. Nothing happens if it is unknown or its lease has run out.
        """
        if self.alive(session, now):
            self._deadlines[session] = now + ms + self.lease_ms

    def rouse(self, session: SessionId, now: int) -> bool:
        """From now on something hangs on the session: it is lost after one lease, unless it says a word.

        Whether that is sooner than before. Never sooner than one lease after its last sign of life.
        """
        deadline = self._deadlines.get(session)
        if deadline is None or deadline <= now + self.lease_ms:
            return False
        self._deadlines[session] = now + self.lease_ms
        return True

    def expire(self, session: SessionId, now: int) -> None:
        """Ends a lease before its time; the session stays in the table as one whose lease has run out."""
        if session in self._deadlines:
            self._deadlines[session] = min(self._deadlines[session], now)

    def grant_all(self, now: int) -> None:
        """Everybody gets one whole lease at least, from now on."""
        for session, deadline in self._deadlines.items():
            self._deadlines[session] = max(deadline, now + self.lease_ms)

    def remove(self, session: SessionId) -> bool:
        """The session is over. False if it was unknown."""
        return self._deadlines.pop(session, None) is not None

    def alive(self, session: SessionId, now: int) -> bool:
        """Whether the session's lease is held now."""
        return self._deadlines.get(session, now) > now

    def left(self, session: SessionId, now: int) -> int:
        """Milliseconds until the lease runs out; 0 if it has, or the session is unknown."""
        return max(0, self._deadlines.get(session, now) - now)

    def expired(self, now: int) -> list[SessionId]:
        """The sessions whose lease has run out, oldest deadline first."""
        over = [(deadline, session) for session, deadline in self._deadlines.items() if deadline <= now]
        return [session for _, session in sorted(over)]

    def next_deadline(self) -> int | None:
        """The earliest deadline; None without sessions."""
        return min(self._deadlines.values(), default=None)
