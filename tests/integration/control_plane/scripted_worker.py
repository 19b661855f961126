"""A worker whose every message a test writes itself."""

import asyncio
import json
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from mvm_ci import __version__
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import Incarnation, format_job_id
from mvm_ci.domain.job import Placed
from mvm_ci.domain.mail import WAIT_FOR_MAIL, MailWait, decode_mail, encode_wait
from mvm_ci.domain.outcome import Completed, Outcome
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.entries import FORMAT_VERSION
from mvm_ci.ports.transport import Connection, Endpoint, Stream
from mvm_ci.wire import messages as m
from mvm_ci.wire.frames import encode, from_control_plane

M = TypeVar("M")
PATIENCE_S = 10.0
FIRST = Incarnation("1" * 32)
SECOND = Incarnation("2" * 32)

HELLO = m.Hello(
    oldest=m.OLDEST_PROTOCOL,
    newest=m.PROTOCOL,
    version=__version__,
    incarnation=FIRST,
    previous=None,
    join_token=None,
    name="scripted",
    platform="test",
    slots=4,
    journal_format=FORMAT_VERSION,
)


class ScriptedWorker:
    """``received``: messages that came and were not asked for yet."""

    def __init__(self, endpoint: Endpoint, ticket: str, join_token: str | None = None) -> None:
        self.endpoint = endpoint
        self.hello = replace(HELLO, join_token=join_token)
        self.received: list[m.FromControlPlane] = []
        self.runners = -1
        self.connection: Connection
        self.stream: Stream
        self._ticket = ticket
        self._frames = from_control_plane()
        self._beats = 0
        self._asked = 0
        self.attempts: dict[Placed, int] = {}

    async def dial(self) -> None:
        """A connection and its first stream, without a word."""
        self.connection = await self.endpoint.connect(self._ticket)
        self.stream = await self.connection.open()
        self._frames = from_control_plane()
        self.received = []
        self._beats = 0

    async def say_hello(self, **changes: Any) -> m.Welcome | m.Refused:
        """Connects and introduces itself."""
        await self.dial()
        await self.send(replace(self.hello, **changes))
        return await self.next((m.Welcome, m.Refused))

    async def welcome(self, credit: int = 0, **changes: Any) -> m.Welcome:
        """Connects, and is taken."""
        answer = await self.say_hello(**changes)
        assert isinstance(answer, m.Welcome), answer
        if credit:
            await self.send(m.Credit(credit))
        return answer

    async def send(self, *messages: Any) -> None:
        """All in one write."""
        await self.stream.write(b"".join(encode(message) for message in messages))

    async def next(self, kind: type[M] | tuple[type[M], ...]) -> M:
        """The next message of a kind; others stay in ``received``."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for message in self.received:
                    if isinstance(message, kind):
                        self.received.remove(message)
                        return message
                data = await self.stream.read()
                if not data:
                    raise Unavailable("the control plane finished the stream")
                self.received += self._frames.feed(data)

    async def closed(self) -> tuple[int, str]:
        """How the control plane closed the connection."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                while data := await self.stream.read():
                    self.received += self._frames.feed(data)
                while True:
                    await self.connection.accept()
            except Unavailable:
                pass
        found = self.connection.closed_by_peer()
        assert found is not None
        return found

    async def beat(self) -> m.Beat:
        """Renews the lease."""
        self._beats += 1
        await self.send(m.Heartbeat(self._beats, 0, self.runners))
        return await self.next(m.Beat)

    async def assigned(self, count: int = 1) -> list[m.Assignment]:
        """So many jobs."""
        items: list[m.Assignment] = []
        while len(items) < count:
            items += (await self.next(m.Assign)).items
        self.attempts |= {item.placed: item.attempt for item in items}
        return items

    async def end(
        self,
        *items: m.Assignment,
        outcome: Outcome | None = None,
        tail: Segment | None = None,
        credit: int = 0,
    ) -> m.Recorded:
        """Ends jobs; gives credit in the same write."""
        ended = m.Ended(tuple(m.EndedItem(i.placed, outcome or Completed(b'"done"'), tail) for i in items))
        await self.send(ended, *([m.Credit(credit)] if credit else []))
        return await self.next(m.Recorded)

    async def ask(
        self, placed: Placed, name: str, argument: Any = None, *, call: int = 0, key: str | None = None
    ) -> Any:
        """What the control plane answers to a guest's call; ``call`` numbers those of one attempt."""
        await self.send(self.question(placed, name, argument, call=call, key=key))
        return await self.answered()

    def question(
        self, placed: Placed, name: str, argument: Any = None, *, call: int = 0, key: str | None = None
    ) -> m.Ask:
        """The question of a guest, as its engine sends it."""
        self._asked += 1
        own = f"{format_job_id(placed.job)}-{self.attempts.get(placed, 1)}-{call}"
        encoded = msgspec.json.encode({} if argument is None else argument)
        return m.Ask(self._asked, placed, name, own if key is None else key, encoded)

    async def answered(self) -> Any:
        """The next answer."""
        return json.loads((await self.next(m.Answered)).answer)

    async def wait_for_mail(self, placed: Placed, *topics: str, at_once: bool = False) -> None:
        """Its guest waits for mail: ``mail`` is what comes."""
        self._asked += 1
        await self.send(m.Ask(self._asked, placed, WAIT_FOR_MAIL, "", encode_wait(MailWait(topics, at_once))))

    async def mail(self) -> list[tuple[str, Any]]:
        """The next mail that comes for a guest."""
        return [(one.topic, one.body) for one in decode_mail((await self.next(m.Answered)).answer)]

    async def append(self, placed: Placed, *segments: Segment) -> m.Appended:
        """Appends to a journal."""
        await self.send(m.Append(tuple(m.AppendItem(placed, segment) for segment in segments)))
        return await self.next(m.Appended)
