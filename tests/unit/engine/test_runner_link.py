"""The runner's end of its socket: what is gathered, and when it goes."""

import socket
import time
from collections.abc import Iterator

import pytest

from mvm_ci.domain.outcome import Completed
from mvm_ci.domain.segment import Segment
from mvm_ci.engine.messages import (
    Durable,
    FromRunner,
    Post,
    Result,
    Results,
    ToRunner,
    from_runner_frames,
    pack,
)
from mvm_ci.engine.runner_link import (
    GATHER_NS,
    GATHER_RESULTS_NS,
    HURRIED_NS,
    Disconnected,
    RunnerLink,
)


class Pool:
    """The other end."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.setblocking(False)
        self.link = RunnerLink(theirs)
        self.ends = [self.socket, theirs]

    def send(self, *messages: ToRunner) -> None:
        self.socket.sendall(pack(messages))

    def said(self) -> list[FromRunner]:
        try:
            return from_runner_frames().feed(self.socket.recv(1 << 16))
        except BlockingIOError:
            return []


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    for end in pool.ends:
        end.close()


def result(number: int) -> Result:
    return Result(number, Completed(b""), None, 1)


POST = Post(1, Segment(0, 1, b"x"))


def test_results_go_together_after_what_was_sent_before_them(pool: Pool) -> None:
    pool.link.done(result(1))
    pool.link.send(POST)
    pool.link.done(result(2))
    assert pool.said() == []
    pool.link.flush()
    assert pool.said() == [POST, Results((result(1), result(2)))]
    pool.link.flush()
    assert pool.said() == []


def test_results_wait_for_others_but_not_for_long(pool: Pool) -> None:
    began = time.perf_counter_ns()
    pool.link.done(result(1))
    pool.link.flush_if_due(began + GATHER_RESULTS_NS - 1)
    assert pool.said() == []
    pool.link.flush_if_due(time.perf_counter_ns() + GATHER_RESULTS_NS)
    assert pool.said() == [Results((result(1),))]


def test_what_a_guest_waits_for_takes_results_along(pool: Pool) -> None:
    pool.link.done(result(1))
    pool.link.send(POST)
    pool.link.flush_if_due(time.perf_counter_ns() + GATHER_NS)
    assert pool.said() == [POST, Results((result(1),))]


def test_what_guests_wait_for_gathers_less_long_where_others_use_up_their_slices(pool: Pool) -> None:
    for hurried, longest_ns in ((False, GATHER_NS), (True, HURRIED_NS)):
        pool.link.hurried = hurried
        began = time.perf_counter_ns()
        pool.link.send(POST)
        pool.link.flush_if_due(began + longest_ns - 1)
        assert pool.said() == []
        pool.link.flush_if_due(time.perf_counter_ns() + longest_ns)
        assert pool.said() == [POST]


def test_what_has_come_is_there_at_once_or_waited_for(pool: Pool) -> None:
    assert pool.link.receive(0) == []
    assert pool.link.receive(0.001) == []
    pool.send(Durable({1: 1}), Durable({1: 2}))
    assert pool.link.receive(10) == [Durable({1: 1}), Durable({1: 2})]
    pool.send(Durable({1: 3}))
    assert pool.link.receive(None) == [Durable({1: 3})]


@pytest.mark.parametrize("timeout", [0, 10, None])
def test_a_pool_that_is_gone_is_noticed(pool: Pool, timeout: float | None) -> None:
    pool.socket.close()
    with pytest.raises(Disconnected):
        pool.link.receive(timeout)
    pool.link.done(result(1))
    with pytest.raises(Disconnected):
        pool.link.flush()
