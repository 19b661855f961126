"""Guests that share a runner: how much one that computes slows down the steps of another one."""

import socket
import statistics
import threading
import time
from itertools import pairwise
from typing import Final

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Stopped
from mvm_ci.engine.messages import (
    Durable,
    FromRunner,
    LeaveNow,
    Post,
    Results,
    Run,
    Setup,
    Sleeps,
    Task,
    from_runner_frames,
    pack,
)
from mvm_ci.engine.runner_link import Disconnected, RunnerLink
from mvm_ci.engine.turns import Turns
from mvm_ci.ports.guest import CompiledModule, GuestRuntime

STEPS: Final = 500
"""Sleeps of 2 ms of one guest: from one to the next is a step."""


class Runner:
    """Turns on a thread of their own, and the pool's end of their socket."""

    def __init__(self, runtime: GuestRuntime, module: CompiledModule) -> None:
        self.module = module
        self.socket, theirs = socket.socketpair()
        self.frames = from_runner_frames()
        turns = Turns(RunnerLink(theirs), runtime, Setup("here", 5_000))
        threading.Thread(target=self._serve, args=(turns,), daemon=True).start()

    @staticmethod
    def _serve(turns: Turns) -> None:
        try:
            turns.serve()
        except Disconnected:
            return

    def give(self, number: int, given: bytes) -> None:
        placed = Placed(JobId(number), 1)
        task = Task(number, 0, given, 64 << 20, placed, 1, ())
        self.socket.sendall(pack([Run((self.module,), (task,))]))

    def hear(self) -> list[FromRunner]:
        messages = self.frames.feed(self.socket.recv(1 << 18))
        for message in messages:
            if isinstance(message, Post):
                self.socket.sendall(pack([Durable({message.number: 1 << 30})]))
        return messages

    def steps_ms(self, number: int, count: int) -> list[float]:
        """From one sleep to the next, as the pool hears of them."""
        self.give(number, f"s{count}".encode())
        times: list[float] = []
        while True:
            for message in self.hear():
                if isinstance(message, Sleeps) and message.number == number:
                    times.append(time.perf_counter())
                elif isinstance(message, Results) and message.items[0].number == number:
                    return [(after - before) * 1000 for before, after in pairwise(times)]

    def end_ms(self, number: int) -> float:
        """How long it takes to stop a guest."""
        began = time.perf_counter()
        self.socket.sendall(pack([LeaveNow(number, Stopped())]))
        while not any(isinstance(message, Results) for message in self.hear()):
            pass
        return (time.perf_counter() - began) * 1000


def neighbours(runtime: GuestRuntime, module: CompiledModule, *, quick: bool) -> dict[str, float]:
    """99th percentiles of a step alone, beside one guest that computes, and how long stopping that takes."""
    count = 50 if quick else STEPS
    runner = Runner(runtime, module)
    alone = _p99(runner.steps_ms(1, count))
    runner.give(2, b"l")
    beside = _p99(runner.steps_ms(3, count))
    return {
        "neighbour_alone_p99_ms": alone,
        "neighbour_p99_ms": beside,
        "neighbour_p99_ratio": beside / alone,
        "stop_computing_ms": runner.end_ms(2),
    }


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]
