"""The entries of one execution as one placement sees them: the recorded ones, then its own."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from mvm_ci.domain.errors import CorruptJournal, NondeterminismDetected
from mvm_ci.domain.outcome import Failure, FailureKind
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import Writer, encode_entry, newer
from mvm_ci.journal.describe import describe
from mvm_ci.journal.entries import (
    FORMAT_VERSION,
    Began,
    Called,
    Continued,
    Entry,
    Finished,
    Logged,
    Memoized,
    Placement,
    Took,
)
from mvm_ci.journal.steps import JournalLimits, LimitReached

SEED_BYTES: Final = 32
_SHOWN: Final = (Began, Logged, Finished)


class Ledger:
    """A cursor over recorded calls, and the writer of new ones.

    ``current``: the recorded call that the guest has to repeat next (placements are skipped); None: it is
    live.
    """

    __slots__ = (
        "_bytes",
        "_calls",
        "_end",
        "_ephemeral",
        "_limits",
        "_memos",
        "_next",
        "_placement",
        "_recorded",
        "_writer",
        "current",
    )

    def __init__(
        self,
        recorded: Sequence[Entry],
        recorded_bytes: int,
        placement: Placement,
        limits: JournalLimits,
        *,
        ephemeral: bool = False,
    ) -> None:
        """``recorded``: all durable entries, passed by ``check``; ``recorded_bytes``: their encoded size.
        ``ephemeral``: of new ones only those are kept that people see: it is never replayed.
        """
        self._ephemeral = ephemeral
        self._recorded = recorded
        self._bytes = recorded_bytes
        self._placement: Placement | None = placement
        self._limits = limits
        self._writer = Writer(len(recorded))
        self._end = len(recorded)
        self._next = 0
        self._memos: dict[str, list[int]] | None = None
        self._calls: dict[str, list[int]] | None = None
        self.current: Entry | None = None
        if recorded:
            self.advance()

    @property
    def unposted(self) -> int:
        """Bytes of new entries that ``take`` has not handed out."""
        return self._writer.unposted

    def take(self) -> list[Segment]:
        """The new entries that were not handed out before, in order."""
        return self._writer.take()

    def advance(self) -> None:
        """The guest repeated ``current``: on to the next recorded call."""
        self._next += 1
        while self._next < self._end and isinstance(self._recorded[self._next], Placement):
            self._next += 1
        self.current = self._recorded[self._next] if self._next < self._end else None

    def memo_ahead(self, name: str) -> tuple[int, Memoized] | None:
        """The next recorded value of ``name``, and its index."""
        if self.current is None:
            return None
        if self._memos is None:
            self._memos = {}
            for index, entry in enumerate(self._recorded):
                if isinstance(entry, Memoized):
                    self._memos.setdefault(entry.name, []).append(index)
        indices = self._memos.get(name, ())
        at = bisect_left(indices, self._next)
        if at == len(indices):
            return None
        entry = self._recorded[indices[at]]
        assert isinstance(entry, Memoized)  # noqa: S101 - only these are in there
        return indices[at], entry

    def call_ahead(self, summary: str) -> int | None:
        """The index of the next recorded answer to a call of this summary."""
        if self.current is None:
            return None
        if self._calls is None:
            self._calls = {}
            for index, entry in enumerate(self._recorded):
                if isinstance(entry, Called):
                    self._calls.setdefault(entry.summary, []).append(index)
        indices = self._calls.get(summary, ())
        at = bisect_left(indices, self._next)
        return indices[at] if at < len(indices) else None

    def passed(self, index: int) -> bool:
        """Whether the recorded entry ``index`` lies behind."""
        return index < self._next

    def behind(self, since: int) -> Sequence[Entry]:
        """The recorded entries that lie behind, from index ``since`` on."""
        return self._recorded[since : self._next]

    def pass_by(self, index: int) -> Sequence[Entry]:
        """Goes on after the recorded entry ``index``: those before it, which are returned, need not be
        repeated.
        """
        passed = self._recorded[self._next : index]
        self._next = index
        self.advance()
        return passed

    def disagree(self, recorded: Entry, asked: Entry) -> NondeterminismDetected:
        """The error to raise if the guest asked for something else than ``recorded``, the current call."""
        return NondeterminismDetected(self._next, describe(recorded), describe(asked))

    def admit(self) -> None:
        """Raises ``LimitReached`` if no further call may be recorded. The last one may pass the limit."""
        if self._writer.end >= self._limits.entries or self._bytes >= self._limits.bytes:
            message = f"the journal is full: {self._writer.end} entries, {self._bytes} bytes"
            raise LimitReached(Failure(kind=FailureKind.JOURNAL, message=message))

    def write(self, entry: Entry) -> None:
        """Appends a new entry. Only when nothing recorded is left; not limited, see ``admit``."""
        if self._ephemeral and not isinstance(entry, _SHOWN):
            return
        # Who writes from here on: said once, and only by a placement that has something to write.
        if self._placement is not None and not isinstance(entry, Began):
            placement, self._placement = self._placement, None
            self._add(placement)
        self._add(entry)

    def _add(self, entry: Entry) -> None:
        encoded = encode_entry(entry)
        self._bytes += len(encoded)
        mail = entry.mail if isinstance(entry, Took) else None
        self._writer.add(encoded, mail.number if mail is not None else None)


def check(recorded: Sequence[Entry]) -> Began:
    """The first entry of a journal. Raises ``CorruptJournal`` if it is none, or cannot be replayed here."""
    began = recorded[0]
    if not isinstance(began, Began):
        raise CorruptJournal(f"journal entry 0 is not a begin but {describe(began)}")
    if began.format > FORMAT_VERSION:
        raise CorruptJournal(newer(began.format))
    if len(began.seed) != SEED_BYTES:
        raise CorruptJournal(f"journal entry 0: a seed of {len(began.seed)} bytes")
    for index, entry in enumerate(recorded):
        if index and isinstance(entry, Began):
            raise CorruptJournal(f"journal entry {index}: a second begin")
        if isinstance(entry, Finished | Continued) and index != len(recorded) - 1:
            raise CorruptJournal(f"journal entry {index} is an end, but more entries follow")
    return began
