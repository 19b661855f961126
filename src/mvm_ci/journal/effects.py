"""The replay machine's part for effects: requests of a guest to the outside, and to the control plane."""

from collections.abc import Sequence
from typing import Final

from mvm_ci.domain.http import HttpFailure, HttpRequest, HttpResult
from mvm_ci.domain.payload import Payload
from mvm_ci.journal.codec import MAX_ENTRY, encode_entry
from mvm_ci.journal.describe import summarize_call
from mvm_ci.journal.entries import Called, Entry, HttpDone, HttpIntent
from mvm_ci.journal.standing import NS_PER_MS, Standing, digest_of
from mvm_ci.journal.steps import Answer, Ask, HttpStep, Perform

INTERRUPTED: Final = HttpFailure(
    "interrupted", "the worker was lost during this request; it may have been sent and is not repeated"
)


class Effects(Standing):
    """See ``Replay``."""

    __slots__ = ()

    def http(self, request: HttpRequest, now_ns: int) -> HttpStep:
        """The guest asks for a request: its answer if there is one, else how to perform it."""
        digest, summary = self.disclosed.request(request)
        key = self._next_key()
        ledger = self._ledger
        recorded = ledger.current
        if recorded is None:
            ledger.admit()
            if not request.idempotent:
                ledger.write(HttpIntent(digest, summary))
            return Perform(key, not request.idempotent, digest, summary)
        interrupted = HttpDone(digest, summary, INTERRUPTED, now_ns // NS_PER_MS, now_ns // NS_PER_MS)
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
        times = began_ns // NS_PER_MS, ended_ns // NS_PER_MS
        entry = HttpDone(step.digest, step.summary, result, *times)
        if len(encode_entry(entry)) > MAX_ENTRY:
            result = HttpFailure("too-large", "the answer's headers do not fit a journal entry")
            entry = HttpDone(step.digest, step.summary, result, *times)
        self._ledger.write(entry)
        return result

    def ask(self, name: str, argument: bytes, about: str | None = None) -> Payload | Ask:
        """The guest asks the control plane for something: the answer if there is one, else how to ask.

        May be asked again with the same key: it is done once. ``about``: shown in the journal, and by it the
        call is found (``asked_ahead``).
        """
        digest, summary = digest_of((name, argument)), summarize_call(name, argument, about)
        key = self._next_key()
        ledger = self._ledger
        recorded = ledger.current
        if recorded is None:
            ledger.admit()
            return Ask(key, digest, summary)
        if not isinstance(recorded, Called) or recorded.request != digest:
            raise ledger.disagree(recorded, Called(digest, summary, b""))
        ledger.advance()
        return recorded.answer

    def asked_ahead(self, name: str, about: str) -> int | None:
        """The index of the next recorded call of this name about this, if there is one; see ``passed``."""
        return self._ledger.call_ahead(summarize_call(name, b"", about))

    def passed(self, index: int) -> bool:
        """Whether the recorded entry of this index was repeated, or passed by."""
        return self._ledger.passed(index)

    def behind(self, since: int) -> Sequence[Entry]:
        """The recorded entries that were repeated or passed by, from index ``since`` on."""
        return self._ledger.behind(since)

    def answered(self, step: Ask, answer: Payload) -> None:
        """Records what the control plane answered."""
        self._ledger.write(Called(step.digest, step.summary, answer))
