"""What is a torn segment, and what is not."""

from zlib import crc32

import msgspec
import pytest

from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import split
from mvm_ci.journal.damage import is_torn
from mvm_ci.journal.entries import FORMAT_VERSION, Entry, Logged, Slept

ENTRIES: list[Entry] = [Slept(7, None), Logged("stdout", "text", 5)]
(WHOLE,) = split(ENTRIES, 3)
MANY = split([Slept(7, None)] * 40, 0)[0]


def segment(data: bytes, count: int = 2) -> Segment:
    return Segment(3, count, data)


def sealed(body: bytes, version: int = FORMAT_VERSION) -> bytes:
    return bytes([version]) + crc32(bytes([version]) + body).to_bytes(4, "big") + body


@pytest.mark.parametrize("whole", [WHOLE, MANY])
def test_every_beginning_of_a_segment_is_torn(whole: Segment) -> None:
    for size in range(len(whole.data)):
        assert is_torn(segment(whole.data[:size], whole.count)), size
    assert not is_torn(whole)


@pytest.mark.parametrize(
    "data",
    [
        WHOLE.data[:-1] + b"\x06",
        b"\0" + WHOLE.data[1:-3],
        bytes([FORMAT_VERSION + 1]) + WHOLE.data[1:-3],
        WHOLE.data + b"more",
        WHOLE.data[:5] + b"\x91" + WHOLE.data[6:-3],
        WHOLE.data[:5] + b"\xc3" + WHOLE.data[6:-3],
        WHOLE.data[:5] + b"\xdd" + WHOLE.data[6:-3],
        WHOLE.data[:7] + b"\xc1" + WHOLE.data[8:-3],
    ],
    ids=["a byte", "no version", "a newer one", "longer", "a count", "no array", "a long array", "no type"],
)
def test_what_is_no_beginning_of_it_is_not_torn(data: bytes) -> None:
    assert not is_torn(segment(data))


def test_what_is_sealed_is_not_torn_whatever_is_in_it() -> None:
    for body in (b"", b"\x92", msgspec.msgpack.encode([1, 2, 3])):
        assert not is_torn(segment(sealed(body)))


def test_another_count_than_was_stored_is_not_torn() -> None:
    assert not is_torn(segment(WHOLE.data[:-3], count=3))
    assert not is_torn(segment(MANY.data[:-3], count=41))


def test_nesting_without_end_is_not_torn() -> None:
    assert not is_torn(segment(b"\x02\0\0\0\0\x92" + b"\x91" * 200_000))
