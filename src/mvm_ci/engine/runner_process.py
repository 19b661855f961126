"""A runner process as the pool sees it: started, spoken to, killed, and surely gone."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec
import structlog

from mvm_ci.domain.errors import ProtocolError, Unavailable
from mvm_ci.engine.messages import FromRunner, Ready, Setup, ToRunner, from_runner_frames, pack
from mvm_ci.engine.runner_link import OUT_OF_MEMORY

_log = structlog.get_logger(__name__)
_START_S: Final = 30.0
_EXIT_S: Final = 5.0
_BUFFER: Final = 1 << 20
# A runner executes foreign code: it gets what Python needs to start, none of the worker's settings or
# secrets.
_ENVIRONMENT: Final = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "TMPDIR",
    "PYTHONPATH",
    "PYTHONHOME",
    "TZ",
)


class RunnerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to start runners. ``runtime``: ``module:factory`` of the ``GuestRuntime``; ``directory``: where."""

    place: str
    suspend_after_ms: int
    directory: Path
    runtime: str


class RunnerProcess:
    """One runner. Calls ``on_messages``, and once, after the last message, ``on_gone``."""

    def __init__(
        self,
        on_messages: Callable[["RunnerProcess", list[FromRunner]], None],
        on_gone: Callable[["RunnerProcess"], None],
    ) -> None:
        self._on_messages = on_messages
        self._on_gone = on_gone
        self._process: asyncio.subprocess.Process | None = None
        self._transport: asyncio.Transport | None = None
        self._ready = asyncio.get_running_loop().create_future()
        self._reaper: asyncio.Task[None] | None = None
        self._gone = False
        self._descriptor = -1
        self._ear = _Ear(self._received, self._lost)

    @property
    def pid(self) -> int:
        """The process's id; 0 before it is started."""
        return self._process.pid if self._process is not None else 0

    async def start(self, settings: RunnerSettings) -> None:
        """Returns when the process is ready. Raises ``Unavailable``, with nothing left, if it fails."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        try:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            ours.setblocking(False)
            arguments = (str(os.getpid()), str(theirs.fileno()), settings.runtime)
            # -P: whatever lies in the working directory is not importable.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-m", "mvm_ci.engine.runner", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                cwd=settings.directory,
                env=child_environment(os.environ),
            )
            self._descriptor = os.pidfd_open(self._process.pid)
            theirs.close()
            self._transport, _ = await loop.create_connection(lambda: self._ear, sock=ours)
            self.send(Setup(settings.place, settings.suspend_after_ms))
            async with asyncio.timeout(_START_S):
                await self._ready
        except OSError as error:
            await self.close()
            raise Unavailable(f"a runner process could not be started: {error}") from error
        except BaseException:
            await asyncio.shield(self.close())
            raise
        finally:
            theirs.close()
            if self._transport is None:
                ours.close()

    def send(self, *messages: ToRunner) -> None:
        """Sends ``messages``; dropped if the runner is gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(pack(messages))

    async def drained(self) -> None:
        """Returns when it has read most of what was sent, or is gone."""
        await self._ear.writable.wait()

    def kill(self) -> None:
        """Ends the process at once; ``on_gone`` follows."""
        if self._descriptor >= 0:
            # Not by ``Process.send_signal``: that may reap the child before the event loop does, which then
            # loses its exit status. And no other process can have got the same number meanwhile.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    async def close(self) -> None:
        """Kills the process and waits for its end; ``on_gone`` is not called any more."""
        self._gone = True
        self.kill()
        if self._transport is not None:
            self._transport.abort()
        if not self._ready.done():
            self._ready.cancel()
        if self._process is not None:
            async with asyncio.timeout(_EXIT_S):
                await self._wait()
        if self._reaper is not None:
            await asyncio.wait([self._reaper])

    def _received(self, messages: list[FromRunner]) -> None:
        if self._gone:
            return
        if messages and isinstance(messages[0], Ready):
            if not self._ready.done():
                self._ready.set_result(None)
            del messages[0]
        if messages:
            self._on_messages(self, messages)

    def _lost(self) -> None:
        """The socket closed: the process ended, or is about to be made to."""
        if not self._ready.done():
            self._ready.set_exception(
                Unavailable("a runner process ended while it started; its reason is on stderr")
            )
        self.kill()
        if not self._gone and self._reaper is None:
            self._reaper = asyncio.get_running_loop().create_task(self._reap())

    async def _reap(self) -> None:
        await self._wait()
        if not self._gone:
            self._gone = True
            self._on_gone(self)

    async def _wait(self) -> None:
        if self._process is not None:
            await self._process.wait()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def exit_status(self) -> str:
        """How the process ended, for people."""
        code = self._process.returncode if self._process is not None else None
        if code is None:
            return "it runs"
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        return "out of memory" if code == OUT_OF_MEMORY else f"exit code {code}"


class _Ear(asyncio.Protocol):
    def __init__(self, received: Callable[[list[FromRunner]], None], lost: Callable[[], None]) -> None:
        self._received = received
        self._lost = lost
        self._frames = from_runner_frames()
        self._transport: asyncio.BaseTransport | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._frames.feed(data)
        except ProtocolError:
            _log.exception("runner_broke_protocol")
            if self._transport is not None:
                self._transport.close()
            return
        self._received(messages)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            _log.debug("runner_socket_broke", error=str(exc))
        self.writable.set()
        self._lost()


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of ``environment`` a process that runs guests gets."""
    return {name: environment[name] for name in _ENVIRONMENT if name in environment}
