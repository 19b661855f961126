"""``ports.execution.ExecutionHost``: what a running placement asks of its engine, over the socket."""

import secrets
import time
from typing import Any, Final, Protocol

from mvm_ci.domain.errors import NotFound, ProtocolError
from mvm_ci.domain.http import HttpRequest, HttpResult
from mvm_ci.domain.mail import WAIT_FOR_MAIL, Mail, MailWait, decode_mail, encode_wait
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.segment import Segment
from mvm_ci.engine.messages import (
    AskAnswer,
    AskCall,
    Awake,
    BlobBytes,
    BlobStored,
    FromRunner,
    GetBlob,
    HttpAnswer,
    HttpCall,
    Post,
    PutBlob,
    Question,
    ReadArtifact,
    Reply,
    Sleeps,
    SpoolData,
    Spooled,
    Tell,
)
from mvm_ci.engine.strand import Answer, GiveWay, Strand
from mvm_ci.ports.execution import CANCELLED

_GIVE_WAY: Final = GiveWay()


class Surroundings(Protocol):
    """What a strand reaches the outside through."""

    def send(self, message: FromRunner) -> None:
        """Sends to the pool, soon, in order."""
        ...

    def sleep(self, wall_ns: int, answer: Answer[Any]) -> None:
        """Gives ``answer`` when the wall clock shows ``wall_ns``."""
        ...

    def awake(self, answer: Answer[Any]) -> None:
        """It was given something else before."""
        ...


class RunnerHost:
    """One task's ``ExecutionHost``. Answers to what nobody waits for any more are passed over."""

    __slots__ = (
        "_asked",
        "_call",
        "_cancelled",
        "_durable",
        "_flushing",
        "_interruptible",
        "_outside",
        "_posts",
        "strand",
    )

    def __init__(self, strand: Strand, outside: Surroundings) -> None:
        self.strand = strand
        self._outside = outside
        self._posts = 0
        self._durable = 0
        self._flushing: Answer[None] | None = None
        # Numbers of tasks never come again, so neither do those of calls.
        self._call = strand.number << 32
        self._asked: Answer[Reply | None] | None = None
        self._cancelled = strand.task.cancelled
        self._interruptible: Answer[Any] | None = None

    # ------------------------------------------------------------------ from the pool

    def durable(self, posts: int) -> Answer[None] | None:
        """The first ``posts`` segments are durable. Returns what is answered by that."""
        self._durable = max(self._durable, posts)
        flushing = self._flushing
        if flushing is None or self._durable < self._posts:
            return None
        self._flushing = None
        flushing.give(None)
        return flushing

    def answered(self, message: Reply) -> Answer[Any] | None:
        """Returns what is answered by ``message``."""
        asked = self._asked
        if asked is None or message.call != self._call:
            return None
        self._asked = None
        asked.give(message)
        return asked

    def cancel(self) -> Answer[Any] | None:
        """The job is being cancelled. Returns what is answered by that: nobody waits for more."""
        self._cancelled = True
        waiting, self._interruptible = self._interruptible, None
        if waiting is None:
            return None
        self._asked = None
        self._outside.awake(waiting)
        self._outside.send(Awake(self.strand.number))
        waiting.give(None)
        return waiting

    # ------------------------------------------------------------------ from the guest

    def cancelled(self) -> bool:
        return self._cancelled

    def wall_ns(self) -> int:
        return time.time_ns()

    async def give_way(self) -> None:
        await _GIVE_WAY

    def random_seed(self) -> bytes:
        return secrets.token_bytes(32)

    def post(self, segment: Segment) -> None:
        self._posts += 1
        self._outside.send(Post(self.strand.number, segment))

    async def flush(self) -> None:
        if self._durable < self._posts:
            self._flushing = Answer(self.strand)
            await self._flushing

    async def http(self, request: HttpRequest, idempotency_key: str, *, whole: bool = False) -> HttpResult:
        call = self._next_call()
        question = HttpCall(self.strand.number, call, request, idempotency_key, whole)
        answer = await self._ask(question, interruptible=True)
        if answer is None:
            return CANCELLED
        if not isinstance(answer, HttpAnswer):
            raise ProtocolError(f"the pool answered a request with {type(answer).__name__}")
        return answer.result

    async def ask(self, name: str, key: str, argument: bytes) -> bytes:
        answer = await self._ask(AskCall(self.strand.number, self._next_call(), name, key, argument))
        if not isinstance(answer, AskAnswer):
            raise ProtocolError(f"the pool answered a call with {type(answer).__name__}")
        return answer.answer

    def tell(self, name: str, argument: bytes) -> None:
        self._outside.send(Tell(self.strand.number, name, argument))

    async def mail(self, topics: tuple[str, ...], until_wall_ns: int) -> tuple[Mail, ...]:
        if until_wall_ns > time.time_ns():
            self._asked = asked = Answer[Reply | None](self.strand)
            self._outside.send(self._mail_call(MailWait(topics)))
            self._outside.sleep(until_wall_ns, asked)
            self._interruptible = asked
            answer = await asked
            interrupted = self._interruptible is None
            self._interruptible = None
            if isinstance(answer, AskAnswer):
                self._outside.awake(asked)
                return decode_mail(answer.answer)
            if interrupted:
                return ()
        # The time is over, but what came before it must not be missed: the wait may have begun just now.
        answer = await self._ask(self._mail_call(MailWait(topics, at_once=True)))
        if not isinstance(answer, AskAnswer):
            raise ProtocolError(f"the pool answered a wait for mail with {type(answer).__name__}")
        return decode_mail(answer.answer)

    async def wait_until(self, wall_ns: int) -> None:
        if wall_ns <= time.time_ns():
            return
        number = self.strand.number
        answer: Answer[None] = Answer(self.strand)
        self._outside.send(Sleeps(number))
        self._outside.sleep(wall_ns, answer)
        self._interruptible = answer
        await answer
        if self._interruptible is not None:
            self._interruptible = None
            self._outside.send(Awake(number))

    async def put_blob(self, data: bytes) -> BlobRef:
        answer = await self._ask(PutBlob(self.strand.number, self._next_call(), data))
        if not isinstance(answer, BlobStored):
            raise ProtocolError(f"the pool answered a blob with {type(answer).__name__}")
        return answer.ref

    async def get_blob(self, ref: BlobRef) -> bytes:
        """Raises ``NotFound``, too."""
        return await self._look_up(GetBlob(self.strand.number, self._next_call(), ref))

    async def spool(self, name: str, offset: int, data: bytes) -> None:
        answer = await self._ask(SpoolData(self.strand.number, self._next_call(), name, offset, data))
        if not isinstance(answer, Spooled):
            raise ProtocolError(f"the pool answered a piece of an artifact with {type(answer).__name__}")

    async def read_artifact(self, ref: BlobRef, offset: int, size: int) -> bytes:
        """Raises ``NotFound``, too."""
        return await self._look_up(ReadArtifact(self.strand.number, self._next_call(), ref, offset, size))

    async def _look_up(self, question: GetBlob | ReadArtifact) -> bytes:
        answer = await self._ask(question)
        if not isinstance(answer, BlobBytes):
            raise ProtocolError(f"the pool answered a look-up with {type(answer).__name__}")
        if answer.data is None:
            raise NotFound(f"the blob {question.ref.digest} is not stored any more")
        return answer.data

    def _mail_call(self, wait: MailWait) -> AskCall:
        return AskCall(self.strand.number, self._next_call(), WAIT_FOR_MAIL, "", encode_wait(wait))

    def _next_call(self) -> int:
        self._call += 1
        return self._call

    async def _ask(self, question: Question, *, interruptible: bool = False) -> Reply | None:
        self._asked = asked = Answer[Reply | None](self.strand)
        self._interruptible = asked if interruptible else None
        self._outside.send(question)
        answer = await asked
        self._interruptible = None
        return answer
