"""Artifacts from end to end: real processes, real iroh, 50 MB."""

from __future__ import annotations

import http.server
import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest

from guest.build_c import build_c
from mvm_ci.testing.cluster import ROOT, Cluster, Process
from mvm_ci.testing.loopback import serving
from tests.e2e.conftest import NETWORK, Gate, asked
from tests.e2e.test_job_pages import blocks

MIB = 1 << 20
LARGE = 50


@pytest.fixture(scope="module")
def guest() -> str:
    return str(build_c(ROOT / "guest" / "tests" / "artifacts.c"))


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 50 MiB."""
    file = tmp_path_factory.mktemp("content") / "content.bin"
    file.write_bytes(os.urandom(MIB) * LARGE)
    return file


def digest_of(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


def most_memory(process: Process) -> int:
    """The most memory that it has had, in bytes."""
    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def expected(megabytes: int) -> bytes:
    """What the guest's "put" puts."""
    whole = bytearray()
    for number in range(megabytes):
        state = 2463534242 + number
        words = []
        for _ in range(MIB // 4):
            state ^= (state << 13) & 0xFFFFFFFF
            state ^= state >> 17
            state ^= (state << 5) & 0xFFFFFFFF
            words.append(state)
        whole += b"".join(word.to_bytes(4, "little") for word in words)
    return bytes(whole)


def test_a_large_artifact_is_put_listed_and_downloaded(shared: Cluster, guest: str) -> None:
    before = [most_memory(process) for process in shared.processes]
    job = shared.ok("job", "submit", guest, "--memory", "8", "--input", f'"put {LARGE}"')
    assert shared.ok("job", "wait", job) == "completed"
    put = json.loads(shared.ok("job", "result", job))["ok"]
    assert (put["name"], put["size"]) == ("dir/big.bin", LARGE * MIB)
    [listed] = shared.json("artifact", "list", job)["artifacts"]
    assert (listed["name"], listed["digest"], listed["input"]) == ("dir/big.bin", put["digest"], False)
    shared.ok("artifact", "get", job, "dir/big.bin")
    file = shared.directory / "big.bin"
    assert digest_of(file) == put["digest"]
    assert file.read_bytes()[:MIB] == expected(1)
    assert "big.bin" in shared.run("artifact", "get", job, "dir/big.bin").stderr
    journal = shared.journal(job)
    [called] = [entry["summary"] for entry in journal if entry["kind"] == "Called"]
    assert "artifact.put: dir/big.bin" in called
    assert len(json.dumps(journal)) < 5_000
    file.unlink()
    # Control plane and worker have had pieces of it in memory, never all.
    for process, less in zip(shared.processes, before, strict=True):
        assert most_memory(process) - less < LARGE * MIB / 2, process.name


def test_a_large_input_goes_to_the_guest_and_back(shared: Cluster, guest: str, content: Path) -> None:
    job = shared.ok(
        *("job", "submit", guest, "--memory", "8", "--input", '"copy"'),
        *("--artifact", f"in.bin={content}"),
    )
    assert shared.ok("job", "wait", job) == "completed"
    copied = json.loads(shared.ok("job", "result", job))["ok"]
    assert copied["digest"] == digest_of(content)
    assert [(one["name"], one["input"]) for one in shared.json("artifact", "list", job)["artifacts"]] == [
        ("in.bin", True),
        ("out.bin", False),
    ]
    # What was given and what was put are one blob.
    blobs = (shared.directory / "control-plane" / "blobs").rglob(copied["digest"])
    assert [file.stat().st_size for file in blobs] == [LARGE * MIB]
    assert shared.ok("artifact", "put", str(content)) == copied["digest"]


@pytest.mark.timeout(300)
def test_a_given_file_is_there_again_on_another_worker_and_in_a_replay(
    control: Cluster, steps: str, gate: Gate, content: Path
) -> None:
    first = control.worker("first", *NETWORK)
    todo = asked(("digest", "/inputs/data/in.bin"), ("get", gate.url), ("digest", "/inputs/data/in.bin"))
    job = control.ok(
        *("job", "submit", steps, "--allow-host", "127.0.0.1:*", "--input", todo),
        *("--artifact", f"data/in.bin={content}"),
    )
    assert gate.arrived.acquire(timeout=60)
    control.worker("second", *NETWORK)
    first.end(signal.SIGKILL)
    assert gate.arrived.acquire(timeout=60)
    gate.opened.set()
    assert control.ok("job", "wait", job) == "completed"
    digest = digest_of(content)
    before, _, after = json.loads(control.ok("job", "result", job))
    assert (before, after) == (digest, digest)
    # Reading a file is no call: there is an entry of the request alone.
    kinds = {entry["kind"] for entry in control.journal(job)}
    assert kinds == {"Began", "Placement", "HttpDone", "Finished"}
    verdict = control.json("replay", job)
    assert (verdict["verdict"], verdict["stands"]) == ("agrees", "ended"), verdict


@dataclass
class Web:
    """Serves ``content`` and takes what is sent, in pieces."""

    url: str = ""
    content: Path = Path()
    came: list[tuple[int, str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def web(content: Path) -> Iterator[Web]:
    made = Web(content=content)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(made.content.stat().st_size))
            self.send_header("content-type", "application/x-tar")
            self.end_headers()
            with made.content.open("rb") as file:
                while piece := file.read(MIB):
                    self.wfile.write(piece)

        def do_PUT(self) -> None:
            left = int(self.headers["content-length"])
            made.came.append((left, ""))
            hashing = sha256()
            while left:
                piece = self.rfile.read(min(left, MIB))
                hashing.update(piece)
                left -= len(piece)
            made.came[-1] = (made.came[-1][0], hashing.hexdigest())
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server) as address:
        made.url = f"http://{address}/large"
        yield made


def test_an_answer_of_50_mb_becomes_an_artifact_past_the_guest(
    shared: Cluster, guest: str, web: Web, content: Path
) -> None:
    job = shared.ok(
        *("job", "submit", guest, "--memory", "4", "--allow-host", "127.0.0.1:*"),
        *("--input", json.dumps(f"fetch {web.url}")),
    )
    assert shared.ok("job", "wait", job) == "completed"
    answer = json.loads(shared.ok("job", "result", job))["ok"]
    assert answer["artifact"] == {"digest": digest_of(content), "size": LARGE * MIB}
    assert answer["body"] == ""
    [listed] = shared.json("artifact", "list", job)["artifacts"]
    assert (listed["name"], listed["media"]) == ("fetched.bin", "application/x-tar")
    done = shared.run("artifact", "get", job, "fetched.bin", "-o", "fetched")
    assert done.returncode == 0, done.stderr
    assert digest_of(shared.directory / "fetched") == digest_of(content)


def test_a_request_sends_an_artifact_of_50_mb(shared: Cluster, guest: str, web: Web, content: Path) -> None:
    digest = shared.ok("artifact", "put", str(content))
    job = shared.ok(
        *("job", "submit", guest, "--memory", "4", "--allow-host", "127.0.0.1:*"),
        *("--input", json.dumps(f"send {web.url}"), "--artifact", f"in.bin=sha256:{digest}"),
    )
    assert shared.ok("job", "wait", job) == "completed"
    assert json.loads(shared.ok("job", "result", job))["ok"]["status"] == 201
    assert web.came == [(LARGE * MIB, digest)]


def test_the_page_s_job_that_fetches_and_sends(shared: Cluster, web: Web, content: Path) -> None:
    (source,) = [block.code for block in blocks("artifacts.md") if block.argument == "fetch.py"]
    (shared.directory / "fetch.py").write_text(source)
    shared.ok("build", "fetch.py")
    given = json.dumps({"from": web.url, "to": web.url})
    hosts = ("--allow-host", "127.0.0.1:*")
    result = json.loads(shared.ok("job", "submit", "fetch.wasm", *hosts, "--input", given, "--wait"))
    assert result == {"size": LARGE * MIB, "digest": digest_of(content)}
    assert web.came[-1] == (LARGE * MIB, digest_of(content))


def test_a_download_by_hand(shared: Cluster, guest: str) -> None:
    job = shared.ok("job", "submit", guest, "--input", '"put 1"')
    assert shared.ok("job", "wait", job) == "completed"
    known = json.loads(shared.credentials.read_text())
    headers = {"authorization": f"Bearer {known['token']}", "range": "bytes=4-7"}
    path = f"{known['url']}/v1/jobs/{job}/artifacts/dir%2Fbig.bin"
    with urllib.request.urlopen(urllib.request.Request(path, None, headers), timeout=60) as answer:
        assert (answer.status, answer.read()) == (206, expected(1)[4:8])


def test_what_is_not_there_is_said(shared: Cluster, guest: str) -> None:
    job = shared.ok("job", "submit", guest, "--input", '"copy"', "--wait")
    assert json.loads(job)["error"]["kind"] == "not-found"
    done = shared.run("job", "submit", guest, "--artifact", f"in.bin=sha256:{'0' * 64}")
    assert (done.returncode, done.stdout) == (5, ""), done
    assert "jobs[0].inputs" in done.stderr
    done = shared.run("artifact", "get", shared.ok("job", "submit", guest), "x")
    assert (done.returncode, done.stderr.count("\n")) == (5, 1)
