"""``KeyboardInterrupt`` and ``CancelledError`` at many points: nothing leaks, and nothing is lost."""

import asyncio
import contextlib
import gc
import json
import os
import random
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from guest.build_c import build_c
from mvm_ci.adapters.system import SystemClock
from mvm_ci.adapters.wasm.compiler import ChildCompiler
from mvm_ci.client import AsyncClient
from mvm_ci.client.blocking.api import Client
from mvm_ci.config.processes import GuestConfig
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed, Released, Stopped
from mvm_ci.domain.role import Role
from mvm_ci.engine.runner_process import RunnerProcess, RunnerSettings
from mvm_ci.peer.settings import PeerSettings
from mvm_ci.testing.cluster import Cluster, cluster
from mvm_ci.testing.transport import MemoryTransport
from mvm_ci.wire import api
from mvm_ci.wiring.worker import make_worker
from tests.hostile.binaries import assembled, number
from tests.hostile.rig import GUESTS
from tests.hostile.test_runner_deaths import COMPUTED, Far
from tests.integration.control_plane.conftest import JOIN, Stand, api_token
from tests.integration.engine.fake_guests import script
from tests.integration.engine.fakes import ROOT, World, running
from tests.integration.servers import serving
from tests.integration.wasm.conftest import CACHE

TURNS: Final = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233)
"""Turns of the event loop before the interruption."""
SEED: Final = 20_261


class Held:
    """What this process holds: open files, child processes, threads, tasks."""

    def __init__(self) -> None:
        gc.collect()
        self.files = open_files()
        self.children = _children()
        self.threads = threading.active_count()
        self.tasks = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}

    async def given_back(self) -> None:
        """Returns when no more is held than when this was made; fails if that does not come true."""
        for _ in range(500):
            now = Held()
            more = len(now.files) > len(self.files)
            if not more and now.children <= self.children and now.tasks <= self.tasks:
                return
            await asyncio.sleep(0.01)
        assert now.files == self.files
        assert (now.children, now.tasks) == (self.children, self.tasks)


def open_files() -> dict[str, str]:
    """What each descriptor of this process stands for."""
    found = {}
    for descriptor in Path("/proc/self/fd").iterdir():
        # The one that the directory is read by is gone by now.
        with contextlib.suppress(FileNotFoundError):
            found[descriptor.name] = str(descriptor.readlink())
    return found


def _children() -> set[str]:
    found: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        # A thread may end meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.update((task / "children").read_text().split())
    return found


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def interrupted(task: "asyncio.Task[Any]") -> None:
    """Cancels it, as Ctrl-C does, and waits until it is over."""
    task.cancel()
    outcome = (await asyncio.gather(task, return_exceptions=True))[0]
    assert outcome is None or isinstance(outcome, asyncio.CancelledError), outcome


# ---------------------------------------------------------------- the engine


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")


@pytest.mark.ends("completed")
@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize("count", TURNS)
async def test_the_drain_of_an_engine_is_interrupted(tmp_path: Path, count: int) -> None:
    held = Held()
    async with running(tmp_path) as world:
        world.http.open.clear()
        world.place(1, script(["http", "GET", "http://a/"], ["echo", 1]))
        world.place(2, script(["log", "x"], ["sleep", 50_000]))
        world.place(3, script(["spin", 100], ["echo", 3]))
        world.place(4, script(["echo", 4]))
        await asyncio.wait_for(world.http.asked.wait(), 30)
        draining = asyncio.create_task(world.pool.drain(0.01))
        await turns(count)
        await interrupted(draining)
        # It drains all the same, once somebody asks it again, and each ends once.
        world.http.open.set()
        await world.pool.drain(0)
        outcomes = await world.events.wait_ended(1, 2, 3, 4)
        assert all(isinstance(outcome, Released | Completed) for outcome in outcomes)
        world.place(5, script(["echo", 5]))
        assert await world.events.wait_ended(5) == [Released()]
    await held.given_back()


@pytest.mark.ends("completed")
@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize("count", [0, 1, 2, 5, 10, 20, 50, 100, 1_000, 10_000])
async def test_the_start_of_an_engine_is_interrupted(tmp_path: Path, count: int) -> None:
    held = Held()
    world = World(tmp_path, slots=2)
    starting = asyncio.create_task(world.pool.start())
    await turns(count)
    await interrupted(starting)
    await world.pool.close()
    await held.given_back()


@pytest.mark.ends("stopped")
@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 10, 20])
async def test_the_end_of_an_engine_is_interrupted(tmp_path: Path, count: int) -> None:
    held = Held()
    async with running(tmp_path, slots=2) as world:
        world.place(1, script(["spin"]))
        stopped = world.place(2, script(["spin"]))
        await world.events.wait_started(2)
        world.pool.stop(stopped)
        assert await world.events.wait_ended(2) == [Stopped()]
        closing = asyncio.create_task(world.pool.close())
        await turns(count)
        await interrupted(closing)
        await world.pool.close()
        assert set(world.events.ends) == {Placed(JobId(2), 1)}
    await held.given_back()


@pytest.mark.ends("completed")
@pytest.mark.parametrize("count", [0, 1, 2, 5, 100, 1_001])
async def test_whoever_waits_for_a_compiler_is_interrupted(tmp_path: Path, count: int) -> None:
    source = slow_module(tmp_path, 2_000)
    compiler = ChildCompiler(tmp_path / "compiled")
    held = Held()
    first, second = (asyncio.create_task(compiler.compile(source, "d")) for _ in range(2))
    await turns(count)
    await interrupted(first)
    if count % 2:
        # The other one has it all the same.
        await second
    else:
        await interrupted(second)
        await compiler.compile(source, "d")
    assert [path.suffix for path in (tmp_path / "compiled").iterdir()] == [".cwasm"]
    await held.given_back()


# ---------------------------------------------------------------- a worker


class Home:
    """A control plane, and workers that come and go; all real but the network."""

    def __init__(self, directory: Path, stand: Stand) -> None:
        self.directory = directory
        self.stand = stand
        self.guests = GuestConfig(
            slots=1,
            allow_hosts=("127.0.0.1:*",),
            allow_networks=("127.0.0.0/8",),
            module_cache=CACHE / "compiled",
        )

    def worker(self) -> "asyncio.Task[None]":
        return asyncio.create_task(self.made().run())

    def made(self) -> Any:
        settings = PeerSettings(
            state_dir=self.directory / "worker",
            name="w",
            ticket=self.stand.endpoint.ticket(),
            join_token=JOIN,
            bind="127.0.0.1:0",
            grace_s=0.1,
        )
        return make_worker(settings, self.guests, MemoryTransport(self.stand.network))

    def client(self) -> AsyncClient:
        return AsyncClient(self.stand.plane.api_url, api_token(Role.ADMIN))


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    stand = Stand()
    stand.clock = SystemClock()  # type: ignore[assignment]
    await stand.prepare()
    await stand.start(lease_ms=2_000, heartbeat_ms=400)
    yield Home(tmp_path, stand)
    await stand.stop()


@pytest.mark.ends("completed")
@pytest.mark.parametrize("count", TURNS)
async def test_the_start_of_a_worker_is_interrupted(home: Home, count: int) -> None:
    held = Held()
    for _ in range(3):
        working = asyncio.create_task(home.made().run())
        await turns(count)
        await interrupted(working)
    await held.given_back()


@pytest.mark.ends("completed")
@pytest.mark.parametrize("politely", [False, True], ids=["at-once", "while-it-leaves"])
async def test_a_worker_is_interrupted_again_and_again(home: Home, *, politely: bool) -> None:
    # Each time in another phase of the same job, which has to be done once and for all in the end.
    chance = random.Random(SEED)
    module = build_c(GUESTS / "phases.c").read_bytes()
    far = Far()
    async with home.client() as client, serving(far.reply) as server:
        far.server = server
        pushed = await client.push_module(module)
        (job,) = await client.submit(
            [
                api.SubmitJob(
                    module=pushed.digest,
                    input=msgspec.Raw(far.document().replace(b"site.test", b"127.0.0.1")),
                    allow_hosts=("127.0.0.1:*",),
                )
            ]
        )
        held = Held()
        for count in range(5):
            worker = home.made()
            working = asyncio.create_task(worker.run())
            await asyncio.sleep(chance.random() * (0.2 + count / 5))
            if politely:
                worker.request_stop()
                await turns(chance.randrange(200))
            await interrupted(working)
            await held.given_back()
        worker = home.made()
        working = asyncio.create_task(worker.run())
        ended = await client.wait(job.id, timeout_s=90)
        assert ended.state == "completed", ended
        said = (await client.result(job.id)).decode()
        worker.request_stop()
        await working
    assert said in (f"answered {COMPUTED} answered", f"interrupted {COMPUTED} answered")
    assert far.seen["/post"] <= 1
    assert far.seen["/get"] >= 1


# ---------------------------------------------------------------- clients


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane with a worker, in processes of their own."""
    with cluster(tmp_path_factory.mktemp("plane")) as made:
        made.control_plane()
        made.worker("one", "--slots", "2")
        yield made


@pytest.fixture(scope="module")
def sleeps(plane: Cluster) -> Path:
    """A module that sleeps for a second or so."""
    source = plane.directory / "sleeps.c"
    source.write_text('#include "mvm_ci.h"\nMVM_CI_RUN { mvm_ci_sleep_ms(1500); return 0; }\n')
    return build_c(source)


def credentials(plane: Cluster) -> tuple[str, str]:
    known = json.loads(plane.credentials.read_text())
    return known["url"], known["token"]


@pytest.mark.ends("completed")
async def test_a_client_is_interrupted_while_it_waits(plane: Cluster, sleeps: Path) -> None:
    held = Held()
    async with AsyncClient(*credentials(plane)) as client:
        pushed = await client.push_module(await asyncio.to_thread(sleeps.read_bytes))
        (job,) = await client.submit([api.SubmitJob(module=pushed.digest)])

        async def logs() -> None:
            async for _ in client.logs(job.id, wait=True):
                pass

        for count in TURNS:
            for waits in (client.wait(job.id), logs(), client.job(job.id), client.status()):
                task = asyncio.ensure_future(waits)
                await turns(count)
                await interrupted(task) if not task.done() else await task
            # What comes next has its own answer, and not that of another.
            assert (await client.job(job.id)).id == job.id
        assert (await client.wait(job.id)).state == "completed"
    await held.given_back()


@pytest.mark.ends("completed")
def test_a_blocking_client_is_interrupted_by_ctrl_c(plane: Cluster, sleeps: Path) -> None:
    chance = random.Random(SEED)
    before = len(open_files())
    with Client(*credentials(plane)) as client:
        pushed = client.push_module(sleeps.read_bytes())
        (job,) = client.submit([api.SubmitJob(module=pushed.digest)])
        interruptions = 0
        for _ in range(60):
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.random() / 50)
                client.wait(job.id, timeout_s=0.02)
                client.status()
            except KeyboardInterrupt:
                interruptions += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert client.job(job.id).id == job.id
        assert client.wait(job.id).state == "completed"
    assert interruptions
    assert len(open_files()) <= before


@pytest.fixture(autouse=True)
def alarm_is_ctrl_c() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.mark.ends("130")
def test_ctrl_c_on_mvm_ci_run(plane: Cluster, sleeps: Path) -> None:
    chance = random.Random(SEED)
    seen = set()
    for _ in range(5):
        process = plane.start("run", str(sleeps), name="run")
        plane.until(lambda process=process: "module " in process.stderr, "it has pushed its module")  # type: ignore[misc]
        threading.Event().wait(chance.random() / 3)
        assert process.end(signal.SIGINT) == 130, process.stderr
        said = process.stderr.splitlines()
        assert said[-1] == "interrupted"
        assert "Traceback" not in process.stderr
        seen |= {line.split()[1] for line in said if line.startswith("job ")}
    for job in seen:
        plane.until(lambda job=job: plane.state(job) == "completed", f"{job} has gone on")  # type: ignore[misc]


# ---------------------------------------------------------------- a terminal


@pytest.mark.ends("completed")
@pytest.mark.usefixtures("importable")
async def test_ctrl_c_on_a_terminal_reaches_neither_a_runner_nor_a_compiler(tmp_path: Path) -> None:
    # It goes to all processes of the terminal's session; what theirs is to do is the worker's to say.
    gone = asyncio.Event()
    runner = RunnerProcess(lambda *_: None, lambda _: gone.set())
    settings = RunnerSettings(
        place="w",
        suspend_after_ms=1,
        directory=tmp_path,
        runtime="tests.integration.engine.fake_guests:FakeRuntime",
    )
    await runner.start(settings)
    os.kill(runner.pid, signal.SIGINT)
    source = slow_module(tmp_path, 3_000)
    compiling, compiler = await compiling_child(tmp_path, source)
    assert os.getsid(compiler) not in (os.getsid(0), 0)
    await compiling
    assert not gone.is_set()
    await runner.close()


@pytest.mark.ends("unavailable")
async def test_somebody_ends_a_compiler(tmp_path: Path) -> None:
    # That says nothing about the module: it is not the job that fails.
    source = slow_module(tmp_path, 20_000)
    for how in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):  # SIGHUP may be ignored by who runs this
        compiling, compiler = await compiling_child(tmp_path, source)
        os.kill(compiler, how)
        with pytest.raises(Unavailable):
            await compiling


def slow_module(directory: Path, functions: int) -> Path:
    """The file of a module that takes a while to compile."""
    body = b"\0" + b"\x41\0\x1a" * 30 + b"\x0b"
    source = directory / "module.wasm"
    source.write_bytes(assembled(functions=(number(len(body)) + body) * functions, count=functions))
    return source


async def compiling_child(directory: Path, source: Path) -> "tuple[asyncio.Task[Any], int]":
    """A compilation, and its process."""
    before = _children()
    compiling = asyncio.create_task(ChildCompiler(directory / "compiled").compile(source, "d"))
    async with asyncio.timeout(30):
        while len(new := _children() - before) != 1:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    return compiling, int(new.pop())
