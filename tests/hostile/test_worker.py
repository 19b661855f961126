"""Hostile guests on a real worker, submitted and looked at with the command line."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import msgspec
import pytest

from guest.build_c import build_c
from mvm_ci.client.blocking.api import Client
from mvm_ci.testing.cluster import Cluster, cluster
from mvm_ci.wire import api
from tests.faults.conftest import NETWORK, Web, counting_web
from tests.hostile.binaries import COUNTER, FOREVER, core, loop, text
from tests.hostile.rig import GUESTS, SUMS

MEMORY: Final = '(memory (export "memory") 1025)'
DEEP: Final = 1_500


def output(data: bytes) -> bytes:
    """A module with this result."""
    hexadecimal = "".join(f"\\{byte:02x}" for byte in data)
    more = f'(data (i32.const 0) "{hexadecimal}")'
    return core(f"(call $output (i32.const 0) (i32.const {len(data)}))", "output", more=more)


class Place:
    """A control plane and a worker, each a process."""

    def __init__(self, made: Cluster, web: Web) -> None:
        self.cluster = made
        self.web = web
        made.control_plane()
        made.worker("one", *NETWORK)
        self.worker = made.processes[-1]
        known = json.loads(made.credentials.read_text())
        self.client = Client(known["url"], known["token"])
        self.neighbour = self.client.push_module(build_c(GUESTS / "neighbour.c").read_bytes()).digest
        self._files = 0
        # So that it is compiled.
        self.worked(self.begun("/open"))

    def begun(self, path: str) -> str:
        """A job that works and asks for this path meanwhile."""
        document = msgspec.Raw(msgspec.json.encode({"url": self.web.url + path, "timeout_ms": 60_000}))
        job = api.SubmitJob(module=self.neighbour, input=document, allow_hosts=("127.0.0.1:*",))
        return self.client.submit([job])[0].id

    def worked(self, job: str) -> None:
        """It has done its work."""
        ended = self.client.wait(job)
        assert ended.state == "completed", ended
        first, second, answer = self.client.result(job).decode().split(" ", 2)
        assert (first, second) == SUMS
        assert json.loads(answer)["ok"]["body"] == "b2s="

    def run(self, module: bytes, *options: str) -> tuple[int, bytes, api.JobView]:
        """``mvm-ci run`` of a hostile job beside one that works: exit code, what it printed, and the job."""
        self._files += 1
        path = self.cluster.directory / f"hostile-{self._files}.wasm"
        path.write_bytes(module)
        self.web.gate.clear()
        near = self.begun("/gate")
        self.web.at_the_gate()
        done = self.command("run", str(path), *options)
        stderr = done.stderr.decode()
        assert "Traceback" not in stderr
        job = next(line.split()[1] for line in stderr.splitlines() if line.startswith("job "))
        self.web.gate.set()
        self.worked(near)
        self.worked(self.begun("/open"))
        assert self.worker.popen.poll() is None
        return done.returncode, done.stdout, self.client.job(job)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """A command whose output may be anything."""
        return subprocess.run(
            [sys.executable, "-m", "mvm_ci", *arguments],
            env=self.cluster.environment,
            cwd=self.cluster.directory,
            capture_output=True,
            timeout=100,
            check=False,
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with cluster(tmp_path_factory.mktemp("place")) as made, counting_web("127.0.0.1") as web:
        place = Place(made, web)
        with place.client:
            yield place


LOG: Final = "(call $log (i32.const 0) (i32.const {}))"
SHADOW: Final = '(import "mvm_ci_v1" "log" (func (param i64)))'
FAILING: Final = {
    "time-limit": core(FOREVER),
    "trap": text(f'(module {MEMORY} (func $f (export "_start") call $f))'),
    "output-limit": core(loop(1 << 20, LOG.format(65_536)), "log", variables=COUNTER),
    "journal-limit": core(loop(1 << 20, "(drop (call $now_ms))"), "now_ms", variables=COUNTER),
    "module": text(f'(module {SHADOW} {MEMORY} (func (export "_start")))'),
}


@pytest.mark.ends("time-limit", "trap", "output-limit", "journal-limit", "module")
@pytest.mark.parametrize("kind", FAILING)
def test_a_worker_serves_the_next_job(place: Place, kind: str) -> None:
    options = ("--time-limit", "1s") if kind == "time-limit" else ()
    code, _, job = place.run(FAILING[kind], *options)
    assert job.failure is not None
    assert (code, job.state, job.failure.kind) == (1, "failed", kind)


@pytest.mark.ends("bad-module")
def test_a_module_is_refused_before_it_reaches_a_worker(place: Place) -> None:
    path = place.cluster.directory / "bad.wasm"
    for module in (b"\0asm", text('(module (func (export "memory")) (func (export "_start")))')):
        path.write_bytes(module)
        done = place.cluster.run("run", str(path))
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("error: ")
    path.write_bytes(core("") + bytes(64 << 20))
    done = place.cluster.run("run", str(path))
    assert "at most 67108864" in done.stderr


@pytest.mark.ends("completed")
@pytest.mark.parametrize(
    "result",
    [
        b"\x00\xff\xfe no text \xed\xa0\x80",
        b"[" * DEEP + b"]" * DEEP,
        b'"\x1b[2J\\u0000\\ud800"',
    ],
    ids=["no-text", "deep", "strange-text"],
)
def test_a_result_is_strange(place: Place, result: bytes) -> None:
    code, printed, job = place.run(output(result))
    assert (code, job.state) == (0, "completed")
    assert printed.removesuffix(b"\n") == result
    assert place.client.result(job.id) == result
