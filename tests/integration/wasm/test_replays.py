"""Replays as the command line makes them: recordings in, verdicts out."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from guest.build_c import build_c
from mvm_ci.domain.errors import BadModule, NotFound, ProtocolError
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.journal.codec import split
from mvm_ci.lifecycle.rehearse import Agrees, Damaged, Undecided
from mvm_ci.testing.execution import MODULE, World
from mvm_ci.wire.recording import RecordedJob, Recording
from mvm_ci.wiring.replay import Replayed, Replays
from tests.integration.wasm.conftest import CACHE, Load
from tests.integration.wasm.test_rehearsals import LARGE, recorded, source

Payload = Callable[[str, int], Awaitable[bytes]]


def recording(world: World, *, lose: int = 0, length: int | None = None) -> Recording:
    """Of a world's journal, a segment an entry; ``lose``: bytes of the last one."""
    entries = world.entries
    segments = [split([entry], at)[0] for at, entry in enumerate(entries)]
    if lose:
        last = segments[-1]
        segments[-1] = type(last)(last.first, last.count, last.data[:-lose])
    of = RecordedJob(JobId(1), 1, MODULE, b"", 1 << 24, 60_000, len(entries) if length is None else length)
    return Recording(of, tuple(segments))


async def fetched(data: bytes) -> bytes:
    return data


def digest_of(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest())


async def nothing(name: str) -> AsyncIterator[bytes]:
    raise NotFound(f"no artifact {name}")
    yield b""


def replay(module: Path, payload: Payload, *recordings: Recording, at_once: int = 1) -> list[Replayed]:
    data = module.read_bytes()

    async def run() -> list[Replayed]:
        async with Replays(CACHE / "compiled", at_once) as replays:
            compiled = await replays.module(digest_of(data), lambda: fetched(data))
            return await asyncio.gather(
                *(replays.replay(one, compiled, payload, nothing) for one in recordings)
            )

    return asyncio.run(run())


def payloads(world: World, asked: list[tuple[str, int]]) -> Payload:
    async def get(digest: str, first: int) -> bytes:
        asked.append((digest, first))
        return world._blobs[digest]

    return get


def test_payloads_are_asked_for_by_the_entry_that_refers_to_them(load: Load, tmp_path: Path) -> None:
    module = source(tmp_path)
    world = recorded(load, module, 2)
    asked: list[tuple[str, int]] = []
    (found,) = replay(module, payloads(world, asked), recording(world))
    assert found == Replayed(Agrees(entries=10, stands="ended"))
    (digest,) = world._blobs
    assert asked == [(digest, 4)]


def test_a_digest_that_a_guest_writes_later_is_no_reference(load: Load, tmp_path: Path) -> None:
    assert isinstance(LARGE.body, bytes)
    module = source(tmp_path, text=digest_of(LARGE.body))
    world = recorded(load, module, 2)
    asked: list[tuple[str, int]] = []
    replay(module, payloads(world, asked), recording(world))
    assert asked == [(digest_of(LARGE.body), 4)]


def test_many_are_replayed_side_by_side(load: Load, tmp_path: Path) -> None:
    module = source(tmp_path)
    world = recorded(load, module, 2)
    found = replay(module, payloads(world, []), *[recording(world)] * 12, at_once=3)
    assert found == [Replayed(Agrees(entries=10, stands="ended"))] * 12


def test_a_torn_tail_is_left_out_and_counted(load: Load, tmp_path: Path) -> None:
    module = source(tmp_path)
    world = recorded(load, module, 2)
    (found,) = replay(module, payloads(world, []), recording(world, lose=2))
    assert isinstance(found.verdict, Agrees)
    assert (found.verdict.entries, found.verdict.stands, found.lost) == (9, "goes-on", 1)


def test_what_is_missing_is_damage(load: Load, tmp_path: Path) -> None:
    module = source(tmp_path)
    world = recorded(load, module, 2)
    (found,) = replay(module, payloads(world, []), recording(world, length=11))
    assert isinstance(found.verdict, Damaged)
    assert "the journal ends here, it had 11 entries" in found.verdict.reason


def test_a_payload_that_is_another_is_not_taken(load: Load, tmp_path: Path) -> None:
    module = source(tmp_path)
    world = recorded(load, module, 2)

    async def other(digest: str, first: int) -> bytes:
        return b"other bytes"

    (found,) = replay(module, other, recording(world))
    assert isinstance(found.verdict, Undecided)
    assert "is not the payload" in found.verdict.reason


def test_a_module_is_fetched_once_and_must_be_the_one(tmp_path: Path) -> None:
    data = build_c(Path(__file__).parents[3] / "guest" / "examples" / "noop.c").read_bytes()
    calls: list[str] = []

    async def fetch() -> bytes:
        calls.append("fetched")
        return data

    async def nothing() -> bytes:
        raise NotFound("it is gone")

    async def run() -> None:
        async with Replays(tmp_path / "cache") as replays:
            with pytest.raises(NotFound, match="it is gone"):
                await replays.module(digest_of(data), nothing)
            with pytest.raises(ProtocolError, match="is not the module"):
                await replays.module(Digest("0" * 64), fetch)
            with pytest.raises(BadModule):
                await replays.module(digest_of(b"no module"), lambda: fetched(b"no module"))
            first = await replays.module(digest_of(data), fetch)
            assert await replays.module(digest_of(data), nothing) == first

    asyncio.run(run())
    assert calls == ["fetched"] * 2
