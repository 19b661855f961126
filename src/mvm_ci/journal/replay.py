"""Replay: the machine between a guest and its journal. No I/O: it is asked, and says what has to be done.

::

    guest's call ──▶ recorded calls left? ── yes ──▶ the same call? ── yes ──▶ the recorded answer
                              │                            └────────── no ───▶ NondeterminismDetected
                              no: live
                              └──▶ a new entry, and the answer or the step to do
                                        └──▶ take(): new entries as segments, to be made durable

**Output commit.** New entries may wait in memory until something leaves: whoever drives the machine makes
all of them durable before it performs a request (``Perform``), and once more before the guest sees an
answer that is marked so. A request that must not be repeated is preceded by an intent; an intent that has
no result at the journal's end is answered as *interrupted*.

**One clock.** Both clocks of a guest are one: ``monotonic = max(last told, host's wall clock - begin)``,
and ``wall = begin + monotonic``. So neither goes back, on whatever machine the execution goes on, and after
a sleep both are past its end. A wait takes at most the sleep's own length on each placement, even if a
clock is wrong.

**Limits** are checked when a call is made, before it is recorded; a call that was let in is recorded whole,
so that a performed request always gets its entry.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from mvm_ci.domain.errors import NondeterminismDetected
from mvm_ci.domain.http import HttpFailure, HttpRequest, HttpResult
from mvm_ci.domain.ids import format_job_id
from mvm_ci.domain.outcome import Failure, FailureKind
from mvm_ci.domain.payload import Payload
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.chance import RandomStream
from mvm_ci.journal.codec import MAX_ENTRY, encode_entry
from mvm_ci.journal.describe import describe, storable
from mvm_ci.journal.disclosed import Disclosed
from mvm_ci.journal.entries import (
    FORMAT_VERSION,
    Began,
    ClockRead,
    Entry,
    Finished,
    HttpDone,
    HttpIntent,
    Logged,
    Memoized,
    Placement,
    SecretRead,
    Slept,
)
from mvm_ci.journal.ledger import Ledger, check
from mvm_ci.journal.steps import (
    Answer,
    HttpStep,
    Identity,
    JournalLimits,
    LimitReached,
    Perform,
    Wait,
    bounded,
)

INTERRUPTED: Final = HttpFailure(
    "interrupted", "the worker was lost during this request; it may have been sent and is not repeated"
)
_LOG_CHARACTERS: Final = 16_384  # of one entry: at most 64 KiB of UTF-8
_LATEST_NS: Final = (1 << 63) - 1
_NS_PER_MS: Final = 1_000_000


class Replay:
    """One placement of one execution; see the module's docstring. Made by ``begin`` or ``resume``.

    Its methods are called in the order of the guest's calls; ``now_ns`` is the host's Unix time. Each may
    raise ``NondeterminismDetected`` (naming the entry) or ``LimitReached``; after that only ``abandon`` and
    ``take`` make sense.

    ``disclosed``: what the guest knows of its secrets; what it has recorded was masked with that before.
    """

    __slots__ = (
        "_began",
        "_floor_ns",
        "_identity",
        "_ledger",
        "_limits",
        "_log_bytes",
        "_open",
        "_random",
        "_requests",
        "disclosed",
    )

    def __init__(self, identity: Identity, began: Began, ledger: Ledger, limits: JournalLimits) -> None:
        self.disclosed = Disclosed(identity.secrets)
        self._identity = identity
        self._began = began
        self._ledger = ledger
        self._limits = limits
        self._random = RandomStream(began.seed)
        self._floor_ns = 0
        self._log_bytes = 0
        self._requests = 0
        self._open: set[str] = set()

    @classmethod
    def begin(
        cls, identity: Identity, placement: Placement, limits: JournalLimits, *, seed: bytes, now_ns: int
    ) -> "Replay":
        """A new execution. ``seed``: ``SEED_BYTES`` random bytes; ``now_ns``: Unix time."""
        began = Began(FORMAT_VERSION, identity.module, identity.input, seed, now_ns)
        ledger = Ledger((), 0, placement, limits)
        ledger.write(began)
        return cls(identity, began, ledger, limits)

    @classmethod
    def resume(
        cls,
        identity: Identity,
        placement: Placement,
        limits: JournalLimits,
        *,
        recorded: Sequence[Entry],
        recorded_bytes: int,
    ) -> "Replay":
        """An execution with a durable journal (not empty). ``recorded_bytes``: its encoded size.

        Raises ``CorruptJournal`` if it cannot be replayed here, ``NondeterminismDetected`` if it is that of
        another module or input.
        """
        began = check(recorded)
        if (began.module, began.input) != (identity.module, identity.input):
            asked = msgspec.structs.replace(began, module=identity.module, input=identity.input)
            raise NondeterminismDetected(0, describe(began), describe(asked))
        return cls(identity, began, Ledger(recorded, recorded_bytes, placement, limits), limits)

    @property
    def replaying(self) -> bool:
        """Whether recorded calls of the guest are left."""
        return self._ledger.current is not None

    @property
    def unposted(self) -> int:
        """Bytes of new entries that ``take`` has not handed out."""
        return self._ledger.unposted

    def take(self) -> list[Segment]:
        """The new entries that were not handed out before, in order."""
        return self._ledger.take()

    def random(self, size: int) -> bytes:
        """The next random bytes: the same ones at every replay."""
        return self._random.read(size)

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
        return self._sleep(Slept(_time(monotonic_ns), None), now_ns)

    def sleep_for(self, duration_ns: int, now_ns: int) -> Wait | None:
        """The guest sleeps for a time; None: it goes on at once."""
        duration = _time(duration_ns)
        return self._sleep(Slept(_time(self._monotonic(now_ns) + duration), duration), now_ns)

    def log(self, stream: str, text: str, now_ns: int) -> bool:
        """The guest wrote ``text`` to ``stream``. Returns whether any is new: what is recorded has been
        shown.
        """
        text = storable(text)
        self._log_bytes += len(text) if text.isascii() else len(text.encode())
        if self._log_bytes > self._limits.log_bytes:
            message = f"the guest wrote more than {self._limits.log_bytes} bytes of output"
            raise LimitReached(Failure(kind=FailureKind.OUTPUT, message=message))
        ledger = self._ledger
        new = False
        for start in range(0, len(text), _LOG_CHARACTERS):
            asked = Logged(stream, text[start : start + _LOG_CHARACTERS], now_ns // _NS_PER_MS)
            recorded = ledger.current
            if recorded is None:
                ledger.admit()
                ledger.write(asked)
                new = True
            elif isinstance(recorded, Logged) and (recorded.stream, recorded.text) == (stream, asked.text):
                ledger.advance()
            else:
                raise ledger.disagree(recorded, asked)
        return new

    def http(self, request: HttpRequest, now_ns: int) -> HttpStep:
        """The guest asks for a request: its answer if there is one, else how to perform it."""
        digest, summary = self.disclosed.request(request)
        number = self._requests
        self._requests += 1
        ledger = self._ledger
        recorded = ledger.current
        if recorded is None:
            ledger.admit()
            if not request.idempotent:
                ledger.write(HttpIntent(digest, summary))
            return Perform(self._key(number), not request.idempotent, digest, summary)
        interrupted = HttpDone(digest, summary, INTERRUPTED, now_ns // _NS_PER_MS, now_ns // _NS_PER_MS)
        if not request.idempotent:
            if not isinstance(recorded, HttpIntent) or recorded.request != digest:
                raise ledger.disagree(recorded, HttpIntent(digest, summary))
            ledger.advance()
            recorded = ledger.current
            if recorded is None:
                ledger.write(interrupted)
                return Answer(INTERRUPTED, flush=True)
        if not isinstance(recorded, HttpDone) or recorded.request != digest:
            raise ledger.disagree(recorded, interrupted)
        ledger.advance()
        return Answer(recorded.result, flush=False)

    def performed(self, step: Perform, result: HttpResult, *, began_ns: int, ended_ns: int) -> HttpResult:
        """Records what came of a request (Unix times), and returns what the guest shall see.

        An answer too large for an entry becomes a failure ``too-large``. Never raises.
        """
        times = began_ns // _NS_PER_MS, ended_ns // _NS_PER_MS
        entry = HttpDone(step.digest, step.summary, result, *times)
        if len(encode_entry(entry)) > MAX_ENTRY:
            result = HttpFailure("too-large", "the answer's headers do not fit a journal entry")
            entry = HttpDone(step.digest, step.summary, result, *times)
        self._ledger.write(entry)
        return result

    def memo_get(self, name: str) -> Payload | None:
        """The guest asks for what it computed under ``name``; None: it is to compute it, and to ``memo_put``
        it then. Asked for once more before that, the first computation counts as given up.

        What the guest did between asking and putting is passed by at replay, not repeated.
        """
        if name in self._open:
            self._memo(name, None)
        self._open.add(name)
        found = self._ledger.memo_ahead(name)
        if found is None or found[1].value is None:
            return None
        index, recorded = found
        self._open.discard(name)
        self.disclosed.passed(self._ledger.pass_by(index))
        self._random.skip_to(recorded.drawn)
        self._requests = recorded.requests
        self._log_bytes = recorded.log_bytes
        self._floor_ns = recorded.floor_ns
        return recorded.value

    def memo_put(self, name: str, value: Payload | None) -> None:
        """The guest computed ``value``; None: it failed to."""
        self._open.discard(name)
        self._memo(name, value)

    def _memo(self, name: str, value: Payload | None) -> None:
        asked = Memoized(name, value, self._random.drawn, self._requests, self._log_bytes, self._floor_ns)
        ledger = self._ledger
        recorded = ledger.current
        if recorded is None:
            ledger.admit()
            ledger.write(asked)
        elif isinstance(recorded, Memoized) and (recorded.name, recorded.value) == (name, value):
            ledger.advance()
        else:
            raise ledger.disagree(recorded, asked)

    def secret(self, name: str) -> str | None:
        """The guest reads a secret: its value, or None if the job does not name it. The first time says which
        version it is for the whole execution. Raises ``SecretMissing``, too.
        """
        disclosed, ledger = self.disclosed, self._ledger
        given = disclosed.given(name)
        if given is None or name in disclosed:
            return disclosed.read(name)
        recorded = ledger.current
        if recorded is None:
            ledger.admit()
            value = disclosed.read(name)
            ledger.write(SecretRead(name, given.version))
        elif isinstance(recorded, SecretRead) and recorded.name == name:
            value = disclosed.read(name, recorded.version)
            ledger.advance()
        else:
            raise ledger.disagree(recorded, SecretRead(name, given.version))
        return value

    def finish(self, ended: Payload | Failure) -> None:
        """The guest ended. A recorded end must be the same (of a failure: its kind)."""
        asked = Finished(None, bounded(ended)) if isinstance(ended, Failure) else Finished(ended, None)
        recorded = self._ledger.current
        if recorded is None:
            self._ledger.write(asked)
        elif isinstance(recorded, Finished) and _same_end(recorded, asked):
            self._ledger.advance()
        else:
            raise self._ledger.disagree(recorded, asked)

    def abandon(self, failure: Failure) -> None:
        """The execution is ended from outside, wherever the guest is. Not recorded while it replays."""
        if self._ledger.current is None:
            self._ledger.write(Finished(None, bounded(failure)))

    def _key(self, number: int) -> str:
        """The idempotency key of the execution's ``number``-th request.

        Not made of its entry's index: that differs if another placement began before the repetition.
        """
        return f"{format_job_id(self._identity.job)}-{self._identity.attempt}-{number}"

    def _monotonic(self, now_ns: int) -> int:
        return max(self._floor_ns, now_ns - self._began.wall_ns)

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


def _time(ns: int) -> int:
    """A guest's time or duration as a journal can hold it."""
    return min(max(ns, 0), _LATEST_NS)


def _same_sleep(recorded: Slept, asked: Slept) -> bool:
    """A sleep for a time agrees by its duration: when it ends was decided when it began."""
    if recorded.duration_ns is None:
        return asked == recorded
    return asked.duration_ns == recorded.duration_ns


def _same_end(recorded: Finished, asked: Finished) -> bool:
    if recorded.failure is None or asked.failure is None:
        return recorded == asked
    return recorded.failure.kind is asked.failure.kind
