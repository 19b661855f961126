"""One connection to a peer, whoever asks, dials, waits, gives up and closes meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from mvm_ci.domain.errors import Unavailable
from mvm_ci.kept_connection import KeptConnection
from mvm_ci.ports.transport import Connection, PathKind
from mvm_ci.testing.transport import MemoryConnection

PATIENCE_S = 10.0


class Made(MemoryConnection):
    """``lost``: it has no path just now, though it stands."""

    lost = False

    def path(self) -> PathKind | None:
        return None if self.lost else super().path()


class Dialled:
    """``may``: a dial ends; ``fails``: so many do in vain."""

    def __init__(self) -> None:
        self.made: list[Made] = []
        self.limits: list[float | None] = []
        self.begun = asyncio.Event()
        self.may = asyncio.Event()
        self.may.set()
        self.at_once = self.most = self.fails = 0

    async def __call__(self, limit_s: float | None) -> Connection:
        self.limits.append(limit_s)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.begun.set()
        try:
            await self.may.wait()
        finally:
            self.at_once -= 1
        if self.fails:
            self.fails -= 1
            raise Unavailable("nobody is there")
        one = Made("a" * 64, b"x")
        one.other = MemoryConnection("b" * 64, b"x")
        self.made.append(one)
        return one


async def dialling(askers: int) -> tuple[Dialled, KeptConnection, list[asyncio.Task[Connection]]]:
    """The first of those who ask dials, until ``may``; the others wait behind it."""
    dial = Dialled()
    kept = KeptConnection(dial)
    dial.may.clear()
    asking = [asyncio.create_task(kept.get(PATIENCE_S)) for _ in range(askers)]
    await dial.begun.wait()
    return dial, kept, asking


async def test_all_share_the_one_connection() -> None:
    dial, _, asking = await dialling(5)
    dial.may.set()
    assert await asyncio.gather(*asking) == dial.made * 5
    assert (dial.most, dial.limits) == (1, [PATIENCE_S])


async def test_one_that_is_gone_and_a_dial_that_failed_are_followed_by_another() -> None:
    dial = Dialled()
    dial.fails = 1
    kept = KeptConnection(dial)
    with pytest.raises(Unavailable, match="nobody is there"):
        await kept.get(None)
    first = await kept.get(None)
    await first.close(0, "")
    assert await kept.get(None) is dial.made[1] is not first


async def test_who_waits_behind_a_dial_waits_no_longer_than_its_limit() -> None:
    dial, kept, (first,) = await dialling(1)
    with pytest.raises(TimeoutError):
        await kept.get(0.02)
    dial.may.set()
    assert await first is await kept.get(0.02) is dial.made[0]


@pytest.mark.parametrize("which", [0, 1], ids=["the dialler", "one behind it"])
async def test_one_that_is_cancelled_holds_up_nobody(which: int) -> None:
    dial, _, asking = await dialling(3)
    asking[which].cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking[which]
    dial.may.set()
    async with asyncio.timeout(PATIENCE_S):
        assert await asking[2] is dial.made[0]
    assert dial.most == 1


async def test_closing_ends_a_dial_and_all_who_wait_behind_it() -> None:
    dial, kept, asking = await dialling(3)
    await kept.close()
    settled = asyncio.create_task(kept.settled())
    await asyncio.sleep(0)
    assert not settled.done()
    dial.may.set()
    for one in asking:
        with pytest.raises(Unavailable, match="given up"):
            await one
    await settled
    assert len(dial.limits) == 1
    assert dial.made[0].gone
    with pytest.raises(Unavailable, match="given up"):
        await kept.get(PATIENCE_S)


async def test_closing_ends_one_that_was_replaced_when_it_had_no_path() -> None:
    dial = Dialled()
    kept = KeptConnection(dial)
    first = await kept.get(PATIENCE_S)
    dial.made[0].lost = True
    second = await kept.get(PATIENCE_S)
    assert second is not first
    assert not dial.made[0].gone  # what goes on over it may end
    await kept.close()
    assert [one.gone for one in dial.made] == [True, True]
