"""Turns: how tasks in one runner share its thread, wait, and leave. One thread, a real socket."""

import json
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mvm_ci.domain.http import HttpFailure
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed, Failed, Outcome, Released, Stopped
from mvm_ci.engine.messages import (
    AreYouThere,
    Awake,
    Durable,
    FromRunner,
    Here,
    HttpAnswer,
    HttpCall,
    LeaveNow,
    Post,
    Result,
    Results,
    Run,
    Setup,
    Sleeps,
    Task,
    ToRunner,
    from_runner_frames,
    pack,
)
from mvm_ci.engine.runner_link import Disconnected, RunnerLink
from mvm_ci.engine.turns import Turns
from mvm_ci.ports.guest import CompiledModule, ModuleKind
from tests.integration.engine.fake_guests import FakeRuntime, script

ANSWER = HttpFailure("dns", "no such host")


class Pool:
    """The other end: ``turns`` serves until nothing more comes."""

    def __init__(self, module: Path) -> None:
        self.module = CompiledModule(digest="d", kind=ModuleKind.CORE, path=str(module))
        self.socket, theirs = socket.socketpair()
        self.runtime = FakeRuntime()
        self.turns = Turns(RunnerLink(theirs), self.runtime, Setup("here", 5_000))
        self.ends = [self.socket, theirs]
        self.frames = from_runner_frames()
        self.heard: list[FromRunner] = []

    def send(self, *messages: ToRunner) -> None:
        self.socket.sendall(pack(messages))

    def give(self, *scripts: bytes, first: int = 1) -> None:
        tasks = [
            Task(number, 0, payload, 0, Placed(JobId(number), 1), 1, ())
            for number, payload in enumerate(scripts, first)
        ]
        self.send(Run((self.module,), tuple(tasks)))

    def run_until(self, there: Callable[[], bool]) -> None:
        """Looks and gives turns, as ``serve`` does, until the pool has heard enough."""
        while not there():
            if self.nothing_to_do():
                raise AssertionError(f"only this was heard: {self.heard}")
            self.turns.step()
            if self.nothing_to_do():
                self.turns._link.flush()
            if select.select([self.socket], [], [], 0)[0]:
                self.heard += self.frames.feed(self.socket.recv(1 << 20))

    def nothing_to_do(self) -> bool:
        """Whether the next step would wait for ever."""
        waits = self.turns._ready or self.turns._computing or len(self.turns._sleepers)
        return not (waits or select.select([self.ends[1]], [], [], 0)[0])

    @property
    def results(self) -> list[Result]:
        return [item for message in self.heard if isinstance(message, Results) for item in message.items]

    def outcomes(self, count: int) -> dict[int, Outcome | None]:
        self.run_until(lambda: len(self.results) >= count)
        return {result.number: result.outcome for result in self.results}

    def wait_for(self, kind: type, count: int = 1) -> list[FromRunner]:
        def found() -> list[FromRunner]:
            return [message for message in self.heard if isinstance(message, kind)]

        self.run_until(lambda: len(found()) >= count)
        return found()


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    module = tmp_path / "module"
    module.touch()
    pool = Pool(module)
    yield pool
    for end in pool.ends:
        end.close()


def said(outcome: Outcome | None) -> object:
    assert isinstance(outcome, Completed), outcome
    assert isinstance(outcome.result, bytes)
    return json.loads(outcome.result)


def test_tasks_run_in_order_and_their_results_come_together(pool: Pool) -> None:
    pool.give(*(script(["echo", number]) for number in range(1, 6)))
    outcomes = pool.outcomes(5)
    assert [(number, said(outcome)) for number, outcome in outcomes.items()] == [
        (number, [number]) for number in range(1, 6)
    ]
    assert len(pool.heard) == 1


def test_a_guest_that_waits_lets_the_others_run(pool: Pool) -> None:
    pool.give(script(["http", "GET", "http://a/"]), script(["http", "GET", "http://b/"]), script(["echo", 3]))
    assert said(pool.outcomes(1)[3]) == [3]
    pool.send(Durable({1: 1, 2: 1}))
    asked = {message.number: message for message in pool.wait_for(HttpCall, 2)}  # type: ignore[union-attr]
    second, first = asked[2], asked[1]
    assert isinstance(first, HttpCall)
    assert isinstance(second, HttpCall)
    pool.send(HttpAnswer(second.call, ANSWER), HttpAnswer(first.call, ANSWER))
    assert list(pool.outcomes(3)) == [3, 2, 1]


def test_guests_that_compute_share_the_time(pool: Pool) -> None:
    pool.give(script(["spin"]), script(["spin"]), script(["echo", 3]))
    assert said(pool.outcomes(1)[3]) == [3]
    pool.send(AreYouThere())
    assert pool.wait_for(Here) == [Here()]
    pool.send(LeaveNow(1, Stopped()), LeaveNow(2, Released()))
    outcomes = pool.outcomes(3)
    assert (outcomes[1], outcomes[2]) == (Stopped(), Released())


def test_who_has_an_answer_goes_before_those_who_compute(pool: Pool) -> None:
    pool.give(script(["http", "GET", "http://a/"], ["http", "GET", "http://b/"]), *[script(["spin"])] * 5)
    pool.send(Durable({1: 1}))
    [call] = pool.wait_for(HttpCall)
    assert isinstance(call, HttpCall)
    pool.run_until(lambda: len(pool.turns._computing) == 5)
    computing = list(pool.turns._computing)
    pool.send(HttpAnswer(call.call, ANSWER))
    pool.turns.step()
    # Between its answer and its next request one of the others had a turn, not all of them.
    assert list(pool.turns._computing) == computing[1:] + computing[:1]
    pool.send(Durable({1: 2}))
    assert len(pool.wait_for(HttpCall, 2)) == 2


def test_where_a_guest_uses_up_its_slices_nothing_gathers_for_long(pool: Pool) -> None:
    pool.give(script(["echo", 1]))
    pool.outcomes(1)
    assert not pool.turns._link.hurried
    pool.give(script(["spin"]), first=2)
    pool.run_until(lambda: pool.turns._link.hurried)
    pool.send(LeaveNow(2, Stopped()))
    pool.outcomes(2)
    pool.give(script(["echo", 3]), first=3)
    pool.outcomes(3)
    assert not pool.turns._link.hurried


def test_how_long_a_guest_computed_is_told_without_its_waits(pool: Pool) -> None:
    pool.give(script(["sleep", 300]), script(["busy", 20]))
    pool.send(Durable({1: 1}))
    pool.outcomes(2)
    slept, computed = sorted(pool.results, key=lambda result: result.number)
    assert slept.run_ns < 250_000_000
    assert computed.run_ns >= 20_000_000


def test_a_sleep_in_place_is_told(pool: Pool) -> None:
    pool.give(script(["sleep", 5]))
    pool.send(Durable({1: 1}))
    pool.outcomes(1)
    kinds = [type(message) for message in pool.heard]
    assert kinds.index(Sleeps) < kinds.index(Awake) < kinds.index(Results)


@pytest.mark.parametrize("outcome", [Stopped(), Released(), None])
def test_a_guest_that_waits_leaves_at_once(pool: Pool, outcome: Outcome | None) -> None:
    pool.give(script(["sleep", 4_000]))
    pool.wait_for(Sleeps)
    pool.send(LeaveNow(1, outcome), Durable({1: 1}))
    assert pool.outcomes(1) == {1: outcome}
    assert len(pool.turns._sleepers) == 0


def test_an_answer_that_comes_after_the_order_to_leave_wakes_nobody(pool: Pool) -> None:
    pool.give(script(["http", "GET", "http://a/"], ["echo", 1]))
    pool.wait_for(Post)
    pool.send(Durable({1: 1}))
    [call] = pool.wait_for(HttpCall)
    assert isinstance(call, HttpCall)
    pool.send(LeaveNow(1, Released()), HttpAnswer(call.call, ANSWER), Durable({1: 1}))
    assert pool.outcomes(1) == {1: Released()}


def test_what_has_not_begun_leaves_and_nothing_of_it_runs(pool: Pool, tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    pool.give(script(["busy", 20]), script(["mark", mark]))
    pool.send(LeaveNow(2, Stopped()))
    outcomes = pool.outcomes(2)
    assert outcomes[2] == Stopped()
    assert not Path(mark).exists()


def test_after_its_guest_left_only_a_stop_keeps_the_last_entries_back(pool: Pool) -> None:
    texts = [["log", "x" * 40_000] for _ in range(2)]
    pool.give(script(*texts), script(*texts))
    # Their guests are done; both wait for their first entries to be durable.
    pool.wait_for(Post, 4)
    pool.send(LeaveNow(1, Released()), LeaveNow(2, Stopped()))
    assert pool.outcomes(1) == {2: Stopped()}
    pool.send(Durable({1: 2}))
    assert said(pool.outcomes(2)[1]) == [None, None]


def test_orders_and_answers_for_tasks_that_are_over_harm_nobody(pool: Pool) -> None:
    pool.give(script(["echo", 1]))
    pool.outcomes(1)
    pool.send(LeaveNow(1, Stopped()), Durable({1: 1}), HttpAnswer((1 << 32) + 1, ANSWER))
    pool.give(script(["echo", 2]), first=2)
    assert said(pool.outcomes(2)[2]) == [2]


def test_an_error_in_the_engine_costs_one_job(pool: Pool) -> None:
    pool.give(script(["bug"]), script(["echo", 2]))
    outcomes = pool.outcomes(2)
    assert isinstance(outcomes[1], Failed)
    assert "error in the engine" in outcomes[1].failure.message
    assert said(outcomes[2]) == [2]


def test_a_runner_without_memory_ends_whoever_s_turn_it_is(pool: Pool) -> None:
    pool.give(script(["starve"]), script(["echo", 2]))
    with pytest.raises(MemoryError):
        pool.turns.serve()


def test_machine_code_that_is_gone_is_said_to_be(pool: Pool) -> None:
    Path(pool.module.path).unlink()
    pool.give(script(["echo", 1]))
    pool.outcomes(1)
    assert pool.results[0].unloadable


def test_it_ends_with_the_pool(pool: Pool) -> None:
    pool.give(script(["spin"]))
    pool.socket.close()
    with pytest.raises(Disconnected):
        pool.turns.serve()
