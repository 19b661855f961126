"""A runner that dies, of whatever, costs those in it a replay: their effects are not made twice."""

import asyncio
import json
import os
import resource
import signal
from collections import Counter
from typing import Final

import pytest

from guest.build_c import build_c
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.journal.entries import HttpDone, HttpIntent, Slept
from tests.hostile.rig import GUESTS, Rig, code, reason, result
from tests.integration.servers import Reply, Server, ok, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")
HOW: Final = (signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT)
COMPUTED: Final = "9cc9af81"
"""What ``guest/tests/hostile/phases.c`` computes."""


class Far:
    """A server that holds back the answers for one path, and counts what came."""

    def __init__(self, held: str = "") -> None:
        self.held = held
        self.server: Server
        self.open = asyncio.Event()
        self.seen: Counter[str] = Counter()
        self._came = asyncio.Event()

    def reply(self, request: bytes) -> Reply:
        path = request.split(b" ")[1].decode()
        self.seen[path] += 1
        self._came.set()
        if path != self.held:
            return ok(b"fine")
        return self._later

    async def came(self, path: str, count: int = 1) -> None:
        """Returns when so many requests for a path have come."""
        async with asyncio.timeout(100):
            while self.seen[path] < count:
                self._came.clear()
                await self._came.wait()

    async def _later(self, writer: asyncio.StreamWriter) -> None:
        await self.open.wait()
        writer.write(ok(b"fine"))

    def url(self, path: str) -> str:
        return f"http://site.test:{self.server.port}{path}"

    def document(self) -> bytes:
        """The input of ``phases.c``."""
        post = {"method": "POST", "url": self.url("/post"), "timeout_ms": 60_000}
        get = {"url": self.url("/get"), "timeout_ms": 60_000}
        return json.dumps([post, get], separators=(",", ":")).encode()


def kill(rig: Rig, how: signal.Signals) -> None:
    os.kill(rig.pool.runner_pids[0], how)


async def recorded(rig: Rig, placed: Placed, kind: type[HttpDone | HttpIntent | Slept]) -> None:
    async with asyncio.timeout(60):
        await rig.journal.wait_for(placed.job, kind)


async def phases(rig: Rig, far: Far, when: str, how: signal.Signals) -> str:
    """The result of a guest whose runner is killed in this phase, and its neighbours with it."""
    async with serving(far.reply) as server:
        far.server = server
        async with rig.neighbours(survives=False):
            before = rig.pool.runner_pids
            placed = rig.place(rig.payloads.add(build_c(GUESTS / "phases.c").read_bytes()), far.document())
            if when == "computing":
                await recorded(rig, placed, HttpDone)
            elif when == "sleeping":
                await recorded(rig, placed, Slept)
            else:
                await far.came(far.held)
            kill(rig, how)
            await gone(before)
            far.open.set()
            outcome = await rig.beside(placed)
            assert rig.pool.runner_pids != before
    return result(outcome).decode()


async def gone(pids: list[int]) -> None:
    """Returns when these processes have ended."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, ended.set)
        try:
            async with asyncio.timeout(60):
                await ended.wait()
        finally:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)


# ---------------------------------------------------------------- in each phase


@pytest.mark.ends("completed")
@pytest.mark.parametrize("how", HOW, ids=lambda how: how.name)
async def test_a_runner_dies_while_its_guest_computes(rig: Rig, how: signal.Signals) -> None:
    far = Far()
    assert await phases(rig, far, "computing", how) == f"answered {COMPUTED} answered"
    assert far.seen == {"/post": 1, "/get": 1}


@pytest.mark.ends("completed")
@pytest.mark.parametrize("how", HOW, ids=lambda how: how.name)
async def test_a_runner_dies_while_its_guest_sleeps(rig: Rig, how: signal.Signals) -> None:
    far = Far()
    assert await phases(rig, far, "sleeping", how) == f"answered {COMPUTED} answered"
    assert far.seen == {"/post": 1, "/get": 1}


@pytest.mark.ends("completed")
@pytest.mark.parametrize("how", HOW, ids=lambda how: how.name)
async def test_a_runner_dies_while_a_request_is_under_way_that_may_be_repeated(
    rig: Rig, how: signal.Signals
) -> None:
    far = Far("/get")
    assert await phases(rig, far, "asking", how) == f"answered {COMPUTED} answered"
    assert far.seen == {"/post": 1, "/get": 2}


@pytest.mark.ends("completed")
@pytest.mark.parametrize("how", HOW, ids=lambda how: how.name)
async def test_a_runner_dies_while_a_request_is_under_way_that_must_not_be_repeated(
    rig: Rig, how: signal.Signals
) -> None:
    far = Far("/post")
    assert await phases(rig, far, "telling", how) == f"interrupted {COMPUTED} answered"
    assert far.seen == {"/post": 1, "/get": 1}


@pytest.mark.ends("completed")
async def test_a_runner_dies_before_its_guest_has_done_anything(rig: Rig) -> None:
    async with rig.neighbours(survives=False):
        before = rig.pool.runner_pids
        placed = await rig.place_python("memo", "x")
        kill(rig, signal.SIGSEGV)
        await gone(before)
        await rig.beside(placed)


# ---------------------------------------------------------------- out of memory


@pytest.mark.ends("completed")
async def test_a_runner_runs_out_of_memory(rig: Rig) -> None:
    # It may not take a single page more: whatever it does next fails, in our code or in a library's.
    async with rig.neighbours(survives=False):
        before = rig.pool.runner_pids
        for what in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
            resource.prlimit(before[0], what, (1 << 20, 1 << 20))
        placed = await rig.place_python("memo", "x")
        await gone(before)
        await rig.beside(placed)
        assert rig.pool.runner_pids != before


# ---------------------------------------------------------------- guests that kill


@pytest.mark.ends("engine")
@pytest.mark.parametrize("how", [signal.SIGSEGV, signal.SIGKILL], ids=lambda how: how.name)
async def test_a_guest_kills_each_runner_that_it_is_in(rig: Rig, how: signal.Signals) -> None:
    # With others and alone: it is found out, and they are not blamed.
    def deadly(_: bytes) -> Reply:
        kill(rig, how)
        return _never

    async def _never(_: asyncio.StreamWriter) -> None:
        await server.release.wait()

    async with serving(deadly) as server:
        async with rig.neighbours(survives=False):
            placed = await rig.place_python("fetch", f"http://site.test:{server.port}/")
            outcome = await rig.beside(placed)
        assert how.name in reason(outcome)
        # At most three times with others, and alone until it is sure.
        assert 4 <= len(server.seen) <= 3 + 4


@pytest.mark.ends("engine")
async def test_several_guests_kill_their_runners(rig: Rig) -> None:
    def deadly(_: bytes) -> Reply:
        kill(rig, signal.SIGSEGV)
        return _never

    async def _never(_: asyncio.StreamWriter) -> None:
        await server.release.wait()

    async with serving(deadly) as server, rig.neighbours(survives=False):
        url = f"http://site.test:{server.port}/"
        placed = [await rig.place_python("fetch", url) for _ in range(3)]
        for one in placed:
            await rig.beside(one)


# ---------------------------------------------------------------- many at once


@pytest.mark.ends("completed")
async def test_a_runner_dies_with_many_guests_in_it(rig: Rig) -> None:
    far = Far("/get")
    async with serving(far.reply) as server:
        far.server = server
        async with rig.neighbours(survives=False):
            module = rig.payloads.add(build_c(GUESTS / "phases.c").read_bytes())
            placed = [rig.place(module, far.document()) for _ in range(20)]
            await far.came("/get", len(placed))
            before = rig.pool.runner_pids
            kill(rig, signal.SIGSEGV)
            await gone(before)
            far.open.set()
            outcomes = [await rig.beside(one) for one in placed]
    assert {result(outcome) for outcome in outcomes} == {f"answered {COMPUTED} answered".encode()}
    assert far.seen == {"/post": len(placed), "/get": 2 * len(placed)}
    assert {code(rig.events.ends[Placed(JobId(one.job), 1)].outcome) for one in placed} == {"completed"}
