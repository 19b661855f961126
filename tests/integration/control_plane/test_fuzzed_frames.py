"""Bytes that are no protocol, sent over real iroh connections by a worker that was admitted: each ends the
connection it came on, with a reason, and nothing else.

What is sent is made from seeds, so a failure names the case that repeats it.
"""

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from mvm_ci.adapters.iroh import IrohTransport
from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.control_plane import worker_link
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import Digest, format_job_id
from mvm_ci.domain.job import Placed
from mvm_ci.domain.mail import WAIT_FOR_MAIL, MailWait, encode_wait
from mvm_ci.domain.outcome import Suspended
from mvm_ci.domain.segment import Segment
from mvm_ci.testing.clock import settle
from mvm_ci.wire import blobs as w
from mvm_ci.wire import messages as m
from mvm_ci.wire.frames import encode
from tests.integration.control_plane.conftest import Stand, submit
from tests.integration.control_plane.scripted_worker import HELLO, ScriptedWorker

GOLDEN = Path(__file__).parents[2] / "golden" / "wire" / "v1.txt"
FRAMES = [bytes.fromhex(line.split()[1]) for line in GOLDEN.read_text().splitlines()]
END = b"\xff\xff\xff\xff"
"""Announces a frame that cannot be: whatever came before it, no conversation goes on behind it."""
SEEDS = range(8)
LINKS = 12
"""Connections of one seed."""
PLACED = Placed(1, 1)  # type: ignore[arg-type] # an id from outside


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    """A control plane on SQLite and iroh."""
    store = await asyncio.to_thread(SqlStore.open, tmp_path / "store")
    stand = Stand()
    stand.transport, stand.address = IrohTransport(), "127.0.0.1:0"
    stand.queue, stand.queues, stand.registry = store.queue, store.queues, store.registry
    stand.mail, stand.access, stand.schedules = store.mail, store.access, store.schedules
    stand.events, stand.figures = store.events, store.figures
    await stand.prepare()
    await stand.start()
    yield stand
    await stand.stop()
    await store.close()


class Scene:
    """A worker that works, a rogue that was admitted, and what must stay as it was."""

    def __init__(
        self, stand: Stand, api: httpx.AsyncClient, good: ScriptedWorker, bad: ScriptedWorker
    ) -> None:
        self.stand = stand
        self.api = api
        self.good = good
        self.bad = bad
        self.logs: list[Any] = []
        self.unhandled: list[dict[str, Any]] = []
        self._tasks = 0

    async def begin(self) -> None:
        """Both are admitted; the rogue is off again."""
        await self.good.welcome(credit=1)
        await self.good.beat()
        await self.bad.welcome()
        await self.bad.connection.close(m.CLOSE_DONE, "off again")
        await self.works()
        self._tasks = len(asyncio.all_tasks())

    async def works(self) -> None:
        """The neighbour gets a job, and its end is recorded."""
        (job,) = await submit(self.api)
        (item,) = await self.good.assigned()
        await self.good.end(item, credit=1)
        shown = (await self.api.get(f"/v1/jobs/{job['id']}")).json()
        assert shown["state"] == "completed"

    async def closed(self) -> tuple[int, str]:
        """How the rogue's connection was closed: with a reason."""
        code, reason = await self.bad.closed()
        assert reason
        return code, reason

    async def unharmed(self) -> None:
        """The neighbour works on its old connection; no task is left over, no traceback was written."""
        await self.good.beat()
        await self.works()
        assert self.good.connection.closed_by_peer() is None
        async with asyncio.timeout(20):
            while len(asyncio.all_tasks()) > self._tasks:
                await settle()
        assert [line for line in self.logs if line["log_level"] not in {"debug", "info", "warning"}] == []
        assert [line for line in self.logs if "exc_info" in line] == []
        assert self.unhandled == []


@pytest.fixture
async def scene(stand: Stand) -> AsyncIterator[Scene]:
    with capture_logs() as logs:
        good, bad = await stand.worker(), await stand.worker()
        async with stand.client() as api:
            made = Scene(stand, api, good, bad)
            made.logs = logs
            asyncio.get_running_loop().set_exception_handler(lambda _, found: made.unhandled.append(found))
            await made.begin()
            yield made
        await good.endpoint.close()
        await bad.endpoint.close()


def mutated(chance: random.Random) -> bytes:
    """Some recorded frames, one after the other, with mistakes in them."""
    data = bytearray(b"".join(chance.choices(FRAMES, k=chance.randint(1, 4))))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data))
        match chance.randrange(5):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at] = chance.randrange(256)
            case 2:
                data[at:at] = chance.randbytes(chance.randint(1, 9))
            case 3 if len(data) > 20:
                del data[at : at + chance.randint(1, 9)]
            case _:
                data += data[at : at + 40]
    return bytes(data)


def reframed(chance: random.Random) -> bytes:
    """The body of a recorded frame, changed, under a length that is right."""
    body = mutated(chance)[4:]
    return struct.pack("<I", len(body)) + body


def sent(chance: random.Random) -> bytes:
    make = chance.choice((mutated, reframed, lambda chance: chance.randbytes(chance.randint(0, 400))))
    return make(chance) + END


async def say(rogue: ScriptedWorker, data: bytes, chance: random.Random) -> None:
    """In pieces of any size; the other side may have had enough before all was said."""
    with suppress(Unavailable):
        while data:
            size = chance.randint(1, len(data))
            await rogue.stream.write(data[:size])
            data = data[size:]
        await rogue.stream.finish()


@pytest.mark.parametrize("seed", SEEDS)
async def test_mutated_frames_end_their_own_connection_only(scene: Scene, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(LINKS):
        if chance.random() < 0.75:
            await scene.bad.welcome()
        else:
            await scene.bad.dial()
        await say(scene.bad, sent(chance), chance)
        code, reason = await scene.closed()
        # A Goodbye may be among what was made, or a Hello of somebody else.
        assert code in {m.CLOSE_PROTOCOL, m.CLOSE_REFUSED, m.CLOSE_DONE}, reason
    await scene.unharmed()


@pytest.mark.parametrize("seed", SEEDS)
async def test_mutated_requests_for_blobs_end_their_own_connection_only(scene: Scene, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(LINKS):
        await scene.bad.welcome()
        with suppress(Unavailable):
            for _ in range(chance.randint(1, 6)):
                stream = await scene.bad.connection.open()
                await stream.write(sent(chance))
                await stream.finish()
            # One at the end that cannot be taken for a request, whatever the others were.
            stream = await scene.bad.connection.open()
            await stream.write(END)
        assert (await scene.closed())[0] == m.CLOSE_PROTOCOL
    await scene.unharmed()


ARGUMENTS = [
    b'{"jobs":[{"module":"%s","input":1,"labels":{"who":"rogue"}}]}' % (b"a" * 64),
    b'{"job":"j0000000000001"}',
    b'{"to":"j0000000000001","type":"go","body":[1]}',
    b'{"label":"x","digest":"%s"}' % (b"d" * 64),
    b'{"metadata":{"k":"v","l":null}}',
    b'{"text":"half","done":1,"total":2}',
    encode_wait(MailWait(("message:go", "child:7"), at_once=True)),
]
NAMES = ["child.start", "child.cancel", "message.send", "promise.create", "job.metadata", WAIT_FOR_MAIL, "x"]


def asked(chance: random.Random, placed: Placed, number: int) -> m.Ask | m.Tell:
    """What the guest of a placement asks or says: any name with any argument, with mistakes in it."""
    argument = bytearray(chance.choice(ARGUMENTS))
    for _ in range(chance.randrange(4)):
        argument[chance.randrange(len(argument))] = chance.choice(b'"{}[]0\\u\xff,:nd8')
    if chance.random() < 0.2:
        return m.Tell(placed, "progress", bytes(argument))
    key = f"{format_job_id(placed.job)}-1-{number}"
    return m.Ask(number, placed, chance.choice(NAMES), key, bytes(argument))


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_a_guest_asks_is_answered_or_ends_its_own_connection(scene: Scene, seed: int) -> None:
    chance = random.Random(seed)
    labels = {"who": "rogue"}
    await submit(scene.api, labels=labels)
    await scene.bad.welcome(credit=1, labels=labels)
    (item,) = await scene.bad.assigned()
    for round_ in range(LINKS):
        questions = [
            asked(chance, item.placed, 20 * round_ + number) for number in range(chance.randint(1, 9))
        ]
        with suppress(Unavailable):
            await scene.bad.send(*questions)
            for _ in [one for one in questions if isinstance(one, m.Ask)]:
                await scene.bad.next(m.Answered)
        if scene.bad.connection.closed_by_peer() is not None:
            assert (await scene.closed())[0] == m.CLOSE_PROTOCOL
        await scene.bad.welcome(running=(item.placed,), labels=labels)
        assert scene.bad.received == []
    await scene.bad.end(item)
    await scene.bad.send(m.Goodbye())
    await scene.closed()
    for job in (await scene.api.get("/v1/jobs", params={"state": "pending"})).json()["jobs"]:
        await scene.api.post(f"/v1/jobs/{job['id']}/cancel")
    await scene.unharmed()


def wrong() -> Iterator[Any]:
    hello, credit = encode(HELLO), encode(m.Credit(1))
    yield pytest.param(False, END, "4294967295 bytes was announced", id="length-of-4-gib-first")
    yield pytest.param(True, END, "4294967295 bytes was announced", id="length-of-4-gib")
    over = struct.pack("<I", m.MAX_FRAME + 1)
    yield pytest.param(True, over, f"at most {m.MAX_FRAME} are allowed", id="length-of-one-too-many")
    yield pytest.param(False, hello[:-1], "ended before a Hello", id="hello-cut")
    yield pytest.param(True, encode(m.Heartbeat(1, 0))[:-1], "ended within a frame", id="frame-cut")
    yield pytest.param(True, credit[:3], "ended within a frame", id="length-cut")
    yield pytest.param(True, bytes(4), "no message", id="frame-of-nothing")
    yield pytest.param(False, credit, "a Credit while opening", id="credit-before-hello")
    yield pytest.param(True, hello, "a Hello while open", id="hello-again")
    yield pytest.param(True, encode(m.Heartbeat(7, 0)), "heartbeat 7 after 0", id="heartbeat-of-later")
    yield pytest.param(True, encode(m.Pong(1)), "without its Ping", id="pong-without-ping")
    yield pytest.param(True, encode(m.Credit(-5)), "a Credit of -5", id="credit-below-nothing")
    yield pytest.param(
        True, encode(m.Credit(1, -1)), "a Credit with -1 guests", id="credit-extra-below-nothing"
    )
    yield pytest.param(True, credit * 2 + encode(m.Credit(100_000)), "a Credit of 100000", id="credit-heaped")
    yield pytest.param(True, encode(m.Beat(1)), "no message", id="answer-instead-of-report")
    stray = m.Append((m.AppendItem(PLACED, Segment(-1, 0, b"")),))
    yield pytest.param(True, encode(stray), "a segment of 0 entries", id="append-before-the-beginning")
    taking = m.Append((m.AppendItem(PLACED, Segment(0, 1, b"", (1, 2, 3))),))
    yield pytest.param(True, encode(taking), "1 entries that take 3 pieces", id="append-takes-too-much")
    waits = m.Ended((m.EndedItem(PLACED, Suspended(1, ("x" * 999,)), None),))
    yield pytest.param(True, encode(waits), "for 1 topics", id="topic-too-long")
    yield pytest.param(True, encode(m.Answered(1, b"")), "no message", id="answer-without-question")


@pytest.mark.parametrize(("greeted", "data", "words"), [*wrong()])
async def test_what_is_out_of_order_is_named_to_who_said_it(
    scene: Scene, *, greeted: bool, data: bytes, words: str
) -> None:
    if greeted:
        await scene.bad.welcome()
    else:
        await scene.bad.dial()
    with suppress(Unavailable):
        await scene.bad.stream.write(data)
        await scene.bad.stream.finish()
    code, reason = await scene.closed()
    assert code == m.CLOSE_PROTOCOL
    assert words in reason
    (said,) = [line for line in scene.logs if line["event"] == "worker_broke_protocol"]
    assert said["worker"] == scene.bad.endpoint.id
    await scene.unharmed()


async def test_half_a_frame_and_then_silence_is_over_with_the_lease(scene: Scene) -> None:
    await scene.bad.welcome()
    await scene.bad.stream.write(
        encode(m.Append((m.AppendItem(PLACED, Segment(0, 1, bytes(9_000))),)))[:5_000]
    )
    for _ in range(2):
        await scene.good.beat()
        await scene.stand.clock.advance(8_000)
    assert await scene.closed() == (m.CLOSE_SILENT, "the lease has run out")
    await scene.unharmed()


async def test_half_a_hello_and_then_silence_is_over_soon(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_link, "HELLO_S", 0.2)
    await scene.bad.dial()
    await scene.bad.stream.write(encode(HELLO)[:20])
    assert await scene.closed() == (m.CLOSE_SILENT, "no Hello in time")
    await scene.unharmed()


async def test_a_transfer_that_stops_in_the_middle_holds_nobody_up(scene: Scene) -> None:
    await scene.bad.welcome()
    streams = [await scene.bad.connection.open() for _ in range(2 * worker_link.TRANSFERS)]
    for number, stream in enumerate(streams):
        await stream.write(encode(w.PutBlob(Digest(f"{number:064x}"), 1 << 20)) + b"half of it")
    await scene.works()
    await scene.bad.stream.write(END)
    assert (await scene.closed())[0] == m.CLOSE_PROTOCOL
    await scene.unharmed()
