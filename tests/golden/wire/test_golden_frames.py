"""Frames as released versions wrote them: read for ever, and written the same by this version. Only added to.

Each line of ``v1.txt``: a name, then the frame in hex. A new message gets a line; no line ever changes.
"""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.grant import Grant, PeerRole
from mvm_ci.domain.ids import Digest, Incarnation, JobId, SessionId
from mvm_ci.domain.job import Durability, JobSpec, Placed
from mvm_ci.domain.outcome import (
    Completed,
    Continued,
    Failed,
    Failure,
    FailureKind,
    Parked,
    Released,
    Stopped,
    Suspended,
)
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.wire import blobs, frames
from mvm_ci.wire import messages as m

FILE = Path(__file__).with_name("v1.txt")
P = Placed(JobId(1_800_000_000_000 << 20), 3)
Q = Placed(JobId(7), 1)
DIGEST = Digest("ab" * 32)
SEGMENT = Segment(first=4, count=2, data=b"\x00\x01entries")
SPEC = JobSpec(
    module=DIGEST,
    input=b'{"n":1}',
    name="build",
    allow_hosts=("example.org", "*.example.net:443"),
    max_attempts=3,
    timeout_ms=60_000,
    memory_bytes=64 << 20,
)
INPUT = Artifact("data/in.csv", DIGEST, 5_000_000_000, "text/csv")
GRANT = Grant(P, b"\x00\x11" * 12)
FAILURE = Failure(kind=FailureKind.ERROR, message="boom", detail="Traceback …")
HELLO = m.Hello(
    1,
    1,
    "0.1.0",
    Incarnation("0123456789abcdef" * 2),
    Incarnation("f" * 32),
    "secret",
    "w1",
    "linux-x86_64",
    4,
    1,
    (P, Q),
)
FROM_WORKER: dict[str, m.FromWorker] = {
    "hello": HELLO,
    "hello-labels": replace(HELLO, labels={"os": "linux", "gpu": ""}, ephemeral=True),
    "hello-previous-over": replace(HELLO, previous_over=True),
    "hello-engine": replace(HELLO, role=PeerRole.ENGINE, running=(P,), grants=(GRANT,)),
    "redeem": m.Redeem((GRANT,)),
    "hello-first": m.Hello(1, 1, "0.1.0", Incarnation("a" * 32), None, None, "", "", 0, 1),
    "credit": m.Credit(64),
    "credit-extra": m.Credit(64, 500),
    "heartbeat": m.Heartbeat(70_000, 3),
    "heartbeat-runners": m.Heartbeat(70_001, 3, 4),
    "started": m.Started((P, Q)),
    "append": m.Append((m.AppendItem(P, SEGMENT),)),
    "ended-completed": m.Ended(
        (m.EndedItem(P, Completed(b"42"), SEGMENT), m.EndedItem(Q, Completed(BlobRef(DIGEST, 9)), None))
    ),
    "append-taken": m.Append((m.AppendItem(P, replace(SEGMENT, taken=(7, 9))),)),
    "ended-mail": m.Ended(
        (
            m.EndedItem(P, Suspended(1_800_000_000_000, ("child:7", "message:go")), SEGMENT),
            m.EndedItem(Q, Continued(b"{}"), None),
            m.EndedItem(Q, Completed(b"1"), None),
        )
    ),
    "ask": m.Ask(3, P, "child.start", "j1-1-0", b"{}"),
    "tell": m.Tell(P, "progress", b"{}"),
    "ended-failed": m.Ended((m.EndedItem(P, Failed(FAILURE), None),)),
    "ended-others": m.Ended(
        (
            m.EndedItem(P, Suspended(1_800_000_000_000), SEGMENT),
            m.EndedItem(P, Parked(FAILURE), None),
            m.EndedItem(P, Released(), None),
            m.EndedItem(Q, Stopped(), None),
        )
    ),
    "draining": m.Draining(),
    "pong": m.Pong(5),
    "goodbye": m.Goodbye(),
}
FROM_CONTROL_PLANE: dict[str, m.FromControlPlane] = {
    "welcome": m.Welcome(1, SessionId(99), 15_000, 3_000, "0.1.0", (P,)),
    "welcome-clock": m.Welcome(1, SessionId(99), 15_000, 3_000, "0.1.0", (P,), 1_800_000_000_000),
    "refused": m.Refused(m.REFUSED_KEY_IN_USE, "another process holds this key", final=False),
    "assign": m.Assign(
        (
            m.Assignment(P, 2, SPEC, (SEGMENT,), 6),
            m.Assignment(Q, 1, JobSpec(module=DIGEST, input=BlobRef(DIGEST, 5000))),
        )
    ),
    "assign-secrets": m.Assign(
        (
            m.Assignment(
                Q,
                1,
                replace(SPEC, secrets=("TOKEN", "GONE")),
                secrets=(SecretValue("TOKEN", 3, "pa\u00df", b"\x00key"), SecretValue("GONE", 0)),
            ),
        )
    ),
    "appended": m.Appended((Append.DONE, Append.STALE, Append.GAP)),
    "recorded": m.Recorded((P, Q)),
    "beat": m.Beat(70_000),
    "beat-rest": m.Beat(70_001, 60_000),
    "stop": m.Stop((P,)),
    "stop-cancel": m.Stop((P,), cancel=True),
    "drop": m.Drop((Q,)),
    "drain": m.Drain(),
    "drain-running": m.Drain(running=True),
    "ping": m.Ping(5),
    "granted": m.Granted((GRANT,)),
    "resume": m.Resume(),
    "answered": m.Answered(3, b'{"ok":null}'),
    "assign-grace": m.Assign((m.Assignment(P, 2, replace(SPEC, cancel_grace_ms=10_000), (SEGMENT,), 6),)),
    "assign-none": m.Assign((m.Assignment(Q, 1, replace(SPEC, durability=Durability.NONE)),)),
    "assign-journal": m.Assign((m.Assignment(P, 2, SPEC, (SEGMENT,), 6),)),
    "assign-deadline": m.Assign((m.Assignment(P, 2, SPEC, (SEGMENT,), 6, (), 60_000),)),
    "assign-inputs": m.Assign((m.Assignment(P, 2, replace(SPEC, inputs=(INPUT,)), (SEGMENT,), 6),)),
}
REQUESTS: dict[str, blobs.BlobRequest] = {
    "get-blob": blobs.GetBlob(DIGEST),
    "put-blob": blobs.PutBlob(DIGEST, 5000),
    "get-journal": blobs.GetJournal(P),
    "put-artifact": blobs.PutArtifact(P, DIGEST, 5_000_000_000),
}
ANSWERS: dict[str, blobs.BlobAnswer] = {
    "follows": blobs.Follows(5000),
    "missing": blobs.Missing(),
    "wanted": blobs.Wanted(),
    "stored": blobs.Stored(),
    "transfer-failed": blobs.TransferFailed("unavailable", "disk full"),
}
ALL: dict[str, msgspec.Struct] = {**FROM_WORKER, **FROM_CONTROL_PLANE, **REQUESTS, **ANSWERS}
SHORTER = frozenset(
    {
        "append",
        "assign",
        "assign-grace",
        "assign-none",
        "assign-journal",
        "assign-deadline",
        "assign-secrets",
        "stop",
        "ended-completed",
        "ended-others",
        "credit",
        "hello",
        "hello-first",
        "hello-labels",
        "hello-previous-over",
        "heartbeat",
        "drain",
        "beat",
        "welcome",
    }
)
"""From before fields were added at the end of the message: read, with defaults for what they lack."""


def recorded() -> dict[str, bytes]:
    lines = (line.split() for line in FILE.read_text().splitlines())
    return {name: bytes.fromhex(data) for name, data in lines}


@pytest.mark.parametrize("name", sorted(ALL.keys() - SHORTER))
def test_a_recorded_frame_is_written_the_same_today(name: str) -> None:
    assert frames.encode(ALL[name]).hex() == recorded()[name].hex()


@pytest.mark.parametrize("name", ALL)
def test_a_recorded_frame_is_still_read(name: str) -> None:
    data = recorded()[name]
    readers = {
        tuple(FROM_WORKER): frames.from_worker,
        tuple(FROM_CONTROL_PLANE): frames.from_control_plane,
        tuple(REQUESTS): blobs.request_reader,
        tuple(ANSWERS): blobs.answer_reader,
    }
    (make,) = (make for names, make in readers.items() if name in names)
    reader: frames.FrameReader[object] = make()  # type: ignore[assignment]  # any of the four
    assert reader.feed(data) == [ALL[name]]


def test_every_message_has_a_golden_frame() -> None:
    unions = (m.FromWorker, m.FromControlPlane, blobs.BlobRequest, blobs.BlobAnswer)
    types = {message for union in unions for message in union.__args__}
    assert types == {type(message) for message in ALL.values()}
    assert types == {type(ALL[name]) for name in ALL.keys() - SHORTER}
    assert set(recorded()) >= set(ALL)
