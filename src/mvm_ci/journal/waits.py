"""The replay machine's part for time: clocks, sleeps, and waits for mail."""

from typing import Final

from mvm_ci.domain.mail import Mail
from mvm_ci.journal.entries import Awaited, CancelSeen, ClockRead, Slept, Took
from mvm_ci.journal.standing import Standing, digest_of, time_of
from mvm_ci.journal.steps import MailWait, Wait

_NAMED: Final = 8


class Waits(Standing):
    """See ``Replay``."""

    __slots__ = ()

    def clock(self, *, wall: bool, now_ns: int) -> int:
        """The guest reads a clock; nanoseconds."""
        ledger = self._ledger
        origin = self._began.wall_ns if wall else 0
        recorded = ledger.current
        if recorded is None:
            ledger.admit()
            self._floor_ns = self._monotonic(now_ns)
            value = origin + self._floor_ns
            ledger.write(ClockRead(wall, value))
            return value
        if not isinstance(recorded, ClockRead) or recorded.wall is not wall:
            raise ledger.disagree(recorded, ClockRead(wall, 0))
        ledger.advance()
        self._floor_ns = max(self._floor_ns, recorded.value_ns - origin)
        return recorded.value_ns

    def sleep_until(self, monotonic_ns: int, now_ns: int) -> Wait | None:
        """The guest sleeps until a time of its monotonic clock; None: it goes on at once."""
        return self._sleep(Slept(time_of(monotonic_ns), None), now_ns)

    def sleep_for(self, duration_ns: int, now_ns: int) -> Wait | None:
        """The guest sleeps for a time; None: it goes on at once."""
        duration = time_of(duration_ns)
        return self._sleep(Slept(time_of(self._monotonic(now_ns) + duration), duration), now_ns)

    def await_mail(
        self, topics: tuple[str, ...], duration_ns: int | None, now_ns: int
    ) -> Took | MailWait | None:
        """The guest waits for mail about one of ``topics``, for ``duration_ns`` or (None) as long as it
        takes: how its wait ended, if it did, else until when it waits; ``took`` ends it then.
        None: a cancellation ended it.
        """
        duration = None if duration_ns is None else time_of(duration_ns)
        topics = _named(topics)
        asked = Awaited(topics, time_of(self._monotonic(now_ns) + (duration or 0)), duration)
        ledger = self._ledger
        recorded = ledger.current
        if recorded is None:
            ledger.admit()
            ledger.write(asked)
            wake = asked.wake_ns
        elif isinstance(recorded, Awaited) and (recorded.topics, recorded.duration_ns) == (topics, duration):
            ledger.advance()
            wake = recorded.wake_ns
        else:
            raise ledger.disagree(recorded, asked)
        recorded = ledger.current
        if recorded is None:
            return MailWait(wake, None if duration is None else self._began.wall_ns + wake)
        if isinstance(recorded, CancelSeen):
            return None
        if not isinstance(recorded, Took):
            raise ledger.disagree(recorded, Took(None))
        ledger.advance()
        if recorded.mail is None:
            self._floor_ns = max(self._floor_ns, wake)
        return recorded

    def took(self, wait: MailWait, mail: Mail | None) -> None:
        """The guest's wait ended; None: it took too long."""
        if mail is None:
            self._floor_ns = max(self._floor_ns, wait.wake_ns)
        self._ledger.write(Took(mail))

    def _sleep(self, asked: Slept, now_ns: int) -> Wait | None:
        ledger = self._ledger
        recorded = ledger.current
        if recorded is None:
            ledger.admit()
            ledger.write(asked)
            wake = asked.wake_ns
        elif isinstance(recorded, Slept) and _same_sleep(recorded, asked):
            ledger.advance()
            wake = recorded.wake_ns
        else:
            raise ledger.disagree(recorded, asked)
        left = wake - self._monotonic(now_ns)
        self._floor_ns = max(self._floor_ns, wake)
        # A call recorded after a sleep proves that it ended, whatever this machine's clock says.
        return Wait(now_ns + left) if left > 0 and ledger.current is None else None


def _named(topics: tuple[str, ...]) -> tuple[str, ...]:
    """Topics as an entry names them: of many the first ones, and a digest of all. Else the journal of a job
    that waits for a thousand children, one after the other, would name each of them five hundred times.
    """
    if len(topics) <= _NAMED:
        return topics
    return (*topics[: _NAMED - 1], f"{len(topics)} in all: {digest_of(topics)}")


def _same_sleep(recorded: Slept, asked: Slept) -> bool:
    """A sleep for a time agrees by its duration: when it ends was decided when it began."""
    if recorded.duration_ns is None:
        return asked == recorded
    return asked.duration_ns == recorded.duration_ns
