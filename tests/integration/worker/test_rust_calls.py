"""How a call into iroh waits for its answer, whoever gives it and when."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from mvm_ci.adapters.iroh import rust_calls

READY, AGAIN = 0, 1
Continue = Callable[[int, int], None]


class Library:
    """Stands for the library: ``answers`` are what its polls do, in order."""

    def __init__(self, *answers: Callable[[Continue, int], None]) -> None:
        self.answers = list(answers)
        self.freed: list[int] = []
        self.later: Callable[[], None] = lambda: None

    def poll(self, future: int, continued: Continue, number: int) -> None:
        self.answers.pop(0)(continued, number)

    def complete(self, future: int, status: Any) -> int:
        return future * 2

    async def call(self) -> object:
        return await rust_calls._call(21, self.poll, self.complete, self.freed.append, str, None)

    def keep(self, continued: Continue, number: int) -> None:
        self.later = lambda: continued(number, READY)


def at_once(code: int) -> Callable[[Continue, int], None]:
    return lambda continued, number: continued(number, code)


def from_a_thread(continued: Continue, number: int) -> None:
    threading.Thread(target=continued, args=(number, READY)).start()


def test_the_installed_bindings_have_the_parts_that_are_replaced() -> None:
    assert rust_calls.known()
    rust_calls.apply()
    assert rust_calls._bindings._uniffi_rust_call_async is rust_calls._call
    status = rust_calls._bindings._UniffiRustCallStatus.default()
    assert (status.code, status.error_buf.capacity, status.error_buf.len) == (0, 0, 0)
    assert not status.error_buf.data


@pytest.mark.parametrize(
    "answers",
    [[at_once(READY)], [from_a_thread]],
    ids=["inside the poll", "from another thread"],
)
async def test_an_answer_comes_back_and_the_future_is_freed(answers: list[Any]) -> None:
    library = Library(*answers)
    assert await library.call() == "42"
    assert library.freed == [21]
    assert not rust_calls._polls


async def test_a_poll_that_is_not_ready_is_repeated() -> None:
    library = Library(at_once(AGAIN), from_a_thread)
    assert await library.call() == "42"
    assert not library.answers


async def test_another_call_of_the_same_thread_may_wake_it() -> None:
    library = Library(at_once(AGAIN))
    library.answers = [library.keep]
    call = asyncio.create_task(library.call())
    await asyncio.sleep(0)
    library.later()
    assert await call == "42"


async def test_a_call_that_is_always_ready_lets_others_run() -> None:
    turns: list[int] = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    await Library(at_once(READY)).call()
    assert turns == [1]


async def test_a_cancelled_call_is_freed_and_a_late_answer_is_harmless() -> None:
    library = Library()
    library.answers = [library.keep]
    call = asyncio.create_task(library.call())
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert library.freed == [21]
    library.later()
    await asyncio.sleep(0)
    assert not rust_calls._polls
