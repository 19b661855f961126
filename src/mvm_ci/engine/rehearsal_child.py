"""The process in which guests are rehearsed, one after the other.

``python -m mvm_ci.engine.rehearsal_child PARENT SOCKET RUNTIME``: the parent's process id, an inherited
socket, and ``module:factory`` of the ``GuestRuntime``. Started by ``engine.rehearsals`` only, and gone with
it: a guest that computes for ever ends with this process.
"""

import faulthandler
import logging
import os
import resource
import socket
import sys
import time
from collections import deque
from typing import Final

import msgspec

from mvm_ci.domain.errors import BadModule, NotFound, ProtocolError
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef
from mvm_ci.engine.inputs import entries
from mvm_ci.engine.messages import pack
from mvm_ci.engine.rehearsal_messages import (
    BlobBytes,
    CaughtUp,
    Decided,
    GetBlob,
    Rehearse,
    ToChild,
    Wrote,
    to_child_frames,
)
from mvm_ci.engine.runner import die_with, make_runtime
from mvm_ci.lifecycle.execute import Execution, ExecutionLimits
from mvm_ci.lifecycle.rehearse import RehearsalHost, Undecided, Verdict, rehearse
from mvm_ci.ports.execution import Leave
from mvm_ci.ports.guest import GuestLimits, GuestRuntime
from mvm_ci.ports.immediate import at_once

_log = logging.getLogger(__name__)
_READ: Final = 1 << 18


def main(arguments: list[str]) -> None:
    """The process's life."""
    parent, descriptor = map(int, arguments[:2])
    die_with(parent)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()
    logging.basicConfig(level=logging.WARNING, format="rehearsal: %(levelname)s %(message)s")
    runtime = make_runtime(arguments[2])
    line = _Line(socket.socket(fileno=descriptor))
    while True:
        task = line.next()
        if not isinstance(task, Rehearse):
            raise ProtocolError(f"a rehearsal began with {type(task).__name__}")
        line.send(Decided(_rehearsed(runtime, task, line)))


def _rehearsed(runtime: GuestRuntime, task: Rehearse, line: "_Line") -> Verdict:
    execution = Execution(
        job=task.job,
        attempt=task.attempt,
        epoch=0,
        place="",
        module=Digest(task.module.digest),
        input=task.input,
        journal=task.journal,
        inputs=entries(task.inputs),
    )
    host = RehearsalHost(
        time.time_ns,
        line.get_blob,
        caught_up=lambda: line.send(CaughtUp()),
        wrote=line.wrote if task.output else lambda _stream, _text: None,
    )
    limits = ExecutionLimits(guest=GuestLimits(memory_bytes=task.memory_bytes))
    try:
        return at_once(rehearse(runtime.load(task.module), execution, host, limits))
    except BadModule as error:
        return Undecided(reason=f"the module cannot run here: {error}")
    except NotFound as error:
        return Undecided(reason=str(error))
    except Leave:
        return Undecided(reason="a file that it was given cannot be read any more")
    except Exception as error:  # noqa: BLE001 - it costs this rehearsal, not the others
        _log.exception("the rehearsal failed in the engine itself")
        return Undecided(reason=f"error in the engine: {type(error).__name__}: {error}")


class _Line:
    """The parent's end of the socket. Without a parent there is nothing left to do."""

    def __init__(self, data: socket.socket) -> None:
        self._data = data
        self._frames = to_child_frames()
        self._came: deque[ToChild] = deque()

    def next(self) -> ToChild:
        """The next message, when it is here."""
        while not self._came:
            data = self._data.recv(_READ)
            if not data:
                os._exit(0)
            self._came.extend(self._frames.feed(data))
        return self._came.popleft()

    def send(self, message: msgspec.Struct) -> None:
        self._data.sendall(pack((message,)))

    def wrote(self, stream: str, text: str) -> None:
        self.send(Wrote(stream, text))

    async def get_blob(self, ref: BlobRef) -> bytes:
        """Raises ``NotFound``."""
        self.send(GetBlob(ref))
        answer = self.next()
        if not isinstance(answer, BlobBytes):
            raise ProtocolError(f"a payload was answered with {type(answer).__name__}")
        if answer.data is None:
            raise NotFound(f"the payload {ref.digest} is needed: {answer.missing}")
        return answer.data


if __name__ == "__main__":
    main(sys.argv[1:])
