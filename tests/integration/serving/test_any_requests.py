"""However the bytes of requests are cut, the answers are those of the requests sent one by one."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from mvm_ci.serving.limits import UNREAD
from mvm_ci.serving.server import ApiServer
from tests.integration.serving.rig import LIMIT, Caller, Echo, connect

SIZES = (0, 1, LIMIT - 1, LIMIT, LIMIT + 1, UNREAD - 1, UNREAD, UNREAD + 1, 3 * UNREAD)


@dataclass(frozen=True)
class Sent:
    """``chunk``: bytes of the body in a chunk; 0: it has a content-length."""

    method: str
    size: int
    chunk: int

    def raw(self) -> bytes:
        body = b"x" * self.size
        head = f"{self.method} /a HTTP/1.1\r\nhost: x\r\n".encode()
        if not self.chunk:
            return head + b"content-length: %d\r\n\r\n" % self.size + body
        parts = [body[at : at + self.chunk] for at in range(0, self.size, self.chunk)]
        framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        return head + b"transfer-encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


REQUESTS = st.lists(
    st.builds(
        Sent,
        method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "DELETE"]),
        size=st.sampled_from(SIZES),
        chunk=st.sampled_from([0, 0, 7, 1_000, UNREAD]),
    ),
    min_size=1,
    max_size=8,
)
Answer = tuple[int, bytes]


async def answers(caller: Caller, requests: list[Sent]) -> list[Answer]:
    found = []
    for sent in requests:
        status, _, body = await caller.answer(body=sent.method != "HEAD")
        found.append((status, body))
    return found


async def compare(requests: list[Sent], cuts: list[int]) -> tuple[list[Answer], list[Answer]]:
    server = ApiServer(Echo(), "127.0.0.1", 0, 5.0)
    await server.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        single = await connect(server, stack)
        expected = []
        for sent in requests:
            single.send(sent.raw())
            expected += await answers(single, [sent])
        cut = await connect(server, stack)
        reading = asyncio.create_task(answers(cut, requests))
        data = b"".join(sent.raw() for sent in requests)
        places = sorted({0, len(data), *(at % len(data) for at in cuts)})
        for start, end in itertools.pairwise(places):
            cut.send(data[start:end])
            await cut.writer.drain()
            await asyncio.sleep(0)
        return expected, await reading


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@settings(max_examples=40, deadline=None)
@given(requests=REQUESTS, cuts=st.lists(st.integers(0, 1 << 21), max_size=12))
def test_requests_cut_anywhere_get_the_answers_of_those_sent_one_by_one(
    loop: Callable[[], asyncio.AbstractEventLoop], requests: list[Sent], cuts: list[int]
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        expected, got = runner.run(compare(requests, cuts))
    assert got == expected
    assert [status for status, _ in got] == [413 if sent.size > LIMIT else 200 for sent in requests]
