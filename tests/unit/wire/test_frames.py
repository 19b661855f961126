"""Frames: whole, in pieces, too large, and in the wrong direction."""

import struct

import pytest

from mvm_ci.domain.errors import ProtocolError, TooLarge
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.segment import Segment
from mvm_ci.wire import blobs, frames
from mvm_ci.wire import messages as m


def item(size: int, job: int = 1) -> m.AppendItem:
    return m.AppendItem(placed=Placed(JobId(job), 1), segment=Segment(first=0, count=1, data=b"x" * size))


def test_messages_come_back_whatever_the_pieces() -> None:
    sent: list[m.FromWorker] = [m.Credit(4), m.Append((item(3000),)), m.Heartbeat(1, 2), m.Goodbye()]
    stream = b"".join(frames.encode(message) for message in sent)
    for size in (1, 2, 3, 5, 7, 100, 2999, len(stream)):
        reader = frames.from_worker()
        got = [x for at in range(0, len(stream), size) for x in reader.feed(stream[at : at + size])]
        assert got == sent
        assert not reader.partial


def test_a_frame_that_has_begun_is_known_to_be_partial() -> None:
    reader = frames.from_worker()
    assert reader.feed(frames.encode(m.Credit(1))[:-1]) == []
    assert reader.partial


def test_a_message_of_the_other_direction_is_refused() -> None:
    with pytest.raises(ProtocolError):
        frames.from_worker().feed(frames.encode(m.Drain()))
    with pytest.raises(ProtocolError):
        frames.from_control_plane().feed(frames.encode(m.Goodbye()))


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\0",
        b"\1\0\0\0\xc1",
        struct.pack("<I", m.MAX_FRAME + 1),
        b"\xff\xff\xff\xff",
        b"\x02\0\0\0\x91\x63",
        struct.pack("<I", 200_002) + b"\x92\x09" + b"\x91" * 200_000,
        struct.pack("<I", 5) + b"\x93\x16\xa2\xff\xfe",
    ],
)
def test_bytes_that_are_no_frame_end_the_stream(data: bytes) -> None:
    for reader in (frames.from_worker(), frames.from_control_plane()):
        with pytest.raises(ProtocolError):
            reader.feed(data)
        with pytest.raises(ProtocolError):
            reader.feed(frames.encode(m.Goodbye()))


def test_a_message_over_the_limit_is_not_sent() -> None:
    with pytest.raises(TooLarge):
        frames.encode(m.Append((item(m.MAX_FRAME),)))


def test_batches_keep_the_order_and_the_limit() -> None:
    items = [item(40_000, job) for job in range(100)]
    batches = frames.encode_batches(m.Append, items)
    assert len(batches) > 1
    assert all(len(frame) <= frames.BATCH_BYTES + 4 for _, frame in batches)
    assert [entry for message, _ in batches for entry in message.items] == items
    reader = frames.from_worker()
    assert [x for _, frame in batches for x in reader.feed(frame)] == [message for message, _ in batches]
    assert frames.encode_batches(m.Append, []) == []


def test_one_item_may_fill_a_frame_but_not_more() -> None:
    assert len(frames.encode_batches(m.Append, [item(2 << 20), item(2 << 20)])) == 2
    with pytest.raises(TooLarge):
        frames.encode_batches(m.Append, [item(10), item(5 << 20)])


def test_later_fields_are_skipped_and_missing_ones_have_defaults() -> None:
    # A newer peer adds fields at the end; an older one leaves them out.
    newer, older = b"\x94\x02\x04\x05\xa3new", b"\x92\x02\x04"
    for frame, credit in ((newer, m.Credit(4, 5)), (older, m.Credit(4))):
        assert frames.from_worker().feed(struct.pack("<I", len(frame)) + frame) == [credit]


def test_the_first_frame_of_a_transfer_leaves_the_raw_bytes() -> None:
    reader = blobs.answer_reader()
    frame = frames.encode(blobs.Follows(5))
    assert reader.feed_one(frame[:3]) is None
    assert reader.feed_one(frame[3:] + b"he") == (blobs.Follows(5), b"he")
