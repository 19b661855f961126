"""Secrets through the command line, on real processes: the page, executed; and that no file holds a value."""

from __future__ import annotations

import base64
import http.server
import json
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvm_ci.domain.masking import forms_of
from mvm_ci.testing.cluster import ROOT, Cluster, cluster
from mvm_ci.testing.loopback import serving
from tests.e2e.conftest import NETWORK, Gate
from tests.e2e.test_job_pages import blocks
from tests.e2e.test_processes import said

pytestmark = pytest.mark.timeout(300)  # the first of them builds and compiles Python jobs
PAGE = "secrets.md"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("secrets")) as found:
        found.control_plane()
        found.worker("one", "--slots", "2", *NETWORK)
        yield found


# -------------------------------------------------------------------- the page


def test_every_example_is_marked() -> None:
    assert (ROOT / "docs" / PAGE).read_text().count("\n```") == 2 * len(blocks(PAGE))
    assert {block.kind for block in blocks(PAGE)} == {"file", "run"}


def test_the_page_shows_the_examples() -> None:
    shown = {block.argument: block.code for block in blocks(PAGE) if block.kind == "file"}
    for name, example in {"knock.py": "knock/job.py", "whisper.c": "whisper.c"}.items():
        assert shown[name].strip() == (ROOT / "guest" / "examples" / example).read_text().strip()


def test_the_page_works(made: Cluster) -> None:
    for block in blocks(PAGE):
        if block.kind == "file":
            (made.directory / block.argument).write_text(block.code)
    (made.directory / "guest").symlink_to(ROOT / "guest")
    script = "\n".join(block.code for block in blocks(PAGE) if block.kind == "run")
    # Compilers keep what they made in the cache of whoever runs the tests.
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"],
        cwd=made.directory,
        env=made.environment | {"XDG_CACHE_HOME": cache},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + made.logs()
    for text in ('{"said": "come in", "token": "***"}', "200 for ***", '{"ok":"***"}', "API_TOKEN: removed"):
        assert text in done.stdout, text
    assert "correct-horse-battery" not in done.stdout + done.stderr


# -------------------------------------------------------------------- nothing holds a value

TELL_ALL = '''# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "tell-all"
# allow-hosts = ["127.0.0.1:*"]
# secrets = ["TOKEN"]
# ///
"""Says a secret in every way that it can."""
import base64, json, sys, time, urllib.error, urllib.parse, urllib.request
import mvm_ci


def run(asked):
    token = mvm_ci.secret("TOKEN")
    data = token.encode()
    ways = [
        token, repr(token), json.dumps(token), data.hex(), data.hex().upper(),
        urllib.parse.quote(token), urllib.parse.quote(token, safe=""), urllib.parse.quote_plus(token),
        *(base64.b64encode(b"x" * n + data + b"y").decode() for n in range(3)),
        *(base64.urlsafe_b64encode(b"x" * n + data).decode() for n in range(3)),
    ]
    for way in ways:
        print("out", way)
        print("err", way, file=sys.stderr)
    for character in token:
        sys.stdout.write(character)
        sys.stdout.flush()
    print()
    said = []
    for method in ("GET", "POST"):
        url = f"{asked['url']}{urllib.parse.quote(token, safe='')}?token={urllib.parse.quote(token, safe='')}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"}, method=method)
        if method == "POST":
            request.data = data * asked["times"]
        with urllib.request.urlopen(request) as answer:
            said.append([answer.geturl(), dict(answer.headers), answer.read().decode()])
    try:
        mvm_ci.memo("kept", lambda: {"token": token})
    except mvm_ci.CallError as error:
        said.append(error.kind)
    if asked["last"]:
        urllib.request.urlopen(asked["last"]).read()
    time.sleep(asked["pause"])
    if asked["fail"]:
        raise ValueError(token)
    return {"ways": ways, "said": said, "again": mvm_ci.secret("TOKEN") == token, token: 1}
'''


@pytest.fixture(scope="module")
def telling(made: Cluster) -> Cluster:
    """With that job as a module."""
    (made.directory / "tell.py").write_text(TELL_ALL)
    made.ok("build", "tell.py", "-o", "tell.wasm")
    made.ok("module", "push", "tell.wasm", "--version", "1")
    return made


class Echo:
    """A server that notes what it was sent, and sends it back."""

    def __init__(self) -> None:
        self.url = ""
        self.told: list[tuple[str, str, bytes]] = []
        noted = self.told

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                token = self.headers["Authorization"]
                noted.append((self.path, token, body))
                self.send_response(200)
                self.send_header("X-Token", token)
                answer = f"{self.path} {token} ".encode() + body
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_GET  # noqa: N815 (the library's name)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    with serving(made.server) as address:
        made.url = f"http://{address}/"
        yield made


def files_with(directory: Path, *values: str) -> list[str]:
    """Where one of the values stands, in any spelling, below ``directory``."""
    forms = {form for value in values for form in forms_of(value)}
    forms |= {base64.b85encode(value.encode()) for value in values}
    found = []
    for folder, _, names in os.walk(directory):
        for name in names:
            data = (Path(folder) / name).read_bytes()
            found += [f"{folder}/{name}" for form in forms if form in data]
    return found


def test_no_file_and_no_output_holds_a_value_in_any_spelling(
    telling: Cluster, echo: Echo, gate: Gate
) -> None:
    first = 'p&ss/w"rd ü ' + secrets.token_urlsafe(12)
    second = "rotated+" + secrets.token_urlsafe(12)
    said = [telling.ok("secret", "set", "TOKEN", "--module", "tell-all", stdin=first + "\n")]

    def submit(**fields: object) -> str:
        asked = {"url": echo.url, "times": 1, "last": None, "pause": 0, "fail": False} | fields
        return telling.ok("job", "submit", "tell-all", "--input", json.dumps(asked))

    small, large, failing = submit(), submit(times=500), submit(fail=True)
    # It waits for the gate, and then it is suspended: another placement replays it.
    sleeping = submit(last=gate.url, pause=6)
    for job in (small, large):
        assert telling.run("job", "wait", job, "--timeout", "100s").returncode == 0, telling.logs()
    assert telling.run("job", "wait", failing, "--timeout", "100s").returncode == 1
    assert gate.arrived.acquire(timeout=60), telling.logs()
    said.append(telling.ok("secret", "rotate", "TOKEN", stdin=second))
    assert telling.json("secret", "show", "TOKEN")["versions"] == 2, "kept for the one that waits"
    gate.opened.set()
    assert telling.run("job", "wait", sleeping, "--timeout", "100s").returncode == 0, telling.logs()
    rotated = submit()
    assert telling.run("job", "wait", rotated, "--timeout", "100s").returncode == 0, telling.logs()

    # The server was told: the value as it is, the one that slept the same one before and after.
    assert {token for _, token, _ in echo.told} == {f"Bearer {first}", f"Bearer {second}"}
    assert max(len(body) for *_, body in echo.told) == 500 * len(first.encode())
    for job in (small, large, sleeping, rotated, failing):
        said += [
            telling.ok("job", "logs", job),
            telling.ok("journal", "show", job, "--full"),
            telling.ok("job", "show", job),
        ]
    for job in (small, large, sleeping, rotated):
        result = json.loads(telling.ok("job", "result", job))
        assert result["again"] is True
        assert result["***"] == 1
        assert all("***" in way for way in result["ways"])
        assert result["said"][-1] == "secret"
        assert all("***" in part for url, _, body in result["said"][:-1] for part in (url, body))
        said.append(json.dumps(result))
    assert "ValueError: ***" in telling.ok("job", "show", failing)
    said += [telling.ok(*command) for command in (("audit",), ("secret", "list"), ("job", "list"))]
    assert "secret.rotate" in said[-3]
    said.append(telling.logs())
    for value in (first, second):
        assert not [text for text in said for form in forms_of(value) if form.decode() in text]
    telling.ok("backup", "create", "the-backup", "--state-dir", "control-plane")
    assert files_with(telling.directory, first, second) == []
    # The key is where it belongs, for its owner alone, and in no backup.
    key = telling.directory / "control-plane" / "secrets-key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_bytes().strip() not in (telling.directory / "the-backup").read_bytes()
    # Nobody needs the first version any more: gone with the next change.
    telling.ok("secret", "rotate", "TOKEN", stdin="and a third value")
    assert telling.json("secret", "show", "TOKEN")["versions"] == 1


def test_another_worker_is_told_the_same_version(telling: Cluster, echo: Echo, gate: Gate) -> None:
    """The worker is killed after it was told, and the secret is rotated before another one goes on."""
    value = secrets.token_urlsafe(12)
    telling.ok("secret", "set", "TOKEN", "--module", "*", stdin=value)
    victim = telling.worker("victim", "--label", "victim", *NETWORK)
    asked = {"url": echo.url, "times": 1, "last": gate.url, "pause": 0, "fail": False}
    job = telling.ok("job", "submit", "tell-all", "--input", json.dumps(asked), "--label", "victim")
    assert gate.arrived.acquire(timeout=60), telling.logs()
    victim.end(signal.SIGKILL)
    telling.ok("secret", "rotate", "TOKEN", stdin=secrets.token_urlsafe(12))
    telling.worker("heir", "--label", "victim", *NETWORK)
    gate.opened.set()
    assert telling.run("job", "wait", job, "--timeout", "100s").returncode == 0, telling.logs()
    assert json.loads(telling.ok("job", "result", job))["again"] is True
    assert {token for _, token, _ in echo.told} == {f"Bearer {value}"}
    shown = telling.journal(job)
    assert [entry["fields"] for entry in shown if entry["kind"] == "SecretRead"] == [
        {"name": "TOKEN", "version": telling.json("secret", "show", "TOKEN")["version"] - 1}
    ]
    assert files_with(telling.directory, value) == []


# -------------------------------------------------------------------- keys


def test_a_control_plane_that_lacks_a_key_says_which_and_what_to_do(empty: Cluster) -> None:
    state = empty.directory / "control-plane"
    key = state / "secrets-key"

    def write(*lines: str) -> None:
        key.write_text("\n".join(lines) + "\n")
        key.chmod(0o600)

    control = empty.control_plane()
    empty.ok("secret", "set", "TOKEN", stdin="hunter22")
    control.end()
    first = key.read_text().strip()
    key.unlink()
    start = ("control-plane", "--bind", "127.0.0.1:0", "--state-dir", str(state))
    said(empty.start(*start), 2, str(key), "is missing", "put it back")
    assert not key.exists()
    second = secrets.token_hex(32)
    write(second)
    refused = empty.start(*start)
    said(refused, 2, str(key), "sealed values: 1", "'lost ")
    # Found again: it goes behind the new one, and then is not needed any more.
    write(second, first)
    empty.control_plane().end()
    write(second)
    control = empty.control_plane()
    assert empty.json("secret", "show", "TOKEN")["version"] == 1
    control.end()
    # Lost for good: what it sealed is gone, and all else goes on.
    write(first)
    refused = empty.start(*start)
    said(refused, 2, "'lost ")
    lost = refused.stderr.rpartition("'lost ")[2].partition("'")[0]
    write(first, f"lost {lost}")
    empty.control_plane()
    assert empty.json("secret", "list") == {"secrets": []}
    assert "secrets_of_lost_key_removed" in empty.processes[-1].stderr
    empty.ok("secret", "set", "TOKEN", stdin="hunter22")
    assert not [one for one in empty.processes if first in one.stderr or second in one.stderr]


def test_the_key_may_be_elsewhere_and_a_restored_state_needs_it(empty: Cluster) -> None:
    elsewhere = empty.directory / "keys"
    control = empty.control_plane("--secrets-key-file", str(elsewhere))
    empty.ok("secret", "set", "TOKEN", stdin="hunter22")
    empty.ok("backup", "create", "the-backup", "--state-dir", "control-plane")
    control.end()
    assert elsewhere.stat().st_mode & 0o777 == 0o600
    assert not (empty.directory / "control-plane" / "secrets-key").exists()
    assert elsewhere.read_bytes().strip() not in (empty.directory / "the-backup").read_bytes()
    shutil.rmtree(empty.directory / "control-plane")
    empty.ok("backup", "restore", "the-backup", "--state-dir", "control-plane")
    start = ("control-plane", "--bind", "127.0.0.1:0", "--state-dir", "control-plane")
    said(empty.start(*start), 2, "control-plane/secrets-key", "is missing", "backups do not hold it")
    empty.control_plane("--secrets-key-file", str(elsewhere))
    assert empty.json("secret", "show", "TOKEN")["version"] == 1
