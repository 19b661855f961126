"""Whoever started this process and looks after it, such as systemd: it is told how the process does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

Progress: TypeAlias = Callable[[], Awaitable[str]]
"""Returns once the process was seen to get on, with what it does in a few words, for people. As long as the
process hangs, so does this. Raises nothing but bugs.
"""


class Supervisor(Protocol):
    """See the module's docstring. No method blocks, or fails because nobody listens."""

    def ready(self, status: str) -> None:
        """The process does what it is for, from here on."""
        ...

    def stopping(self, status: str, within_s: float) -> None:
        """It has begun to end, and needs ``within_s`` for that at most."""
        ...

    async def follow(self, progress: Progress) -> None:
        """Asks ``progress`` again and again and passes on what it learns. Runs until it is cancelled."""
        ...


class Unsupervised:
    """``Supervisor``: there is none."""

    def ready(self, status: str) -> None:
        """Nobody is told."""

    def stopping(self, status: str, within_s: float) -> None:
        """Nobody is told."""

    async def follow(self, progress: Progress) -> None:  # noqa: ARG002 (nobody wants to know)
        await asyncio.Event().wait()
