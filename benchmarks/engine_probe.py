"""One engine alone, in this process: ``python -m benchmarks.engine_probe NAME [QUICK]`` prints its figures.

``benchmarks.engine`` starts it, so that each is measured in a fresh process.
"""

import asyncio
import hashlib
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import wasmtime

from benchmarks import engine_neighbours
from benchmarks.workload import EXAMPLES, GUESTS, ROOT
from guest.build_c import build_c
from mvm_ci.adapters.componentize.build import build
from mvm_ci.adapters.wasm.compiler import ChildCompiler
from mvm_ci.adapters.wasm.runtime import WasmRuntime
from mvm_ci.domain.http import HttpRequest, HttpResult
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.mail import Mail
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.segment import Segment
from mvm_ci.engine.strand import GiveWay
from mvm_ci.journal.steps import JournalLimits
from mvm_ci.lifecycle.execute import Execution, ExecutionLimits, Result, execute
from mvm_ci.ports.guest import RUNTIME_GUESTS, CompiledModule, Guest, GuestLimits
from mvm_ci.ports.immediate import at_once
from mvm_ci.testing.memory import rollup_kb

INPUT: Final = b"x" * 200
BUILT: Final = ROOT / "build" / "bench" / "python"
LIMITS: Final = GuestLimits()
_LONG: Final = JournalLimits(entries=1_000_000, bytes=1 << 30)


class Sink:
    """An ``ExecutionHost`` whose entries are durable at once and whose waits end at once, or never."""

    def __init__(self) -> None:
        self.posted: list[Segment] = []
        self.wait: Callable[[], Any] | None = None

    def wall_ns(self) -> int:
        return time.time_ns()

    async def give_way(self) -> None:
        """Nobody else is there."""

    def cancelled(self) -> bool:
        return False

    def random_seed(self) -> bytes:
        return bytes(32)

    def post(self, segment: Segment) -> None:
        self.posted.append(segment)

    async def flush(self) -> None:
        """Everything is durable."""

    async def http(self, request: HttpRequest, idempotency_key: str, *, whole: bool = False) -> HttpResult:
        raise NotImplementedError

    async def wait_until(self, wall_ns: int) -> None:  # noqa: ARG002 - it is never reached
        if self.wait is not None:
            await self.wait()

    async def ask(self, name: str, key: str, argument: bytes) -> bytes:
        raise NotImplementedError

    def tell(self, name: str, argument: bytes) -> None:
        raise NotImplementedError

    async def mail(self, topics: tuple[str, ...], until_wall_ns: int) -> tuple[Mail, ...]:
        raise NotImplementedError

    async def spool(self, name: str, offset: int, data: bytes) -> None:
        raise NotImplementedError

    async def read_artifact(self, ref: BlobRef, offset: int, size: int) -> bytes:
        raise NotImplementedError

    async def put_blob(self, data: bytes) -> BlobRef:
        raise NotImplementedError

    async def get_blob(self, ref: BlobRef) -> bytes:
        raise NotImplementedError


def compiled(source: Path) -> tuple[CompiledModule, Path]:
    """A guest from C as machine code, and its module."""
    module = build_c(source)
    cache = Path(tempfile.mkdtemp(prefix="mvm-ci-engine-"))
    digest = hashlib.sha256(module.read_bytes()).hexdigest()
    return asyncio.run(ChildCompiler(cache).compile(module, digest)), module


def load(source: Path) -> Guest:
    """A guest from C."""
    return WasmRuntime().load(compiled(source)[0])


def run(
    guest: Guest, given: bytes, host: Sink, journal: tuple[Segment, ...] = ()
) -> Coroutine[Any, Any, Result]:
    """The coroutine of one execution."""
    execution = Execution(
        job=JobId(1), attempt=1, epoch=1, place="here", module=Digest("0d" * 32), input=given, journal=journal
    )
    return execute(guest, execution, host, ExecutionLimits(guest=LIMITS, journal=_LONG))


def best_us(run: Callable[[], object], count: int, rounds: int = 5) -> float:
    """Microseconds of this thread's CPU for one of ``count`` runs; the best of ``rounds``."""
    found = []
    for _ in range(rounds):
        began = time.thread_time_ns()
        for _ in range(count):
            run()
        found.append((time.thread_time_ns() - began) / count / 1000)
    return min(found)


def noop(*, quick: bool) -> dict[str, float]:
    """A no-op core guest here, and by the package's own interface."""
    machine_code, module = compiled(EXAMPLES / "noop.c")
    guest = WasmRuntime().load(machine_code)
    count = 200 if quick else 5_000
    package = _package(module)
    calls: Any = Sink()
    ours_us = best_us(lambda: at_once(guest.run(INPUT, calls, LIMITS)), count)
    package_us = best_us(package, count)
    return {
        "engine_noop_us": ours_us,
        "engine_noop_package_us": package_us,
        "engine_noop_ratio": ours_us / package_us,
        "engine_job_us": best_us(lambda: at_once(run(guest, INPUT, Sink())), count),
    }


def _package(path: Path) -> Callable[[], object]:
    """The same guest as the package's documentation has it: store, limits, linker, functions."""
    config = wasmtime.Config()
    config.epoch_interruption = True
    engine = wasmtime.Engine(config)
    module = wasmtime.Module(engine, path.read_bytes())
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    i32, said = wasmtime.ValType.i32, list[bytes]()

    def read(caller: wasmtime.Caller, pointer: int, offset: int, size: int) -> int:
        memory = caller["memory"]
        part = INPUT[offset : offset + size]
        memory.write(caller, part, pointer)  # type: ignore[union-attr]
        return len(part)

    def output(caller: wasmtime.Caller, pointer: int, size: int) -> None:
        memory = caller["memory"]
        said.append(bytes(memory.read(caller, pointer, pointer + size)))  # type: ignore[union-attr]
        said.clear()

    own = "mvm_ci_v1"
    three, two = wasmtime.FuncType([i32(), i32(), i32()], [i32()]), wasmtime.FuncType([i32(), i32()], [])
    linker.define_func(own, "input_read", three, read, access_caller=True)
    linker.define_func(own, "output", two, output, access_caller=True)

    def once() -> None:
        store = wasmtime.Store(engine)
        store.set_limits(LIMITS.memory_bytes, LIMITS.table_elements, 1, 4, 1)
        store.set_wasi(wasmtime.WasiConfig())
        store.set_epoch_deadline(1)
        exports = linker.instantiate(store, module).exports(store)
        for name in ("_initialize", "run"):
            exports[name](store)  # type: ignore[operator]
        store.close()

    return once


def calls(*, quick: bool) -> dict[str, float]:
    """One host call that nothing records, and one that is journaled, in guests that make many."""
    guest = load(GUESTS / "micro.c")
    count, rounds = (500, 1) if quick else (20_000, 5)

    def each_us(letter: str) -> float:
        def one(times: int) -> float:
            return best_us(lambda: at_once(run(guest, f"{letter}{times}".encode(), Sink())), 1, rounds)

        return (one(count) - one(0)) / count

    return {"host_call_us": each_us("i"), "journaled_call_us": each_us("n")}


def replay(*, quick: bool) -> dict[str, float]:
    """Replay of journals of different lengths; for each entry."""
    guest = load(GUESTS / "micro.c")
    found = {}
    for entries in (100, 1_000) if quick else (100, 10_000, 100_000):
        host = Sink()
        ended = at_once(run(guest, f"n{entries}".encode(), host))
        # A short journal is all in the tail; the end of a long one is left out, and the guest ends anew.
        journal = tuple(host.posted) or tuple(filter(None, [ended.tail]))
        repeat = max(1, 10_000 // entries)
        us = best_us(lambda: at_once(run(guest, f"n{entries}".encode(), Sink(), journal)), repeat, 3)  # noqa: B023
        found[f"replay_per_entry_us_{entries}"] = us / entries
    return found


def hot(*, quick: bool) -> dict[str, float]:
    """C guests that sleep, suspended in one process, until no more fit or there are as many as are let in."""
    guest = load(GUESTS / "sleep.c")
    host = Sink()
    host.wait = GiveWay
    suspended = []
    for _ in range(64):  # what is kept once, whoever comes
        one = run(guest, b"", host)
        one.send(None)
        suspended.append(one)
    before, first = rollup_kb("self", "Anonymous"), len(suspended)
    for _ in range(100 if quick else RUNTIME_GUESTS - first):
        one = run(guest, b"", host)
        one.send(None)
        suspended.append(one)
    each = (rollup_kb("self", "Anonymous") - before) / (len(suspended) - first)
    began = time.thread_time_ns()
    for one in suspended:
        try:
            one.send(None)
        except StopIteration:
            continue
        raise RuntimeError("a guest that was woken did not end")
    us = (time.thread_time_ns() - began) / len(suspended) / 1000
    return {
        "hot_suspended": len(suspended),
        "hot_suspended_kb": each,
        "hot_resume_and_end_us": us,
        "hot_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def neighbours(*, quick: bool) -> dict[str, float]:
    """See ``engine_neighbours``."""
    machine_code, _ = compiled(GUESTS / "micro.c")
    return engine_neighbours.neighbours(WasmRuntime(), machine_code, quick=quick)


def python(*, quick: bool) -> dict[str, float]:
    """A Python guest that gives its input back: time, and first touches of a page, which are faults."""
    module, cache = BUILT / "noop.wasm", BUILT / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    made = build(EXAMPLES / "noop.py", module, cache=cache)
    guest = WasmRuntime().load(asyncio.run(ChildCompiler(cache).compile(module, made.digest)))
    count, given = 20 if quick else 500, json.dumps("x" * 198).encode()
    found = []
    for _ in range(count):
        began, before = time.thread_time_ns(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        at_once(run(guest, given, Sink()))
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        found.append(((time.thread_time_ns() - began) / 1000, faults))
    return {
        "engine_python_us": min(us for us, _ in found),
        "engine_python_faults": statistics.median(faults for _, faults in found),
    }


PROBES: Final[dict[str, Callable[..., dict[str, float]]]] = {
    "noop": noop,
    "calls": calls,
    "replay": replay,
    "hot": hot,
    "neighbours": neighbours,
    "python": python,
}

if __name__ == "__main__":
    print(json.dumps(PROBES[sys.argv[1]](quick="QUICK" in sys.argv[2:])))
