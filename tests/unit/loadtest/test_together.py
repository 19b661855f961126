"""Several things at once: the first that fails ends the others, and is what is told."""

from __future__ import annotations

import asyncio

import pytest

from mvm_ci.domain.errors import Unavailable
from mvm_ci.loadtest.together import together
from mvm_ci.testing.virtual_time import in_virtual_time


@in_virtual_time
async def test_all_of_them_are_awaited() -> None:
    done: list[float] = []

    async def part(seconds: float) -> None:
        await asyncio.sleep(seconds)
        done.append(seconds)

    await together(part(2), part(1))
    assert done == [1, 2]


@in_virtual_time
async def test_the_first_that_fails_ends_the_others_before_anybody_hears() -> None:
    ended: list[str] = []

    async def goes_on() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append("it goes on no more")

    async def fails() -> None:
        await asyncio.sleep(1)
        await together(fails_within())

    async def fails_within() -> None:
        raise Unavailable("worker-2 ended with 1")

    began = asyncio.get_running_loop().time()
    with pytest.raises(Unavailable, match="worker-2 ended with 1"):
        await together(goes_on(), fails())
    assert ended == ["it goes on no more"]
    assert asyncio.get_running_loop().time() - began < 10


@in_virtual_time
async def test_cancelled_it_ends_all() -> None:
    ended: list[int] = []

    async def goes_on(number: int) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(number)

    task = asyncio.create_task(together(goes_on(1), goes_on(2)))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == [1, 2]
