"""The legal order of messages, from both sides."""

import pytest
from msgspec.structs import replace

from mvm_ci.domain.errors import ProtocolError
from mvm_ci.domain.grant import Grant, PeerRole
from mvm_ci.domain.ids import Digest, Incarnation, JobId, SessionId
from mvm_ci.domain.job import JobSpec, Placed
from mvm_ci.domain.outcome import Released
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.wire import messages as m
from mvm_ci.wire.session import MAX_CREDIT, ControlSession, Phase, WorkerSession, negotiate

HELLO = m.Hello(1, 1, "0.1", Incarnation("a" * 32), None, None, "w", "linux", 4, 1)
WELCOME = m.Welcome(1, SessionId(7), 15_000, 5_000, "0.1", ())
PLACED = Placed(JobId(1), 1)
ASSIGN = m.Assign((m.Assignment(PLACED, 1, JobSpec(module=Digest("0" * 64), input=b"")),))
APPEND = m.Append((m.AppendItem(PLACED, Segment(0, 1, b"x")),))


def open_pair() -> tuple[WorkerSession, ControlSession]:
    worker, control = WorkerSession(), ControlSession()
    worker.sent(HELLO)
    control.received(HELLO)
    control.sent(WELCOME)
    worker.received(WELCOME)
    assert worker.phase is control.phase is Phase.OPEN
    return worker, control


@pytest.mark.parametrize(
    ("oldest", "newest", "spoken"), [(1, 1, 1), (1, 9, 3), (4, 9, None), (0, 0, None), (0, 1, 1)]
)
def test_the_newest_common_version_is_spoken(oldest: int, newest: int, spoken: int | None) -> None:
    assert negotiate(oldest, newest) == spoken


def test_both_sides_count_the_same_credit() -> None:
    worker, control = open_pair()
    worker.sent(m.Credit(3))
    control.received(m.Credit(3))
    control.sent(ASSIGN)
    worker.received(ASSIGN)
    assert worker.credit == control.assignable == 2


def test_a_job_without_credit_breaks_the_protocol_on_either_side() -> None:
    worker, control = open_pair()
    with pytest.raises(ProtocolError, match="credit of 0"):
        worker.received(ASSIGN)
    with pytest.raises(ProtocolError, match="credit of 0"):
        control.sent(ASSIGN)


@pytest.mark.parametrize("more", [0, -1, MAX_CREDIT + 1])
def test_impossible_credits_are_refused(more: int) -> None:
    _, control = open_pair()
    with pytest.raises(ProtocolError):
        control.received(m.Credit(more))


def test_a_draining_worker_is_assigned_nothing_but_takes_what_was_on_its_way() -> None:
    worker, control = open_pair()
    worker.sent(m.Credit(3))
    control.received(m.Credit(3))
    worker.sent(m.Draining())
    worker.received(ASSIGN)
    control.received(m.Draining())
    assert control.assignable == 0


def test_heartbeats_are_numbered_from_one_and_answers_only_grow() -> None:
    worker, control = open_pair()
    for number in (1, 2, 3):
        beat = worker.next_heartbeat(0)
        assert beat.number == number
        control.received(beat)
    control.sent(m.Beat(2))
    worker.received(m.Beat(2))
    for wrong in (2, 1, 4):
        with pytest.raises(ProtocolError):
            worker.received(m.Beat(wrong))
    with pytest.raises(ProtocolError):
        control.received(m.Heartbeat(5, 0))
    worker.received(m.Beat(3))
    assert worker.answered == 3


def test_no_rest_is_shorter_than_none() -> None:
    worker, _ = open_pair()
    worker.next_heartbeat(0)
    with pytest.raises(ProtocolError, match="a rest of -1 ms"):
        worker.received(m.Beat(1, -1))


def test_an_append_is_answered_once_and_in_its_size() -> None:
    worker, _ = open_pair()
    worker.sent(APPEND)
    with pytest.raises(ProtocolError):
        worker.received(m.Appended((Append.DONE, Append.DONE)))
    worker, _ = open_pair()
    worker.sent(APPEND)
    worker.received(m.Appended((Append.DONE,)))
    with pytest.raises(ProtocolError):
        worker.received(m.Appended((Append.DONE,)))


def test_a_pong_needs_its_ping() -> None:
    worker, control = open_pair()
    control.sent(m.Ping(9))
    worker.received(m.Ping(9))
    worker.sent(m.Pong(9))
    control.received(m.Pong(9))
    with pytest.raises(ProtocolError):
        control.received(m.Pong(9))


@pytest.mark.parametrize(
    "message",
    [
        m.Credit(1),
        m.Heartbeat(1, 0),
        m.Started((PLACED,)),
        APPEND,
        m.Ended(()),
        m.Draining(),
        m.Pong(1),
        m.Goodbye(),
    ],
)
def test_nothing_comes_before_the_welcome(message: m.FromWorker) -> None:
    for prepare in ([], [HELLO]):
        control = ControlSession()
        for earlier in prepare:
            control.received(earlier)
        with pytest.raises(ProtocolError):
            control.received(message)


@pytest.mark.parametrize(
    "message",
    [ASSIGN, m.Appended(()), m.Recorded(()), m.Beat(1), m.Stop(()), m.Drop(()), m.Drain(), m.Ping(1)],
)
def test_a_control_plane_welcomes_first(message: m.FromControlPlane) -> None:
    worker = WorkerSession()
    with pytest.raises(ProtocolError):
        worker.received(WELCOME)
    worker.sent(HELLO)
    with pytest.raises(ProtocolError):
        worker.received(message)


def test_who_says_hello_or_welcome_twice_breaks_the_protocol() -> None:
    worker, control = open_pair()
    with pytest.raises(ProtocolError):
        control.received(HELLO)
    with pytest.raises(ProtocolError):
        worker.received(WELCOME)


@pytest.mark.parametrize(("lease", "heartbeat"), [(1000, 1000), (1000, 0), (0, 0), (-5, -9)])
def test_a_welcome_must_leave_time_for_heartbeats(lease: int, heartbeat: int) -> None:
    worker = WorkerSession()
    worker.sent(HELLO)
    with pytest.raises(ProtocolError):
        worker.received(m.Welcome(1, SessionId(1), lease, heartbeat, "", ()))


def test_after_refused_or_goodbye_all_is_said() -> None:
    worker = WorkerSession()
    worker.sent(HELLO)
    worker.received(m.Refused("revoked", "no", final=True))
    assert worker.phase is Phase.OVER
    with pytest.raises(ProtocolError):
        worker.received(WELCOME)
    _, control = open_pair()
    control.received(m.Goodbye())
    with pytest.raises(ProtocolError):
        control.received(m.Credit(1))
    assert control.assignable == 0


# -------------------------------------------------------------------- what each role may say

GRANT = Grant(PLACED, bytes(24))
ENDED = m.Ended((m.EndedItem(PLACED, Released(), None),))
SAID: dict[str, m.FromWorker] = {
    "credit": m.Credit(1),
    "started": m.Started((PLACED,)),
    "append": APPEND,
    "ended": ENDED,
    "ask": m.Ask(1, PLACED, "job.spawn", "k", b"{}"),
    "tell": m.Tell(PLACED, "progress", b"{}"),
    "redeem": m.Redeem((GRANT,)),
    "draining": m.Draining(),
    "heartbeat": m.Heartbeat(1, 0),
}
TOLD: dict[str, m.FromControlPlane] = {"assign": ASSIGN, "granted": m.Granted((GRANT,))}
MAY = {
    PeerRole.WORKER: {"credit", "started", "append", "ended", "ask", "tell", "assign"},
    PeerRole.FOLLOWER: {"credit", "started", "ended", "granted"},
    PeerRole.ENGINE: {"append", "ask", "tell", "redeem", "assign"},
}


def open_as(role: PeerRole) -> tuple[WorkerSession, ControlSession]:
    worker, control = WorkerSession(), ControlSession()
    hello, welcome = replace(HELLO, newest=3, role=role), replace(WELCOME, protocol=3)
    worker.sent(hello)
    control.received(hello)
    control.sent(welcome)
    worker.received(welcome)
    return worker, control


@pytest.mark.parametrize("role", PeerRole)
@pytest.mark.parametrize("what", SAID)
def test_a_peer_says_what_its_role_may(role: PeerRole, what: str) -> None:
    worker, control = open_as(role)
    if what in MAY[role] | {"draining", "heartbeat"}:
        worker.sent(SAID[what])
        control.received(SAID[what])
    else:
        for takes in (worker.sent, control.received):
            with pytest.raises(ProtocolError, match="on the connection of"):
                takes(SAID[what])


@pytest.mark.parametrize("role", PeerRole)
@pytest.mark.parametrize("what", TOLD)
def test_a_peer_is_given_what_is_for_its_role(role: PeerRole, what: str) -> None:
    worker, control = open_as(role)
    if role is not PeerRole.ENGINE:
        worker.sent(m.Credit(1))
        control.received(m.Credit(1))
    if what in MAY[role]:
        control.sent(TOLD[what])
        worker.received(TOLD[what])
    else:
        for takes in (control.sent, worker.received):
            with pytest.raises(ProtocolError, match="on the connection of"):
                takes(TOLD[what])


def test_grants_use_credit_as_jobs_do() -> None:
    worker, control = open_as(PeerRole.FOLLOWER)
    with pytest.raises(ProtocolError, match="credit of 0"):
        control.sent(TOLD["granted"])
    control.received(m.Credit(1))
    worker.sent(m.Credit(1))
    control.sent(TOLD["granted"])
    worker.received(TOLD["granted"])
    assert worker.credit == control.assignable == 0


def test_an_engine_is_given_what_it_asked_for_without_credit() -> None:
    worker, control = open_as(PeerRole.ENGINE)
    worker.sent(SAID["redeem"])
    control.received(SAID["redeem"])
    control.sent(ASSIGN)
    worker.received(ASSIGN)
