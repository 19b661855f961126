"""What a report of a worker must be for the queue to take it."""

from typing import Final

from mvm_ci.domain.errors import ProtocolError
from mvm_ci.domain.ids import is_digest
from mvm_ci.domain.mail import are_topics
from mvm_ci.domain.outcome import Completed, Continued, Failed, Outcome, Parked, Suspended
from mvm_ci.domain.payload import INLINE_LIMIT, Payload
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.steps import JournalLimits
from mvm_ci.wire.blobs import MAX_BLOB

MAX_SEGMENT: Final = 256 << 10
"""Bytes of one segment."""
MAX_ENTRIES: Final = 2 * JournalLimits().entries
"""Of one journal. Engines stop at half of it: beyond is no engine of ours."""
MAX_FAILURE: Final = 64 << 10
"""Characters of a failure's texts, of which engines send less."""
_LAST_MS: Final = 1 << 53


def check_outcome(outcome: Outcome) -> None:
    """Raises ``ProtocolError`` for an end that no engine of ours reports."""
    match outcome:
        case Completed(result):
            _check_payload("result", result)
        case Continued(given):
            _check_payload("input", given)
        case Failed(failure) | Parked(failure):
            if len(failure.message) + len(failure.detail) > MAX_FAILURE:
                raise ProtocolError(f"a failure of more than {MAX_FAILURE} characters")
        case Suspended(wake_ms, topics):
            if not 0 <= wake_ms < _LAST_MS or not are_topics(topics):
                raise ProtocolError(f"a guest that waits until {wake_ms} for {len(topics)} topics")


def check_segment(segment: Segment) -> None:
    """Raises ``ProtocolError`` for a segment that no engine of ours sends."""
    if len(segment.data) > MAX_SEGMENT or segment.first < 0 or segment.count < 1:
        raise ProtocolError(f"a segment of {segment.count} entries in {len(segment.data)} bytes")
    if len(segment.taken) > segment.count:
        raise ProtocolError(f"{segment.count} entries that take {len(segment.taken)} pieces of mail")
    if segment.first + segment.count > MAX_ENTRIES:
        raise ProtocolError(f"a journal of more than {MAX_ENTRIES} entries")


def _check_payload(what: str, payload: Payload) -> None:
    if isinstance(payload, bytes):
        if len(payload) > INLINE_LIMIT:
            raise ProtocolError(f"an inline {what} of {len(payload)} bytes must be a blob")
    elif not (is_digest(payload.digest) and 0 <= payload.size <= MAX_BLOB):
        raise ProtocolError(f"the {what} can be no blob")
