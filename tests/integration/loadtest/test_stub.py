"""The stub for guests, in this process and in one of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from mvm_ci.loadtest.delays import Delays
from mvm_ci.loadtest.stub import Stub
from mvm_ci.loadtest.stub_process import stub_process

STUB = (sys.executable, "-m", "mvm_ci.loadtest.stub")


@pytest.fixture
async def web() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


async def effect(web: httpx.AsyncClient, url: str, path: str, key: str) -> None:
    answer = await web.post(f"{url}/effect/{path}", headers={"idempotency-key": key})
    assert (answer.status_code, answer.text) == (200, "ok")


async def test_it_takes_its_time_and_counts(web: httpx.AsyncClient) -> None:
    stub = Stub(Delays("fixed:50ms", 0))
    await stub.start()
    began = time.perf_counter()
    assert (await web.get(f"{stub.url}/item")).text == "ok"
    assert time.perf_counter() - began >= 0.05
    for path, key in (("a/00", "k"), ("a/00", "k"), ("a/01", "l"), ("a/01", "other"), ("b/00", "m")):
        await effect(web, stub.url, path, key)
    # No effects: another method, another path.
    await web.get(f"{stub.url}/effect/c/00")
    await web.post(f"{stub.url}/effect/c/7")
    assert (await web.post(f"{stub.url}/effect/c/08")).status_code == 400  # without a key
    counts = (await web.get(f"{stub.url}/counts")).json()
    assert counts == {"requests": 9, "effects": 3, "repeated": 1, "doubled": 1}
    await stub.stop()


async def test_what_its_process_uses_is_seen(web: httpx.AsyncClient) -> None:
    async with stub_process("127.0.0.1:0", "fixed:0ms") as stub:
        before = await stub.sample()
        await asyncio.gather(*(web.get(stub.url) for _ in range(200)))
        after = await stub.sample()
        assert (await stub.counts()).requests == 200
    assert (before.part, before.processes) == ("stub", 1)
    assert before.memory_mb > 5
    assert after.cpu_s > before.cpu_s


async def test_in_a_process_of_its_own(web: httpx.AsyncClient) -> None:
    process = await asyncio.create_subprocess_exec(
        *STUB, "--latency", "exponential:1ms", "--seed", "4", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().removeprefix("stub: ").strip()
    await effect(web, url, "a/00", "k")
    assert (await web.get(f"{url}/counts")).json()["effects"] == 1
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--latency", "fast"), "'fast' is no distribution of latencies; one is fixed:20ms"),
        (("--bind", "127.0.0.1:x"), "'127.0.0.1:x' is no HOST:PORT"),
        (("--bind", "198.51.100.1:0"), "the stub cannot listen on 198.51.100.1:0"),
    ],
)
async def test_it_says_what_is_wrong(arguments: tuple[str, ...], says: str) -> None:
    process = await asyncio.create_subprocess_exec(*STUB, *arguments, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == 2
    assert says in said.decode()
