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
    Reply,
    Sleeps,
    Tell,
)
from mvm_ci.engine.strand import Answer, GiveWay, Strand

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

    __slots__ = ("_asked", "_call", "_durable", "_flushing", "_outside", "_posts", "strand")

    def __init__(self, strand: Strand, outside: Surroundings) -> None:
        self.strand = strand
        self._outside = outside
        self._posts = 0
        self._durable = 0
        self._flushing: Answer[None] | None = None
        # Numbers of tasks never come again, so neither do those of calls.
        self._call = strand.number << 32
        self._asked: Answer[Reply | None] | None = None

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

    # ------------------------------------------------------------------ from the guest

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

    async def http(self, request: HttpRequest, idempotency_key: str) -> HttpResult:
        call = self._next_call()
        answer = await self._ask(HttpCall(self.strand.number, call, request, idempotency_key))
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
        number = self.strand.number
        at_once = until_wall_ns <= time.time_ns()
        argument = encode_wait(MailWait(topics, at_once))
        question = AskCall(number, self._next_call(), WAIT_FOR_MAIL, "", argument)
        if at_once:
            # What is there already is found also by who does not wait, or whose time was over on the way.
            answer = await self._ask(question)
            return decode_mail(answer.answer) if isinstance(answer, AskAnswer) else ()
        self._asked = asked = Answer[Reply | None](self.strand)
        self._outside.send(question)
        self._outside.sleep(until_wall_ns, asked)
        answer = await asked
        if isinstance(answer, AskAnswer):
            self._outside.awake(asked)
            return decode_mail(answer.answer)
        # Nobody waits for the answer any more.
        self._asked = None
        self._outside.send(Awake(number))
        return ()

    async def wait_until(self, wall_ns: int) -> None:
        if wall_ns <= time.time_ns():
            return
        number = self.strand.number
        answer: Answer[None] = Answer(self.strand)
        self._outside.send(Sleeps(number))
        self._outside.sleep(wall_ns, answer)
        await answer
        self._outside.send(Awake(number))

    async def put_blob(self, data: bytes) -> BlobRef:
        answer = await self._ask(PutBlob(self.strand.number, self._next_call(), data))
        if not isinstance(answer, BlobStored):
            raise ProtocolError(f"the pool answered a blob with {type(answer).__name__}")
        return answer.ref

    async def get_blob(self, ref: BlobRef) -> bytes:
        """Raises ``NotFound``, too."""
        answer = await self._ask(GetBlob(self.strand.number, self._next_call(), ref))
        if not isinstance(answer, BlobBytes):
            raise ProtocolError(f"the pool answered a look-up with {type(answer).__name__}")
        if answer.data is None:
            raise NotFound(f"the payload {ref.digest} is not stored any more")
        return answer.data

    def _next_call(self) -> int:
        self._call += 1
        return self._call

    async def _ask(self, question: Question) -> Reply | None:
        self._asked = asked = Answer[Reply | None](self.strand)
        self._outside.send(question)
        return await asked
