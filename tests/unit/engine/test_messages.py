"""Frames between pool and runners."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.errors import ProtocolError
from mvm_ci.domain.http import HttpRequest, HttpResponse
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed, Failed, Failure, FailureKind, Released, Suspended
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.segment import Segment
from mvm_ci.engine import messages as m
from mvm_ci.ports.guest import CompiledModule, ModuleKind

SEGMENT = Segment(0, 1, b"data")
REF = BlobRef(Digest("ab" * 32), 7)
TO_RUNNER: list[m.ToRunner] = [
    m.Setup("place", 5000),
    m.Run(
        (CompiledModule(digest="d", kind=ModuleKind.CORE, path="p"),),
        (m.Task(1, 0, b"in", 1 << 20, Placed(JobId(5), 2), 1, (SEGMENT,)),),
    ),
    m.Durable({1: 2}),
    m.HttpAnswer(1, HttpResponse(200, "u", (("a", "b"),), REF)),
    m.BlobStored(1, REF),
    m.BlobBytes(1, None),
    m.LeaveNow(1, Released()),
    m.LeaveNow(1, None),
    m.AreYouThere(),
]
FROM_RUNNER: list[m.FromRunner] = [
    m.Ready(),
    m.Post(1, SEGMENT),
    m.HttpCall(1, 2, HttpRequest("GET", "u", (), b"", 1, True), "key"),
    m.PutBlob(1, 2, b"x"),
    m.GetBlob(1, 2, REF),
    m.Results(
        (
            m.Result(1, Completed(REF), SEGMENT, 5),
            m.Result(2, Failed(Failure(kind=FailureKind.TRAP, message="m")), None, 5, unloadable=True),
            m.Result(3, Suspended(99), None, 5),
            m.Result(4, None, None, 5),
        )
    ),
    m.Sleeps(1),
    m.Awake(1),
    m.Here(),
]


@given(st.data())
def test_frames_survive_any_way_of_being_cut(data: st.DataObject) -> None:
    stream = m.pack(TO_RUNNER)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    frames = m.to_runner_frames()
    got: list[m.ToRunner] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += frames.feed(stream[start:end])
    assert got == TO_RUNNER


def test_what_runners_say_survives() -> None:
    frames = m.from_runner_frames()
    stream = m.pack(FROM_RUNNER)
    got = [message for byte in stream for message in frames.feed(bytes([byte]))]
    assert got == FROM_RUNNER


@pytest.mark.parametrize("junk", [b"\xff\xff\xff\xff", b"\x01\0\0\0\xc1", b"\x02\0\0\0\x91\x63"])
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(ProtocolError):
        m.to_runner_frames().feed(junk)
