"""The event log: numbered batches of events, the oldest of which are trimmed.

Errors of the store itself are ``Unavailable``. As with ``JobQueue``, the call of ``append`` itself takes its
place among the writes, and needs a running event loop.
"""

from collections.abc import Awaitable
from typing import Protocol

from mvm_ci.domain.events import EventBatch


class EventLog(Protocol):
    """See the module's docstring."""

    def append(self, batch: EventBatch, *, at_once: bool) -> Awaitable[None]:
        """Adds a batch, whose numbers are above all that were appended; done when it is durable.

        ``at_once``: else it causes no commit of its own as long as others come within a moment.
        """
        ...

    def read(self, after: int, limit: int) -> Awaitable[list[EventBatch]]:
        """Up to ``limit`` batches with events above the number ``after``, in order."""
        ...

    def last(self) -> Awaitable[int]:
        """The highest number that is kept; 0 if there is none."""
        ...

    def trim(self, before_ms: int, keep: int | None, limit: int) -> Awaitable[tuple[int, int]]:
        """Removes up to ``limit`` of the oldest batches: those from before ``before_ms``, and those beyond
        the newest ``keep`` numbers. The newest batch stays, so that numbers only grow.

        How many batches, and how many events.
        """
        ...
