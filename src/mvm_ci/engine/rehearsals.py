"""Rehearsals in a child process: started when one is asked for, killed with a guest that does not end.

One after the other: whoever wants several at once makes several of these.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from mvm_ci.domain.errors import MvmCiError, TooLarge, Unavailable
from mvm_ci.domain.payload import BlobRef
from mvm_ci.engine.messages import pack
from mvm_ci.engine.rehearsal_messages import (
    BlobBytes,
    CaughtUp,
    Decided,
    FromChild,
    GetBlob,
    Rehearse,
    Wrote,
    from_child_frames,
)
from mvm_ci.engine.runner_process import child_environment
from mvm_ci.engine.settings import DEFAULT_RUNTIME
from mvm_ci.lifecycle.rehearse import COMPUTES, Agrees, Undecided, Verdict

NEXT_S: Final = 10.0
"""How long a guest that has repeated all that is recorded may compute until its next call."""
MAX_PAYLOAD: Final = 128 << 20
"""Bytes of an artifact or payload that the guest reads by a call: they are in memory as a whole."""
_EXIT_S: Final = 5.0
_READ: Final = 1 << 18

GetBytes = Callable[[BlobRef], Awaitable[bytes]]
"""The bytes of a payload that the journal refers to. Raises ``MvmCiError`` where there are none."""
Written = Callable[[str, str], None]
"""Gets what the guest writes: stream, text."""


class _Child(NamedTuple):
    process: asyncio.subprocess.Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Rehearsals:
    """An async context manager. ``directory``: where the child runs; ``runtime``: as of ``PoolSettings``;
    ``next_s``: ``NEXT_S``, which a test shortens.
    """

    def __init__(self, directory: Path, runtime: str = DEFAULT_RUNTIME, next_s: float = NEXT_S) -> None:
        self._directory = directory
        self._runtime = runtime
        self._next_s = next_s
        self._child: _Child | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def rehearse(
        self, task: Rehearse, get_blob: GetBytes, *, time_s: float, wrote: Written | None = None
    ) -> Verdict:
        """Runs the guest in the child. ``time_s``: until it has repeated all that is recorded.

        Raises ``Unavailable`` if no child can be started, and what ``get_blob`` raises but ``MvmCiError``.
        """
        if self._child is None:
            self._child = await self._start()
        rehearsal = _Rehearsal(self._child, get_blob, wrote)
        decided = False
        try:
            verdict = await rehearsal.run(task, time_s, self._next_s)
            decided = True
        finally:
            # What runs there runs on: also if whoever waits for it gives up.
            if not decided or not rehearsal.decided:
                await asyncio.shield(self._end())
        return verdict

    async def _start(self) -> _Child:
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            arguments = (str(os.getpid()), str(theirs.fileno()), self._runtime)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-m", "mvm_ci.engine.rehearsal_child", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                cwd=self._directory,
                env=child_environment(os.environ),
            )
        except OSError as error:
            ours.close()
            raise Unavailable(f"no process for the rehearsal could be started: {error}") from error
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        return _Child(process, reader, writer)

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.writer.close()
        with contextlib.suppress(ProcessLookupError):
            child.process.kill()
        async with asyncio.timeout(_EXIT_S):
            await child.process.wait()


class _Rehearsal:
    """One rehearsal, as it is heard of. ``decided``: the child is done with it."""

    def __init__(self, child: _Child, get_blob: GetBytes, wrote: Written | None) -> None:
        self._child = child
        self._get_blob = get_blob
        self._wrote = wrote
        self._caught_up = asyncio.Event()
        self.decided = False

    async def run(self, task: Rehearse, time_s: float, next_s: float) -> Verdict:
        """The verdict; if there is none in time, ``decided`` stays false."""
        listening = asyncio.create_task(self._listen(task))
        catching_up = asyncio.create_task(self._caught_up.wait())
        try:
            await asyncio.wait({listening, catching_up}, timeout=time_s, return_when=asyncio.FIRST_COMPLETED)
            if self._caught_up.is_set():
                await asyncio.wait({listening}, timeout=next_s)
            if listening.done():
                return await listening
        finally:
            for waiting in (listening, catching_up):
                waiting.cancel()
            await asyncio.gather(listening, catching_up, return_exceptions=True)
        if self._caught_up.is_set():
            return Agrees(entries=sum(segment.count for segment in task.journal), stands=COMPUTES)
        return Undecided(reason=f"it did not get through its journal within {time_s:g} s")

    async def _listen(self, task: Rehearse) -> Verdict:
        reader, writer = self._child.reader, self._child.writer
        writer.write(pack((task,)))
        frames = from_child_frames()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_READ):
                for message in frames.feed(data):
                    if isinstance(message, Decided):
                        self.decided = True
                        return message.verdict
                    await self._hear(message)
        return Undecided(reason=f"the process that ran it died ({await _how(self._child.process)})")

    async def _hear(self, message: FromChild) -> None:
        if isinstance(message, Wrote) and self._wrote is not None:
            self._wrote(message.stream, message.text)
        elif isinstance(message, CaughtUp):
            self._caught_up.set()
        elif isinstance(message, GetBlob):
            try:
                if message.ref.size > MAX_PAYLOAD:
                    raise TooLarge(f"it has {message.ref.size} bytes; a replay reads at most {MAX_PAYLOAD}")
                answer = BlobBytes(await self._get_blob(message.ref))
            except MvmCiError as error:
                answer = BlobBytes(None, str(error))
            self._child.writer.write(pack((answer,)))


async def _how(process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(_EXIT_S):
        code = await process.wait()
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
