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
from mvm_ci.domain.outcome import Failure, FailureKind
from mvm_ci.domain.payload import Payload
from mvm_ci.journal.describe import describe, storable
from mvm_ci.journal.effects import Effects
from mvm_ci.journal.entries import (
    FORMAT_VERSION,
    Began,
    Continued,
    Entry,
    Finished,
    Logged,
    Memoized,
    Placement,
    SecretRead,
)
from mvm_ci.journal.ledger import Ledger, check
from mvm_ci.journal.standing import NS_PER_MS
from mvm_ci.journal.steps import Identity, JournalLimits, LimitReached, bounded
from mvm_ci.journal.waits import Waits

MAX_OPEN: Final = 1_000
"""Values that a guest computes at once, each under a name: what is remembered of one that it never puts."""
_LOG_CHARACTERS: Final = 16_384  # of one entry: at most 64 KiB of UTF-8


class Replay(Effects, Waits):
    """One placement of one execution; see the module's docstring. Made by ``begin`` or ``resume``.

    Its methods are called in the order of the guest's calls; ``now_ns`` is the host's Unix time. Each may
    raise ``NondeterminismDetected`` (naming the entry) or ``LimitReached``; after that only ``abandon`` and
    ``take`` make sense.

    ``disclosed``: what the guest knows of its secrets; what it has recorded was masked with that before.
    """

    __slots__ = ()

    @classmethod
    def begin(
        cls,
        identity: Identity,
        placement: Placement,
        limits: JournalLimits,
        *,
        seed: bytes,
        now_ns: int,
        ephemeral: bool = False,
    ) -> "Replay":
        """A new execution. ``seed``: ``SEED_BYTES`` random bytes; ``now_ns``: Unix time; ``ephemeral``: it is
        never replayed.
        """
        began = Began(FORMAT_VERSION, identity.module, identity.input, seed, now_ns)
        ledger = Ledger((), 0, placement, limits, ephemeral=ephemeral)
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
            asked = Logged(stream, text[start : start + _LOG_CHARACTERS], now_ns // NS_PER_MS)
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

    def memo_get(self, name: str) -> Payload | None:
        """The guest asks for what it computed under ``name``; None: it is to compute it, and to ``memo_put``
        it then. Asked for once more before that, the first computation counts as given up.

        What the guest did between asking and putting is passed by at replay, not repeated.
        """
        if name in self._open:
            self._memo(name, None)
        if len(self._open) >= MAX_OPEN:
            message = f"the guest computes more than {MAX_OPEN} named values at once"
            raise LimitReached(Failure(kind=FailureKind.JOURNAL, message=message))
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

    def continue_as_new(self, given: Payload) -> None:
        """The guest goes on as a new execution with another input: this one has ended."""
        asked = Continued(given)
        recorded = self._ledger.current
        if recorded is None:
            self._ledger.write(asked)
        elif recorded == asked:
            self._ledger.advance()
        else:
            raise self._ledger.disagree(recorded, asked)

    def abandon(self, failure: Failure) -> None:
        """The execution is ended from outside, wherever the guest is. Not recorded while it replays."""
        if self._ledger.current is None:
            self._ledger.write(Finished(None, bounded(failure)))


def _same_end(recorded: Finished, asked: Finished) -> bool:
    if recorded.failure is None or asked.failure is None:
        return recorded == asked
    return recorded.failure.kind is asked.failure.kind
