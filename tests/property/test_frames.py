"""Whatever bytes come: messages or ProtocolError."""

import struct

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.errors import ProtocolError
from mvm_ci.wire import blobs, frames
from mvm_ci.wire import messages as m

ENCODED = [
    frames.encode(message)
    for message in (
        m.Credit(4),
        m.Heartbeat(1, 2),
        m.Goodbye(),
        m.Drain(),
        m.Beat(3),
        m.Refused("a", "b", final=True),
    )
]
READERS = (frames.from_worker, frames.from_control_plane, blobs.request_reader, blobs.answer_reader)
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=40)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=30,
)


def framed(body: bytes) -> bytes:
    return struct.pack("<I", len(body)) + body


def swallow(chunks: list[bytes]) -> None:
    for make in READERS:
        reader = make()
        try:
            for chunk in chunks:
                for message in reader.feed(chunk):
                    assert isinstance(message, msgspec.Struct)
        except ProtocolError:
            continue


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_noise_does_no_harm(chunks: list[bytes]) -> None:
    swallow(chunks)


@given(st.lists(st.binary(max_size=300).map(framed) | st.sampled_from(ENCODED), max_size=8))
def test_noise_in_frames_does_no_harm(chunks: list[bytes]) -> None:
    swallow(chunks)


@given(st.integers(0, 60), st.lists(_values, max_size=12))
def test_any_values_under_any_tag_do_no_harm(tag: int, fields: list[object]) -> None:
    swallow([framed(msgspec.msgpack.encode([tag, *fields]))])


@given(st.lists(st.sampled_from(ENCODED), max_size=6), st.integers(0, 200), st.integers(0, 255))
def test_one_wrong_byte_does_no_harm(parts: list[bytes], at: int, value: int) -> None:
    data = bytearray(b"".join(parts))
    if data:
        data[at % len(data)] = value
    swallow([bytes(data)])


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=20),
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
)
def test_the_pieces_in_which_bytes_arrive_do_not_matter(grants: list[int], sizes: list[int]) -> None:
    stream = b"".join(frames.encode(m.Credit(more)) for more in grants)
    reader, got, at, turn = frames.from_worker(), [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        got += reader.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert got == [m.Credit(more) for more in grants]
