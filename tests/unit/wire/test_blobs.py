"""Transfers: sizes and digests are checked by whoever receives."""

import hashlib

import pytest

from mvm_ci.domain.errors import ProtocolError
from mvm_ci.domain.ids import is_digest
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import MAX_SEGMENT
from mvm_ci.journal.steps import JournalLimits
from mvm_ci.wire.blobs import MAX_BLOB, MAX_JOURNAL, Receiving, decode_journal, encode_journal

DATA = b"some bytes"
DIGEST = hashlib.sha256(DATA).hexdigest()


def test_the_announced_bytes_with_the_right_digest_pass() -> None:
    receiving = Receiving(len(DATA), DIGEST)
    receiving.feed(DATA[:4])
    assert receiving.missing == 6
    receiving.feed(DATA[4:])
    assert receiving.result() == DATA


@pytest.mark.parametrize(("size", "digest"), [(-1, DIGEST), (MAX_BLOB + 1, DIGEST), (MAX_JOURNAL + 1, None)])
def test_a_size_out_of_bounds_is_refused_before_any_byte(size: int, digest: str | None) -> None:
    with pytest.raises(ProtocolError):
        Receiving(size, digest)


def test_a_full_journal_can_be_sent() -> None:
    limits = JournalLimits()
    segment = len(encode_journal((Segment(limits.entries, 1, b"\x00" * 300),))) - 300
    largest = limits.bytes + MAX_SEGMENT + limits.entries * segment
    assert Receiving(largest).missing == largest


@pytest.mark.parametrize(
    "digest", ["", "../../etc/passwd", DIGEST.upper(), DIGEST[:-1], DIGEST + "0", "٣" * 64]
)
def test_what_is_no_digest_never_becomes_a_file_name(digest: str) -> None:
    assert not is_digest(digest)
    with pytest.raises(ProtocolError):
        Receiving(1, digest)


def test_too_much_too_little_or_other_bytes_are_refused() -> None:
    with pytest.raises(ProtocolError, match="more than"):
        Receiving(3).feed(DATA)
    short = Receiving(len(DATA), DIGEST)
    short.feed(DATA[:-1])
    with pytest.raises(ProtocolError, match="too early"):
        short.result()
    other = Receiving(len(DATA), DIGEST)
    other.feed(DATA[::-1])
    with pytest.raises(ProtocolError, match="digest"):
        other.result()


def test_a_journal_travels_as_it_is() -> None:
    segments = (Segment(0, 2, b"ab"), Segment(2, 1, b"c"))
    assert decode_journal(encode_journal(segments)) == segments
    for data in (b"", b"\xc1", b"\x91\x91\x91", b"\x90\x90"):
        with pytest.raises(ProtocolError):
            decode_journal(data)
