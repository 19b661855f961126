"""What guests ask of the control plane, kept until it is answered. Implements ``ports.engine.ControlPlane``.

There is one for the life of the process: after a reconnect what is not answered is asked again.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from mvm_ci.domain.job import Placed
from mvm_ci.domain.mail import WAIT_FOR_MAIL
from mvm_ci.wire.messages import Ask, FromWorker, Tell

ASKING: Final = 2
"""The first version of the protocol that has questions."""
_UNSUPPORTED: Final = (
    b'{"error":{"kind":"unsupported","message":"the control plane is older than this worker"}}'
)


class Asks:
    """``post`` sends a message on the connection that stands, if one does."""

    def __init__(self, post: Callable[[FromWorker], None]) -> None:
        self._post = post
        self._understood = True
        self._number = 0
        self._unanswered: dict[int, tuple[Ask, asyncio.Future[bytes]]] = {}

    async def ask(self, placed: Placed, name: str, key: str, argument: bytes) -> bytes:
        if not self._understood and name != WAIT_FOR_MAIL:
            return _UNSUPPORTED
        self._number += 1
        question = Ask(self._number, placed, name, key, argument)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._unanswered[question.number] = (question, answer)
        if self._understood:
            self._post(question)
        try:
            return await answer
        finally:
            del self._unanswered[question.number]

    def tell(self, placed: Placed, name: str, argument: bytes) -> None:
        if self._understood:
            self._post(Tell(placed, name, argument))

    def spoken(self, protocol: int) -> list[Ask]:
        """A connection stands that speaks ``protocol``: what is to be asked on it, oldest first."""
        self._understood = protocol >= ASKING
        return [question for question, _ in self._unanswered.values()] if self._understood else []

    def answered(self, number: int, answer: bytes) -> None:
        """The answer to a question, if somebody still waits for it."""
        _, waiting = self._unanswered.get(number, (None, None))
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
