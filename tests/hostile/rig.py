"""A worker's engine on real parts, in which a hostile guest runs beside two that work."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

from guest.build_c import build_c
from mvm_ci.adapters.http.client import GuestHttpClient
from mvm_ci.adapters.system import SystemClock
from mvm_ci.adapters.wasm.compiler import ChildCompiler, CompileLimits
from mvm_ci.domain.errors import NotFound
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import JobSpec, Placed
from mvm_ci.domain.network import NetworkPolicy
from mvm_ci.domain.outcome import Completed, Failed, Outcome
from mvm_ci.domain.payload import INLINE_LIMIT, Payload
from mvm_ci.engine.pool import EnginePool
from mvm_ci.engine.settings import PoolSettings
from mvm_ci.ports.engine import Placement
from mvm_ci.ports.guest import CompiledModule
from tests.integration.engine.fakes import Artifacts, Events, Journal, Lease, Payloads, Plane
from tests.integration.servers import Server, ok, serving
from tests.integration.wasm.conftest import CACHE, built

GUESTS: Final = Path(__file__).parents[2] / "guest" / "tests" / "hostile"
SUMS: Final = ("97148000", "88390000")
"""What the sums in ``guest/tests/hostile/neighbour.c`` are."""
PATIENCE_S: Final = 100


class Modules(Payloads):
    """Compiles modules as a worker does; what was compiled before is kept for all sessions."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._directory = directory
        self._usual = ChildCompiler(CACHE / "compiled")
        self._compilers: dict[str, ChildCompiler] = {}
        self._sources: dict[str, Path] = {}

    def add(self, binary: bytes, limits: CompileLimits | None = None) -> Digest:
        """``limits``: instead of the usual ones, for compiling this one."""
        digest = Digest(hashlib.sha256(binary).hexdigest())
        source = self._directory / f"{digest}.wasm"
        source.write_bytes(binary)
        self._sources[digest] = source
        if limits is not None:
            self._compilers[digest] = ChildCompiler(self._directory / "compiled", limits)
        return digest

    async def module(self, digest: str) -> CompiledModule:
        if digest not in self._sources:
            raise NotFound("no such module")
        return await self._compilers.get(digest, self._usual).compile(self._sources[digest], digest)


class Site:
    """A web server: ``/gate`` answers once the gate is open, everything else at once."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.waiting = 0
        self.seen: list[str] = []
        self.server: Server
        self._arrived = asyncio.Event()

    def reply(self, request: bytes) -> bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]:
        self.seen.append(request.decode("latin-1").partition(" HTTP")[0])
        return self._wait if b" /gate" in request else ok(b"open")

    def url(self, path: str) -> str:
        return f"http://site.test:{self.server.port}{path}"

    async def at_the_gate(self, count: int) -> None:
        """Returns when so many requests wait at the gate."""
        while self.waiting < count:
            self._arrived.clear()
            async with asyncio.timeout(PATIENCE_S):
                await self._arrived.wait()

    async def _wait(self, writer: asyncio.StreamWriter) -> None:
        self.waiting += 1
        self._arrived.set()
        await self.gate.wait()
        self.waiting -= 1
        writer.write(ok(b"open"))
        await writer.drain()


class Rig:
    """An engine pool with one runner. ``expected``: codes of how the hostile guest may end, by the test's
    mark; ``checked``: how often one ended so.
    """

    def __init__(self, directory: Path, site: Site) -> None:
        self.site = site
        self.events = Events()
        self.journal = Journal()
        self.payloads = Modules(directory)
        self.expected: tuple[str, ...] = ()
        self.checked = 0
        self.names: dict[str, list[list[str]]] = {"site.test": [["127.0.0.1"]]}
        self.policy = NetworkPolicy(allow_hosts=("*:*",), allow_networks=("127.0.0.0/8",))
        self.http = GuestHttpClient(self.policy, resolve=self._resolve)
        self.pool = EnginePool(
            PoolSettings(worker="test", directory=directory, slots=1),
            journal=self.journal,
            plane=Plane(self.journal),
            lease=Lease(),
            payloads=self.payloads,
            artifacts=Artifacts(directory),
            http=self.http,
            events=self.events,
            clock=SystemClock(),
        )
        self.python = self.payloads.add(built(GUESTS / "job.py", directory).read_bytes())
        self.c = self.payloads.add(build_c(GUESTS / "neighbour.c").read_bytes())
        self._near: list[Placed] = []
        self._placed: set[Placed] = set()
        self._job = 0

    # ------------------------------------------------------------------ placing

    def place(
        self,
        module: Digest | bytes,
        given: Payload = b"",
        *,
        memory_bytes: int = 256 << 20,
        timeout_ms: int = 300_000,
        limits: CompileLimits | None = None,
    ) -> Placed:
        """A job of a module, or of a binary."""
        digest = self.payloads.add(module, limits) if isinstance(module, bytes) else module
        self._job += 1
        spec = JobSpec(
            module=digest, input=given, allow_hosts=("*:*",), timeout_ms=timeout_ms, memory_bytes=memory_bytes
        )
        placed = Placed(JobId(self._job), 1)
        self._placed.add(placed)
        self.pool.place([Placement(placed=placed, attempt=1, spec=spec)])
        return placed

    async def place_python(self, do: str, argument: object = None, *, timeout_ms: int = 300_000) -> Placed:
        """A job of ``guest/tests/hostile/job.py``."""
        data = json.dumps({"do": do, "argument": argument}).encode()
        given = data if len(data) <= INLINE_LIMIT else await self.payloads.put(data)
        return self.place(self.python, given, timeout_ms=timeout_ms)

    async def ended(self, placed: Placed) -> Outcome:
        """How a job ended."""
        while placed not in self.events.ends:
            await self._changed()
        return self.events.ends[placed].outcome

    async def begun(self, placed: Placed) -> None:
        """Returns when a job runs, or is over."""
        while placed not in self.events.starts and placed not in self.events.ends:
            await self._changed()

    def stop(self, placed: Placed) -> None:
        """As its user cancels it."""
        self.pool.stop(placed)

    async def _changed(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.events.changed()

    async def _resolve(self, host: str, port: int) -> Sequence[str]:
        """``names`` has a name's answers one after another; the last one stays."""
        answers = self.names.get(host)
        if answers is None:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    # ------------------------------------------------------------------ neighbours

    @contextlib.asynccontextmanager
    async def neighbours(self, *, survives: bool = True) -> AsyncIterator[None]:
        """Two guests, one of each kind, begin before the block and are in the middle of their work while it
        runs. At its end they have done it, and the runner does what comes next. ``survives``: it is the
        same runner all the time.
        """
        before = self.pool.runner_pids
        self.site.gate.clear()
        self._near = await self._work("/gate")
        await self.site.at_the_gate(2)
        try:
            yield
            await self.meanwhile()
        finally:
            # A guest that a failed test left here must not fail the others.
            self.site.gate.set()
            for placed in self._placed - self.events.ends.keys():
                self.stop(placed)
        await self._worked(await self._work("/open"))
        assert not survives or self.pool.runner_pids == before, "the runner had to be replaced"

    async def meanwhile(self) -> None:
        """In the block: the neighbours do the rest of their work now."""
        self.site.gate.set()
        near, self._near = self._near, []
        await self._worked(near)

    async def _work(self, path: str) -> list[Placed]:
        document = json.dumps({"url": self.site.url(path), "timeout_ms": 300_000}).encode()
        return [self.place(self.c, document), await self.place_python("neighbour", self.site.url(path))]

    async def _worked(self, placed: list[Placed]) -> None:
        if not placed:
            return
        in_c, in_python = [result(await self.ended(one)) for one in placed]
        first, second, answer = in_c.split(b" ", 2)
        assert (first.decode(), second.decode()) == SUMS
        assert json.loads(answer)["ok"]["body"] == "b3Blbg=="
        assert json.loads(in_python) == [True, "open", True]

    # ------------------------------------------------------------------ the hostile one

    async def beside(self, placed: Placed, *, stop: bool = False, answers: bool = False) -> Outcome:
        """In the block of ``neighbours``: the hostile guest runs, the others end beside it; then it ends, if
        ``stop`` because it is cancelled, and as expected. ``answers``: expected is the kind of error that it
        was answered, which is its result.
        """
        await self.begun(placed)
        await self.meanwhile()
        if stop:
            assert placed not in self.events.ends, self.events.ends
            self.stop(placed)
        outcome = await self.ended(placed)
        self.check(answer(outcome) if answers else code(outcome), outcome)
        return outcome

    async def run(self, module: Digest | bytes, given: Payload = b"", **options: Any) -> Outcome:
        """A hostile guest from its beginning to its expected end, beside others."""
        ends = {key: options.pop(key) for key in ("stop", "answers") if key in options}
        async with self.neighbours():
            return await self.beside(self.place(module, given, **options), **ends)

    async def run_all(self, *modules: bytes, given: bytes = b"", **options: Any) -> list[Outcome]:
        """The same of several, all at once."""
        async with self.neighbours():
            placed = [self.place(module, given, **options) for module in modules]
            for one in placed:
                await self.begun(one)
            return [await self.beside(one) for one in placed]

    async def run_python(self, do: str, argument: object = None, **ends: bool) -> Outcome:
        """The same of ``guest/tests/hostile/job.py``."""
        async with self.neighbours():
            return await self.beside(await self.place_python(do, argument), **ends)

    def check(self, ending: str, what: object = "") -> None:
        """The hostile guest, or what it did, ended with this code."""
        assert ending in self.expected, (ending, what)
        self.checked += 1


def code(outcome: Outcome) -> str:
    """How a job ended, in the words of the documentation."""
    if isinstance(outcome, Failed):
        return outcome.failure.kind.value
    return type(outcome).__name__.lower()


def answer(outcome: Outcome) -> str:
    """The kind of error that a guest was answered."""
    kind: str = json.loads(result(outcome))["error"]["kind"]
    return kind


def result(outcome: Outcome) -> bytes:
    """An inline result."""
    assert isinstance(outcome, Completed), outcome
    assert isinstance(outcome.result, bytes)
    return outcome.result


def reason(outcome: Outcome) -> str:
    """Why it failed."""
    assert isinstance(outcome, Failed), outcome
    assert "\n" not in outcome.failure.message
    return outcome.failure.message


@contextlib.asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Rig]:
    """A started rig, closed at the end."""
    site = Site()
    async with serving(site.reply) as server:
        site.server = server
        rig = Rig(directory, site)
        try:
            await rig.pool.start()
            yield rig
        finally:
            site.gate.set()
            await rig.pool.close()
            await rig.http.close()
