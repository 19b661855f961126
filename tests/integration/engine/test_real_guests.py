"""The pool with the real WebAssembly runtime."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from guest.build_c import build_c
from mvm_ci.adapters.wasm.compiler import ChildCompiler
from mvm_ci.domain.errors import NotFound
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed, Failed, FailureKind, Stopped
from mvm_ci.engine.settings import DEFAULT_RUNTIME
from mvm_ci.ports.guest import CompiledModule
from tests.integration.engine.fakes import Payloads, World, running

EXAMPLES = Path(__file__).parents[3] / "guest" / "examples"
SPIN = '#include "mvm_ci.h"\nMVM_CI_RUN { volatile int i = 0; while (1) i++; return 0; }\n'


class Modules(Payloads):
    """Compiles modules as a worker does."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.compiler = ChildCompiler(directory / "compiled")
        self.sources: dict[str, Path] = {}

    def add(self, source: Path) -> Digest:
        built = build_c(source)
        digest = Digest(hashlib.sha256(built.read_bytes()).hexdigest())
        self.sources[digest] = built
        return digest

    async def module(self, digest: str) -> CompiledModule:
        if digest not in self.sources:
            raise NotFound("no such module")
        return await self.compiler.compile(self.sources[digest], digest)


@pytest.fixture
def modules(tmp_path: Path) -> Modules:
    return Modules(tmp_path)


@pytest.fixture
async def world(tmp_path: Path, modules: Modules) -> AsyncIterator[World]:
    async with running(tmp_path, slots=2, runtime=DEFAULT_RUNTIME, payloads=modules) as world:
        yield world


async def test_a_thousand_small_jobs(world: World, modules: Modules) -> None:
    noop = modules.add(EXAMPLES / "noop.c")
    world.pool.place([world.placement(job, b"{}", module=noop) for job in range(1, 1001)])
    outcomes = await world.events.wait_ended(*range(1, 1001))
    assert {type(outcome) for outcome in outcomes} == {Completed}


async def test_steps_are_recorded_and_replayed(world: World, modules: Modules) -> None:
    steps = modules.add(EXAMPLES / "five_steps.c")
    world.pool.place([world.placement(1, b"{}", module=steps)])
    [first] = await world.events.wait_ended(1)
    tail = world.tail(1)
    assert tail is not None
    world.pool.place([world.placement(1, b"{}", module=steps, epoch=2, journal=[tail])])
    [second] = await world.events.wait_ended(1, epoch=2)
    assert isinstance(first, Completed)
    assert second == first


async def test_a_spinning_guest_is_stopped_or_runs_out_of_time(
    world: World, modules: Modules, tmp_path: Path
) -> None:
    source = tmp_path / "spin.c"
    source.write_text(SPIN)
    spin = modules.add(source)
    before = world.pool.runner_pids
    world.pool.place(
        [world.placement(1, b"", module=spin), world.placement(2, b"", module=spin, timeout_ms=60)]
    )
    await world.events.wait_started(1)
    world.pool.stop(Placed(JobId(1), 1))
    assert await world.events.wait_ended(1) == [Stopped()]
    [late] = await world.events.wait_ended(2)
    assert isinstance(late, Failed)
    assert late.failure.kind is FailureKind.TIME
    assert world.pool.runner_pids == before, "no runner had to be killed"
