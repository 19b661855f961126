"""Questions of guests: asked until they are answered, and only of who understands them."""

import asyncio
import json

import pytest

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.mail import WAIT_FOR_MAIL
from mvm_ci.peer.asks import Asks
from mvm_ci.wire.messages import Ask, FromWorker, Tell

ONE = Placed(JobId(1), 1)


class Line:
    """What is sent."""

    def __init__(self) -> None:
        self.sent: list[FromWorker] = []
        self.asks = Asks(self.sent.append)


async def begun(line: Line, name: str = "child.start") -> asyncio.Task[bytes]:
    task = asyncio.create_task(line.asks.ask(ONE, name, "k", b"{}"))
    await asyncio.sleep(0)
    return task


async def test_a_question_is_sent_and_answered() -> None:
    line = Line()
    task = await begun(line)
    assert line.sent == [Ask(1, ONE, "child.start", "k", b"{}")]
    line.asks.answered(1, b"yes")
    assert await task == b"yes"
    assert line.asks.spoken(2) == []


async def test_what_is_not_answered_is_asked_again_in_order() -> None:
    line = Line()
    tasks = [await begun(line) for _ in range(3)]
    line.asks.answered(2, b"yes")
    await tasks[1]
    assert [question.number for question in line.asks.spoken(2)] == [1, 3]
    for task in tasks:
        task.cancel()


async def test_what_is_given_up_is_not_asked_again_and_its_answer_is_of_no_interest() -> None:
    line = Line()
    task = await begun(line)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert line.asks.spoken(2) == []
    line.asks.answered(1, b"late")


async def test_a_control_plane_that_does_not_understand_is_not_asked() -> None:
    line = Line()
    line.asks.spoken(1)
    answer = json.loads(await line.asks.ask(ONE, "child.start", "k", b"{}"))
    assert answer["error"]["kind"] == "unsupported"
    line.asks.tell(ONE, "progress", b"{}")
    assert line.sent == []


async def test_a_wait_outlasts_a_control_plane_that_does_not_understand() -> None:
    line = Line()
    line.asks.spoken(1)
    task = await begun(line, WAIT_FOR_MAIL)
    assert line.sent == []
    assert [question.name for question in line.asks.spoken(2)] == [WAIT_FOR_MAIL]
    line.asks.tell(ONE, "progress", b"{}")
    assert line.sent == [Tell(ONE, "progress", b"{}")]
    task.cancel()
