"""``ports.execution.ExecutionHost``: what a running placement asks of its engine, over sockets."""

import secrets
import time
from typing import Final

from mvm_ci.domain.errors import NotFound, ProtocolError
from mvm_ci.domain.http import HttpRequest, HttpResult
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.segment import Segment
from mvm_ci.engine.messages import (
    BlobBytes,
    BlobStored,
    Durable,
    GetBlob,
    HttpAnswer,
    HttpCall,
    Post,
    PutBlob,
)
from mvm_ci.engine.runner_link import RunnerLink

_LOOK_AGAIN_S: Final = 1.0
"""The wall clock may jump while a guest waits for it."""


class RunnerHost:
    """One task's ``ExecutionHost``. All answers to calls of earlier tasks that come late are passed over."""

    __slots__ = ("_call", "_durable", "_link", "_number", "_posts")

    def __init__(self, link: RunnerLink, number: int) -> None:
        self._link = link
        self._number = number
        self._posts = 0
        self._durable = 0
        # Numbers of tasks never come again, so neither do those of calls.
        self._call = number << 32

    def wall_ns(self) -> int:
        self._link.check()
        return time.time_ns()

    def random_seed(self) -> bytes:
        return secrets.token_bytes(32)

    def post(self, segment: Segment) -> None:
        self._link.check()
        self._posts += 1
        self._link.send(Post(self._number, segment))

    def flush(self) -> None:
        link = self._link
        link.check()
        while self._durable < self._posts:
            for message in link.receive(None):
                if isinstance(message, Durable) and message.number == self._number:
                    self._durable = max(self._durable, message.posts)

    def http(self, request: HttpRequest, idempotency_key: str) -> HttpResult:
        call = self._next_call()
        answer = self._ask(HttpCall(self._number, call, request, idempotency_key))
        if not isinstance(answer, HttpAnswer):
            raise ProtocolError(f"the pool answered a request with {type(answer).__name__}")
        return answer.result

    def wait_until(self, wall_ns: int) -> None:
        link = self._link
        link.check()
        left_s = (wall_ns - time.time_ns()) / 1e9
        # Set forward, the wall clock ends the wait; set back, it makes it no longer than it was.
        end_s = time.clock_gettime(time.CLOCK_BOOTTIME) + left_s
        while left_s > 0:
            for message in link.receive(min(left_s, _LOOK_AGAIN_S)):
                if isinstance(message, Durable) and message.number == self._number:
                    self._durable = max(self._durable, message.posts)
            left_s = min((wall_ns - time.time_ns()) / 1e9, end_s - time.clock_gettime(time.CLOCK_BOOTTIME))

    def put_blob(self, data: bytes) -> BlobRef:
        answer = self._ask(PutBlob(self._number, self._next_call(), data))
        if not isinstance(answer, BlobStored):
            raise ProtocolError(f"the pool answered a blob with {type(answer).__name__}")
        return answer.ref

    def get_blob(self, ref: BlobRef) -> bytes:
        """Raises ``NotFound``, too."""
        answer = self._ask(GetBlob(self._number, self._next_call(), ref))
        if not isinstance(answer, BlobBytes):
            raise ProtocolError(f"the pool answered a look-up with {type(answer).__name__}")
        if answer.data is None:
            raise NotFound(f"the payload {ref.digest} is not stored any more")
        return answer.data

    def _next_call(self) -> int:
        self._call += 1
        return self._call

    def _ask(self, question: HttpCall | PutBlob | GetBlob) -> HttpAnswer | BlobStored | BlobBytes:
        link = self._link
        link.check()
        link.send(question)
        found: HttpAnswer | BlobStored | BlobBytes | None = None
        while found is None:
            for message in link.receive(None):
                if isinstance(message, Durable):
                    if message.number == self._number:
                        self._durable = max(self._durable, message.posts)
                elif (
                    isinstance(message, HttpAnswer | BlobStored | BlobBytes) and message.call == question.call
                ):
                    found = message
        return found
