"""What the guests of one worker's connection ask, a few at a time, in their order."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from mvm_ci.domain.errors import BadInput, ProtocolError, Unavailable
from mvm_ci.domain.ids import format_job_id
from mvm_ci.domain.mail import WAIT_FOR_MAIL
from mvm_ci.lifecycle.guest_asks import GuestAsks, failed
from mvm_ci.lifecycle.placements import Placements
from mvm_ci.wire import messages as m

log = structlog.get_logger(__name__)

AT_ONCE: Final = 64
"""Questions of one connection that are looked after at once."""
MAX_WAITING: Final = 16_384
"""Questions that may stand in line: a worker that asks more is none of ours."""


class Asking:
    """``send``: sends an answer; ``failed``: told that the store cannot be reached: the worker asks again on
    a new connection.
    """

    def __init__(
        self,
        asks: GuestAsks,
        send: Callable[[m.FromControlPlane], None],
        failed: Callable[[], None],
    ) -> None:
        self._asks = asks
        self._send = send
        self._failed = failed
        self._line: deque[m.Ask] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, question: m.Ask, placements: Placements) -> None:
        """Takes a question. Raises ``ProtocolError``: no engine of ours asks so."""
        if question.placed not in placements:
            # It belongs to somebody else: whoever asks in its name learns it.
            self._send(m.Drop((question.placed,)))
            return
        if question.name == WAIT_FOR_MAIL:
            self._wait(question)
            return
        if len(self._line) >= MAX_WAITING:
            raise ProtocolError(f"more than {MAX_WAITING} questions in line")
        self._line.append(question)
        self._go_on()

    def tell(self, said: m.Tell, placements: Placements) -> None:
        """Takes what needs no answer. Raises ``ProtocolError``."""
        if said.placed in placements:
            try:
                self._asks.tell(said.placed, said.name, said.argument)
            except BadInput as error:
                raise ProtocolError(str(error)) from error

    async def close(self) -> None:
        """Gives up what is under way."""
        self._line.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _wait(self, question: m.Ask) -> None:
        number = question.number
        try:
            self._asks.wait(
                question.placed, question.argument, lambda mail: self._send(m.Answered(number, mail))
            )
        except BadInput as error:
            raise ProtocolError(str(error)) from error

    def _go_on(self) -> None:
        while self._line and len(self._tasks) < AT_ONCE:
            task = asyncio.get_running_loop().create_task(self._answer(self._line.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._go_on()

    async def _answer(self, question: m.Ask) -> None:
        try:
            answer = await self._asks.answer(question.placed, question.name, question.key, question.argument)
        except Unavailable as error:
            log.warning("question_not_answered", error=str(error))
            self._failed()
        except Exception as error:
            # Without an answer it would be asked again on every connection, to the same end.
            log.exception("question_failed", name=question.name, job=format_job_id(question.placed.job))
            self._send(m.Answered(question.number, failed(error)))
        else:
            self._send(m.Answered(question.number, answer))
