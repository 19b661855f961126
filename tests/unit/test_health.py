"""The file that says that a process is well."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from mvm_ci.domain.errors import Misconfigured
from mvm_ci.wiring import health


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "TOUCH_S", 0.005)


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not await asyncio.to_thread(fact):  # noqa: ASYNC110 (files have no events)
            await asyncio.sleep(0.005)


async def test_it_is_there_and_renewed_while_all_is_well_and_gone_when_not(tmp_path: Path) -> None:
    file, well = tmp_path / "healthy", True
    async with health.showing_health(lambda: well, file):
        await until(file.exists)
        first = file.stat().st_mtime_ns
        await until(lambda: file.stat().st_mtime_ns > first)
        well = False
        await until(lambda: not file.exists())
        well = True
        await until(file.exists)
    assert not file.exists()


async def test_one_that_a_killed_process_left_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "healthy"
    file.touch()
    async with health.showing_health(lambda: False, file):
        assert not file.exists()


async def test_a_file_that_cannot_be_written_ends_no_worker(tmp_path: Path) -> None:
    place = tmp_path / "nowhere"
    async with health.showing_health(lambda: True, place / "healthy"):
        await asyncio.sleep(0.02)
        place.mkdir()
        await until((place / "healthy").exists)


async def test_a_directory_in_its_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot write"):
        async with health.showing_health(lambda: True, tmp_path):
            pass


async def test_without_a_file_nothing_is_done() -> None:
    async with health.showing_health(lambda: True, None):
        assert len(asyncio.all_tasks()) == 1
