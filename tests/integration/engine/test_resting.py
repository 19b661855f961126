"""Quick guests whose entries are on their way leave their part of a slot to others."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mvm_ci.domain.outcome import Completed
from mvm_ci.engine.line import BATCH
from tests.integration.engine.fake_guests import script
from tests.integration.engine.fakes import ROOT, World, running


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")
    async with running(tmp_path, slots=1) as world:
        yield world


async def test_more_of_them_than_share_a_slot_wait_for_their_journals_at_once(world: World) -> None:
    asks = script(["http", "GET", "http://a/"])
    known = range(1, 11)
    world.pool.place([world.placement(job, asks) for job in known])
    await world.events.wait_ended(*known)
    world.journal.open.clear()
    many = range(100, 100 + 3 * BATCH)
    world.pool.place([world.placement(job, asks) for job in many])
    await world.journal.wait_held(len(many))
    assert len(world.http.requests) == len(known), "no effect before its entries are durable"
    world.journal.open.set()
    outcomes = await world.events.wait_ended(*many)
    assert {type(outcome) for outcome in outcomes} == {Completed}
    assert len(world.http.requests) == len(known) + len(many)
