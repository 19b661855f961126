"""The questions of guests, each served by a task of its own."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from mvm_ci.domain.ids import format_job_id
from mvm_ci.domain.outcome import Failed, Failure, FailureKind, Outcome
from mvm_ci.engine.effects import Effects
from mvm_ci.engine.live import Live
from mvm_ci.engine.messages import Question, Reply

_log = structlog.get_logger(__name__)


class Questions:
    """A guest has at most one. ``answer``: takes the answer; ``failed``: ends a guest that can have none."""

    def __init__(
        self,
        effects: Effects,
        *,
        answer: Callable[[Live, Reply], Awaitable[None]],
        failed: Callable[[Live, Outcome], None],
    ) -> None:
        self._effects = effects
        self._answer = answer
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, live: Live, question: Question) -> None:
        """Serves ``question``. Nobody waits for the answer to the last one: it was mail that did not come."""
        live.cancel_effect()
        task = live.effect = asyncio.get_running_loop().create_task(self._serve(live, question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> set[asyncio.Task[None]]:
        """Gives all of them up. Returns what is to be waited for."""
        for task in self._tasks:
            task.cancel()
        return set(self._tasks)

    async def _serve(self, live: Live, question: Question) -> None:
        try:
            async with self._effects.served(live, question) as answer:
                if live.effect is asyncio.current_task():
                    live.effect = None
                    await self._answer(live, answer)
        except Exception as error:  # noqa: BLE001 - it costs this job, and its guest does not wait for ever
            _log.exception("question_not_answered", job=format_job_id(live.placed.job))
            message = f"error in the engine: {type(error).__name__}: {error}"
            if live.effect is asyncio.current_task():
                live.effect = None
                self._failed(live, Failed(Failure(kind=FailureKind.ENGINE, message=message)))
