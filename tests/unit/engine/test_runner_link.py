"""The runner's end of the sockets, without threads: what the watcher does is called by hand."""

import socket
from collections.abc import Callable, Iterator

import pytest

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed, Outcome, Released, Stopped
from mvm_ci.engine.messages import (
    Durable,
    FromRunner,
    LeaveNow,
    Recalled,
    Result,
    Results,
    Run,
    Task,
    ToRunner,
    from_runner_frames,
    pack,
)
from mvm_ci.engine.runner_link import Disconnected, RunnerLink
from mvm_ci.ports.execution import Leave
from mvm_ci.ports.guest import CompiledModule, ModuleKind, Unwind

MODULE = CompiledModule(digest="d", kind=ModuleKind.CORE, path="p")


class Pool:
    """The other end."""

    def __init__(self) -> None:
        self.data, data = socket.socketpair()
        self.control, control = socket.socketpair()
        self.data.settimeout(10)
        self.interruptions: list[Unwind] = []
        self.link = RunnerLink(data, control, self.interrupt)
        self.ends = [self.data, self.control, data, control]

    def interrupt(self, make: Callable[[], Unwind]) -> None:
        self.interruptions.append(make())

    def send(self, *messages: ToRunner) -> None:
        self.data.sendall(pack(messages))

    def give(self, *numbers: int) -> None:
        tasks = [Task(number, 0, b"", 0, Placed(JobId(number), 1), 1, ()) for number in numbers]
        self.send(Run((MODULE,), tuple(tasks)))

    def watcher_reads(self) -> None:
        with self.link._lock:
            self.link._drain_locked()

    def said(self) -> list[FromRunner]:
        return from_runner_frames().feed(self.data.recv(1 << 16))


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    for end in pool.ends:
        end.close()


def test_tasks_come_in_order_and_results_go_together(pool: Pool) -> None:
    pool.give(1, 2)
    for number in (1, 2):
        assert pool.link.next_task().task.number == number
        pool.link.done(Result(number, Completed(b""), None, 1))
    pool.data.shutdown(socket.SHUT_WR)
    with pytest.raises(Disconnected):
        pool.link.next_task()
    [results] = pool.said()
    assert isinstance(results, Results)
    assert [result.number for result in results.items] == [1, 2]


def test_results_that_took_long_go_at_once(pool: Pool) -> None:
    pool.give(1, 2)
    pool.link.next_task()
    pool.link.done(Result(1, Completed(b""), None, 1_000_000_000))
    assert len(pool.said()) == 1


@pytest.mark.parametrize("outcome", [Stopped(), Released(), None])
def test_an_order_to_leave_that_the_watcher_read_is_not_waited_for(
    pool: Pool, outcome: Outcome | None
) -> None:
    pool.give(1)
    pool.link.next_task()
    pool.link.enter()
    pool.send(LeaveNow(1, outcome))
    pool.watcher_reads()
    with pytest.raises(Leave):
        pool.link.receive(None)


def test_tasks_and_answers_that_the_watcher_read_are_not_waited_for(pool: Pool) -> None:
    pool.give(1)
    pool.watcher_reads()
    assert pool.link.next_task().task.number == 1
    pool.send(Durable(1, 1))
    pool.watcher_reads()
    assert pool.link.receive(None) == [Durable(1, 1)]


def test_after_its_guest_left_only_a_stop_keeps_the_last_entries_back(pool: Pool) -> None:
    pool.give(1)
    pool.link.next_task()
    pool.link.enter()
    pool.link.exit()
    pool.send(LeaveNow(1, Released()), Durable(1, 1))
    assert pool.link.receive(None) == [Durable(1, 1)]
    pool.link.done(Result(1, Released(), None, 1))
    pool.give(2)
    pool.link.next_task()
    pool.send(LeaveNow(2, Stopped()))
    with pytest.raises(Leave):
        pool.link.receive(None)


def test_an_order_about_an_earlier_task_harms_no_later_one(pool: Pool) -> None:
    pool.give(1, 2)
    pool.link.next_task()
    pool.link.done(Result(1, Completed(b""), None, 1))
    pool.link.next_task()
    pool.link.enter()
    pool.send(LeaveNow(1, Stopped()), Durable(2, 1))
    assert pool.link.receive(None) == [Durable(2, 1)]
    assert pool.link._interrupt_current() is False
    assert pool.interruptions == []


def test_only_a_guest_that_runs_is_interrupted(pool: Pool) -> None:
    pool.give(1)
    pool.link.next_task()
    pool.send(LeaveNow(1, Released()))
    pool.watcher_reads()
    assert pool.link._interrupt_current() is True
    assert pool.interruptions == []
    pool.link.enter()
    assert pool.link._interrupt_current() is True
    assert len(pool.interruptions) == 1


def test_what_has_not_begun_leaves_and_comes_back_at_once(pool: Pool) -> None:
    pool.give(1, 2, 3)
    pool.link.next_task()
    pool.send(LeaveNow(2, Stopped()))
    pool.watcher_reads()
    [results] = pool.said()
    assert results == Results((Result(2, Stopped(), None, 0),))
    with pool.link._lock:
        pool.link._recall_locked()
    assert pool.said() == [Recalled((3,))]


def test_what_has_ended_is_said_before_what_comes_back(pool: Pool) -> None:
    pool.give(1, 2, 3)
    pool.link.next_task()
    pool.link.done(Result(1, Completed(b""), None, 1))
    pool.link.next_task()
    with pool.link._lock:
        pool.link._recall_locked()
    assert [type(message) for message in pool.said()] == [Results, Recalled]
