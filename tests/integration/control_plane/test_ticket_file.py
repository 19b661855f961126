"""The ticket's file stays true while the control plane's addresses change."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mvm_ci.domain.errors import Misconfigured
from mvm_ci.wiring import control_plane as wiring


async def test_a_new_ticket_is_written_and_one_that_could_not_be_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    disk = SimpleNamespace(full=True)

    def write(file: Path, ticket: str) -> None:
        full = disk.full
        loop.call_soon_threadsafe(written.put_nowait, f"{file.name}: {ticket}, full: {full}")
        if full:
            raise Misconfigured("the disk is full")

    monkeypatch.setattr(wiring, "_write_ticket", write)
    monkeypatch.setattr(wiring, "_TICKET_S", 0.001)
    running: Any = SimpleNamespace(ticket="first")
    following = asyncio.create_task(wiring._follow_ticket(running, tmp_path / "ticket", "first"))
    try:
        running.ticket = "second"
        assert await written.get() == "ticket: second, full: True"
        disk.full = False
        while await written.get() != "ticket: second, full: False":
            pass
        running.ticket = "third"
        # Once it is there it is not written again.
        assert await written.get() == "ticket: third, full: False"
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
