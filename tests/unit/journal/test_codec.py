"""Entries to bytes and back."""

from zlib import crc32

import msgspec
import pytest

from mvm_ci.domain.errors import CorruptJournal
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import MAX_ENTRY, MAX_SEGMENT, decode, decode_data, encode_entry, split
from mvm_ci.journal.entries import FORMAT_VERSION, ClockRead, Entry, Logged, Slept

READS: list[Entry] = [ClockRead(wall=False, value_ns=n) for n in range(40)]


def sealed(body: bytes, version: int = FORMAT_VERSION) -> bytes:
    return bytes([version]) + crc32(bytes([version]) + body).to_bytes(4, "big") + body


@pytest.mark.parametrize("count", [1, 15, 16, 40])
def test_round_trip(count: int) -> None:
    (segment,) = split(READS[:count], 7)
    assert (segment.first, segment.count) == (7, count)
    assert decode_data(segment.data) == READS[:count]


def test_nothing_is_no_segment() -> None:
    assert split([], 0) == []


def test_large_journals_are_split_in_order() -> None:
    entries: list[Entry] = [Logged("stdout", f"{n}" * 20_000, 0) for n in range(40)]
    segments = split(entries, 0)
    assert len(segments) > 1
    assert max(len(segment.data) for segment in segments) <= MAX_SEGMENT
    assert decode(segments) == entries


def test_many_small_entries_fit_the_array_header() -> None:
    entries: list[Entry] = [Slept(0, None)] * 70_000
    segments = split(entries, 0)
    assert sum(segment.count for segment in segments) == 70_000
    assert decode(segments) == entries


def test_the_largest_entry() -> None:
    frame = len(encode_entry(Logged("", "x" * 200_000, 0))) - 200_000
    (segment,) = split([Logged("", "x" * (MAX_ENTRY - frame), 0)], 0)
    assert MAX_SEGMENT - 2 <= len(segment.data) <= MAX_SEGMENT
    assert decode([segment])
    with pytest.raises(ValueError, match="does not fit"):
        split([Logged("", "x" * (MAX_ENTRY - frame + 1), 0)], 0)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "0 bytes are no part of a journal"),
        (b"\x01\0\0\0\0", "5 bytes are no part"),
        (bytes(MAX_SEGMENT + 1), "are no part"),
        (sealed(b"\x90", version=4), "the journal has format 4, this engine reads up to 3: run the job on"),
        (sealed(b"\x90", version=0), "there is no journal format 0"),
        (b"\x01\0\0\0\0\x90", "the checksum does not match"),
        (sealed(b"\x91\x92\x63\x00"), "not journal entries"),
        (sealed(b"\x91\x94\x04\xa1a\xa1\xff\x00"), "not journal entries"),
        (sealed(b"\xdd\xff\xff\xff\xff"), "not journal entries"),
        (sealed(b"\x91\x94\x02\xc3\x01" + b"\x91" * 100_000), "not journal entries"),
        (sealed(b"\x91\x93\x02\xc3\x01\x00"), "not journal entries"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_anything_else_is_corrupt(data: bytes, says: str) -> None:
    with pytest.raises(CorruptJournal, match=says):
        decode_data(data)


def test_a_field_added_at_the_end_is_skipped() -> None:
    body = msgspec.msgpack.encode([(2, True, 5, "from the future")])
    assert decode_data(sealed(body)) == [ClockRead(wall=True, value_ns=5)]


def test_segments_must_follow_each_other() -> None:
    first, second = split(READS[:10], 0) + split(READS[10:], 10)
    assert decode([first, second]) == READS
    with pytest.raises(CorruptJournal, match="journal entry 0: the next stored segment begins at 10"):
        decode([second])
    with pytest.raises(CorruptJournal, match="journal entry 10: the next stored segment begins at 0"):
        decode([first, first])


@pytest.mark.parametrize("count", [9, 11])
def test_a_wrong_count_is_corrupt(count: int) -> None:
    (segment,) = split(READS[:10], 0)
    with pytest.raises(CorruptJournal, match=f"journal entry 0: 10 entries where {count} were stored"):
        decode([Segment(0, count, segment.data)])


def test_an_empty_segment_is_corrupt() -> None:
    with pytest.raises(CorruptJournal, match="0 entries"):
        decode([Segment(0, 0, sealed(b"\x90"))])


def test_damage_names_the_entry() -> None:
    first, second = split(READS[:10], 0) + split(READS[10:], 10)
    with pytest.raises(CorruptJournal, match="journal entry 10: the checksum"):
        decode([first, Segment(10, second.count, second.data[:-1])])
