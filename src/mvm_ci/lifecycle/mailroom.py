"""Mail: what comes for a job goes to its guest where that waits in place, or wakes the suspended job."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.mail import MailWait, encode_mail
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.until_done import UntilDone
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.mail import Letter, MailStore, Sent

AT_ONCE: Final = 100
"""Pieces in one answer; the rest comes with the next wait."""
Answer = Callable[[bytes], None]


class _Waiting(NamedTuple):
    placed: Placed
    wait: MailWait
    answer: Answer


class Mailroom:
    """Knows which guests wait in place; the store knows which jobs are suspended."""

    def __init__(self, store: MailStore, dispatcher: Dispatcher, clock: Clock) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._waiting: dict[JobId, _Waiting] = {}
        self._looking = UntilDone(clock, "mail_not_read")
        dispatcher.when_unplaced(self._left)

    def __len__(self) -> int:
        """Guests that wait in place."""
        return len(self._waiting)

    def wait(self, placed: Placed, wait: MailWait, answer: Answer) -> None:
        """A guest waits: ``answer`` is called once there is mail about its topics, or at once if it wants so.
        A later wait of its job takes the place of this one.
        """
        waiting = _Waiting(placed, wait, answer)
        self._waiting[placed.job] = waiting
        self._looking.begin(partial(self._look, waiting))

    async def send(self, letter: Letter) -> Sent:
        """Durable on return. Raises ``Unavailable``."""
        sent = await self._store.send(letter)
        if sent is Sent.DONE:
            self.arrived((letter.job,))
        return sent

    def arrived(self, jobs: Iterable[JobId]) -> None:
        """There is mail for these, durably."""
        suspended = False
        for job in jobs:
            waiting = self._waiting.get(job)
            if waiting is not None:
                self._looking.begin(partial(self._look, waiting))
            else:
                suspended = True
        if suspended:
            self._dispatcher.pending()

    def _left(self, placements: Iterable[Placed]) -> None:
        """These are over: whoever waited there does not any more."""
        if self._waiting:
            for placed in placements:
                waiting = self._waiting.get(placed.job)
                if waiting is not None and waiting.placed == placed:
                    del self._waiting[placed.job]

    async def close(self) -> None:
        """Ends what is under way; workers ask again."""
        await self._looking.close()

    async def _look(self, waiting: _Waiting) -> None:
        job = waiting.placed.job
        found = await self._store.mail(job, waiting.wait.topics, AT_ONCE)
        if (found or waiting.wait.at_once) and self._waiting.get(job) is waiting:
            del self._waiting[job]
            waiting.answer(encode_mail(found))
