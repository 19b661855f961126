"""Rehearsals of real guests in a real child process."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from guest.build_c import build_c
from mvm_ci.domain.errors import NotFound
from mvm_ci.domain.http import HttpResponse
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.outcome import Failure, FailureKind, Suspended
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.segment import Segment
from mvm_ci.engine.rehearsal_messages import Rehearse
from mvm_ci.engine.rehearsals import Rehearsals
from mvm_ci.journal.codec import split
from mvm_ci.journal.entries import Finished
from mvm_ci.lifecycle.execute import ExecutionLimits
from mvm_ci.lifecycle.rehearse import Agrees, Damaged, Departs, Undecided, Verdict
from mvm_ci.ports.guest import CompiledModule
from mvm_ci.testing.execution import World, place
from tests.integration.wasm.conftest import Load

Compiled = Callable[[Path], CompiledModule]
GET = r"{\"method\":\"GET\",\"url\":\"https://x.test/a\"}"
STEPS = """#include "mvm_ci.h"
static char request[] = "%s", answer[65536];
MVM_CI_RUN {
    mvm_ci_now_ms();
    mvm_ci_log("one\\n", 4);
    mvm_ci_http_read(answer, 0, mvm_ci_http(request, sizeof request - 1));
    mvm_ci_log(answer + 999, 1);
    mvm_ci_sleep_ms(60000);
    mvm_ci_log("%s\\n", %d);
    %s
    mvm_ci_output("1", 1);
    return 0;
}
"""
LARGE = HttpResponse(200, "https://x.test/a", (), b"x" * 10_000)
SPIN = "volatile int i = 0; while (1) i++;"


def source(directory: Path, text: str = "two", more: str = "") -> Path:
    file = directory / f"{text}-{len(more)}.c"
    file.write_text(STEPS % (GET, text, len(text) + 1, more))
    return build_c(file)


def task(module: CompiledModule, *journal: Segment) -> Rehearse:
    return Rehearse(
        module=module, job=JobId(1), attempt=1, input=b"", journal=journal, memory_bytes=1 << 24, output=True
    )


class Stage:
    """Rehearses, one task after the other in one child; ``wrote``: by the last one."""

    def __init__(self, directory: Path, world: World) -> None:
        self.directory = directory
        self.world = world
        self.wrote = ""

    def rehearse(self, *tasks: Rehearse, time_s: float = 60.0, next_s: float = 10.0) -> list[Verdict]:
        async def run() -> list[Verdict]:
            async with Rehearsals(self.directory, next_s=next_s) as rehearsals:
                return [await self._one(rehearsals, one, time_s) for one in tasks]

        return asyncio.run(run())

    async def _one(self, rehearsals: Rehearsals, one: Rehearse, time_s: float) -> Verdict:
        self.wrote = ""
        return await rehearsals.rehearse(one, self._blob, time_s=time_s, wrote=self._write)

    async def _blob(self, ref: BlobRef) -> bytes:
        return self.world.get_blob(ref)

    def _write(self, stream: str, text: str) -> None:
        self.wrote += text


def only_child() -> int:
    (child,) = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return int(child)


def recorded(load: Load, module: Path, placements: int) -> World:
    """What so many placements of a guest leave that suspends in its sleep."""
    world = World(lambda request, number: LARGE)
    for _ in range(placements):
        place(world, load(module).guest, limits=ExecutionLimits(suspend_after_ms=0))
        world.now_ns += 100_000_000_000
    return world


def agreeing(verdicts: list[Verdict]) -> list[tuple[int, str]]:
    """How many entries each agrees with, and what would follow."""
    found = [verdict for verdict in verdicts if isinstance(verdict, Agrees)]
    assert found == verdicts
    return [(verdict.entries, verdict.next or verdict.stands) for verdict in found]


def test_a_guest_agrees_with_its_journal_wherever_that_ends(
    load: Load, compiled: Compiled, tmp_path: Path
) -> None:
    module = source(tmp_path)
    world = recorded(load, module, 2)
    entries = world.entries
    stage = Stage(tmp_path, world)
    prefixes = [split(entries[:count], 0) for count in range(1, len(entries) + 1)]
    verdicts = stage.rehearse(*(task(compiled(module), *prefix) for prefix in prefixes))
    clock, two = "read the wall clock", "write 'two\\n' to log"
    assert agreeing(verdicts) == [
        (1, clock),
        (2, clock),
        (3, "write 'one\\n' to log"),
        (4, "request GET https://x.test/a"),
        (5, "write 'H' to log"),
        (6, "ask for a sleep of 60 s"),
        # By the machine's clock the sleep is over.
        (7, two),
        (8, two),
        (9, "come to the end with a result of 1 bytes (CRC 83dcefb7)"),
        (10, "ended"),
    ]
    assert stage.wrote == "one\nHtwo\n"
    assert len(world.effects) == 1, "that of the execution itself"


def test_a_guest_that_sleeps_still_is_said_to(load: Load, compiled: Compiled, tmp_path: Path) -> None:
    module = source(tmp_path)
    world = World(lambda request, number: LARGE)
    world.now_ns = time.time_ns()
    place(world, load(module).guest, limits=ExecutionLimits(suspend_after_ms=0))
    (verdict,) = Stage(tmp_path, world).rehearse(task(compiled(module), *world.journal))
    assert world.outcome == Suspended((world.now_ns + 60 * 10**9 + 10**6 - 1) // 10**6)
    assert verdict == Agrees(entries=7, stands="sleeps", wake_ms=world.outcome.wake_ms)


def test_another_build_agrees_or_departs(load: Load, compiled: Compiled, tmp_path: Path) -> None:
    world = recorded(load, source(tmp_path), 2)
    same = source(tmp_path, more="mvm_ci_log(answer, 0);")
    other = source(tmp_path, "three")
    stage = Stage(tmp_path, world)
    verdicts = stage.rehearse(*(task(compiled(module), *world.journal) for module in (same, other)))
    assert agreeing(verdicts[:1]) == [(10, "ended")]
    assert verdicts[1] == Departs(
        index=8, recorded="'two\\n' written to log", asked="'three\\n' written to log"
    )
    assert stage.wrote == "one\nH", "what it would have written is not shown as if it had been"


def test_what_computes_for_long_is_not_waited_for(load: Load, compiled: Compiled, tmp_path: Path) -> None:
    module = source(tmp_path)
    world = recorded(load, module, 2)
    early = source(tmp_path, "two", SPIN)
    stage = Stage(tmp_path, world)
    journal = split(world.entries[:9], 0)
    spins, late, again = stage.rehearse(
        task(compiled(early), *journal),
        task(compiled(early), *world.journal),
        task(compiled(module), *world.journal),
        time_s=2,
        next_s=0.1,
    )
    assert spins == Agrees(entries=9, stands="computes")
    assert late == Undecided(reason="it did not get through its journal within 2 s")
    assert agreeing([again]) == [(10, "ended")], "a killed child is replaced"


def test_an_execution_that_ran_out_of_time_agrees(load: Load, compiled: Compiled, tmp_path: Path) -> None:
    module = source(tmp_path)
    world = recorded(load, module, 1)
    late = Finished(None, Failure(kind=FailureKind.TIME, message="too long"))
    (verdict,) = Stage(tmp_path, world).rehearse(task(compiled(module), *split([*world.entries, late], 0)))
    assert agreeing([verdict]) == [(8, "ended")]


def test_what_cannot_be_rehearsed_is_said(load: Load, compiled: Compiled, tmp_path: Path) -> None:
    module = source(tmp_path)
    world = recorded(load, module, 2)
    machine = compiled(module)
    stage = Stage(tmp_path, world)
    (segment,) = split(world.entries, 0)
    broken = replace(segment, data=segment.data[:-1])
    nothing, damaged, other, gone = stage.rehearse(
        task(machine),
        task(machine, broken),
        replace(task(machine, segment), input=b"{}"),
        task(replace(machine, path=str(tmp_path / "gone"))),
    )
    assert nothing == Undecided(reason="there is no journal: the execution has not begun")
    assert damaged == Damaged(reason="journal entry 0: the checksum does not match")
    assert isinstance(other, Damaged)
    assert "another input" in other.reason
    assert isinstance(gone, Undecided)


def test_a_payload_that_is_gone_is_named(load: Load, compiled: Compiled, tmp_path: Path) -> None:
    module = source(tmp_path)
    world = recorded(load, module, 1)

    class Empty(Stage):
        async def _blob(self, ref: BlobRef) -> bytes:
            raise NotFound("it is not there")

    (verdict,) = Empty(tmp_path, world).rehearse(task(compiled(module), *world.journal))
    assert isinstance(verdict, Undecided)
    assert verdict.reason.endswith("is needed: it is not there")


def test_a_child_that_dies_costs_its_rehearsal_only(load: Load, compiled: Compiled, tmp_path: Path) -> None:
    module = source(tmp_path)
    world = recorded(load, module, 2)

    class Killer(Stage):
        killed = False

        async def _blob(self, ref: BlobRef) -> bytes:
            if not self.killed:
                self.killed = True
                os.kill(only_child(), signal.SIGKILL)
            return self.world.get_blob(ref)

    one = task(compiled(module), *world.journal)
    died, again = Killer(tmp_path, world).rehearse(one, one)
    assert died == Undecided(reason="the process that ran it died (killed by SIGKILL)")
    assert agreeing([again]) == [(10, "ended")]
