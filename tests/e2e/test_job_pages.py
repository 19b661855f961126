"""The pages on jobs, modules, the Python client and what a job can ask, executed: every marked block, in
order.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from mvm_ci.testing.cluster import ROOT, Cluster, cluster
from tests.e2e.conftest import NETWORK
from tests.e2e.test_tutorial import MARK, Block

# Building and compiling takes long where much else runs.
pytestmark = pytest.mark.timeout(300)
DOCS = ROOT / "docs"
EXAMPLES = {
    "asking/http.md": {"shop.py": "order/shop.py", "order.py": "order/job.py", "order.c": "order.c"},
    "asking/children.md": {"primes.py": "children/job.py", "children.c": "children.c"},
    "asking/messages.md": {
        "counter.py": "counter/job.py",
        "approval.py": "approval/job.py",
        "desk.py": "approval/desk.py",
        "counter.c": "counter.c",
        "approval.c": "approval.c",
    },
    "asking/job.md": {
        "memo.py": "memo/job.py",
        "memo.c": "memo.c",
        "rounds.py": "rounds/job.py",
        "rounds.c": "rounds.c",
    },
    "asking/asyncio.md": {"pipeline.py": "pipeline/job.py"},
}
"""By page: the files that it shows, which are examples."""


def blocks(page: str) -> list[Block]:
    found = MARK.finditer((DOCS / page).read_text())
    return [Block(one["kind"], one["argument"] or "", one["code"] or "") for one in found]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane, a worker, and the module of the first page."""
    with cluster(tmp_path_factory.mktemp("pages")) as found:
        found.control_plane()
        found.worker("one", "--slots", "2", *NETWORK)
        (found.directory / "guest").symlink_to(ROOT / "guest")
        write_files(found.directory)
        found.ok("build", "job.py")
        yield found


def write_files(directory: Path) -> None:
    for page in ("jobs.md", "journal.md", "modules.md", "files.md", "artifacts.md", *EXAMPLES):
        for block in blocks(page):
            if block.kind == "file":
                # Another page has another file of this name, if it is there.
                with (directory / block.argument).open("x") as file:
                    file.write(block.code)


def run(made: Cluster, command: list[str]) -> str:
    # Compilers keep what they made in the cache of whoever runs the tests.
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    done = subprocess.run(
        command,
        cwd=made.directory,
        env=made.environment | {"XDG_CACHE_HOME": cache},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + made.logs()
    return done.stdout


def shell(made: Cluster, page: str) -> str:
    """What the blocks of a page print that are to be run, in one shell."""
    script = "\n".join(block.code for block in blocks(page) if block.kind == "run")
    return run(made, ["bash", "-euo", "pipefail", "-c", script])


@pytest.mark.parametrize(
    "page", ["jobs.md", "journal.md", "modules.md", "client.md", "files.md", "artifacts.md", *EXAMPLES]
)
def test_every_example_is_marked(page: str) -> None:
    text = (DOCS / page).read_text()
    kinds = [block.kind for block in blocks(page)]
    assert text.count("\n```") == 2 * len(kinds)
    assert set(kinds) <= {"file", "run", "python"}


def test_the_page_on_jobs_works(made: Cluster) -> None:
    shown = shell(made, "jobs.md")
    for text in ("queue-paused", "run-at", "no-worker-with-labels", "selected", "deleted", "tries again"):
        assert text in shown, text


@pytest.mark.timeout(300)
def test_the_page_on_journals_works(made: Cluster) -> None:
    for name in ("order", "fixed"):  # built and compiled apart from what has a time limit below
        made.ok("build", f"{name}.py")
        made.run("job", "submit", f"{name}.wasm", "--input", '{"order": 1, "pause": 0}', "--wait")
    shown = shell(made, "journal.md")
    for text in (
        "stdout: order 18",
        '        text: "order 18\\n"',
        '"kind":"Finished"',
        "agrees with all 5 entries; it sleeps until",
        "agrees with all 6 entries; it has ended",
        "departs at entry 5: the journal records the end with failure error",
        '"verdict": "departs"',
        '{"shipped": 18}',
    ):
        assert text in shown, text


@pytest.mark.parametrize("page", EXAMPLES)
def test_the_pages_on_asking_show_the_examples(page: str) -> None:
    shown = {block.argument: block.code for block in blocks(page) if block.kind == "file"}
    assert shown.keys() == EXAMPLES[page].keys()
    for name, example in EXAMPLES[page].items():
        assert shown[name].strip() == (ROOT / "guest" / "examples" / example).read_text().strip()


def results(shown: str) -> list[Any]:
    """The results among what a page's commands print."""
    return [json.loads(line) for line in shown.splitlines() if line.startswith(("{", "["))]


def test_the_page_on_requests_works(made: Cluster) -> None:
    python, c = results(shell(made, "asking/http.md"))
    assert python == {"status": 200, "item": 7, "order": 1}
    assert c == {"item": 7, "order": 2}


def test_the_page_on_children_works(made: Cluster) -> None:
    *_, primes, squares = shell(made, "asking/children.md").splitlines()
    assert (json.loads(primes), squares) == ({"primes": 1229}, "14")


def test_the_page_on_messages_and_promises_works(made: Cluster) -> None:
    assert results(shell(made, "asking/messages.md")) == [
        {"total": 42},
        {"approved": True, "by": "Ada"},
        {"total": 43},
        {"approved": True, "by": "Grace"},
    ]


def test_the_page_on_values_works(made: Cluster) -> None:
    shown = shell(made, "asking/job.md")
    pi, *rest = results(shown)
    assert 2.5 < pi["pi"] < 3.8
    assert rest == [{"rounds": 3, "attempt": 3}, {"rounds": 3}]
    assert "computed now" in shown
    assert " rounds " in shown, "found by its metadata"


def test_the_page_on_asyncio_works(made: Cluster) -> None:
    assert results(shell(made, "asking/asyncio.md"))[-1] == [1, 4, 9, 16, 25]


def test_the_page_on_files_shows_the_example() -> None:
    [shown] = [block for block in blocks("files.md") if block.kind == "file"]
    assert shown.code.strip() == (ROOT / "guest" / "examples" / "unpack" / "job.py").read_text().strip()


def test_the_page_on_files_works(made: Cluster) -> None:
    shown = json.loads(shell(made, "files.md").splitlines()[-1])
    assert shown["lines"] == ["notes/a.txt: 4 bytes", "notes/old/b.txt: 11 bytes"]
    with zipfile.ZipFile(BytesIO(base64.b64decode(shown["report"]))) as report:
        assert report.read("REPORT").decode().splitlines() == shown["lines"]
        assert report.read("notes/old/b.txt") == b"twenty-two\n"


def test_the_page_on_artifacts_works(made: Cluster) -> None:
    shown = {block.argument: block.code for block in blocks("artifacts.md") if block.kind == "file"}
    for name, example in {"errors.py": "artifacts/job.py", "artifacts.c": "artifacts.c"}.items():
        assert shown[name].strip() == (ROOT / "guest" / "examples" / example).read_text().strip()
    script = [block.code for block in blocks("artifacts.md") if block.kind == "run"]
    lines = run(made, ["bash", "-euo", "pipefail", "-c", "\n".join(script)]).splitlines()
    assert "ERROR: no disk" in lines
    found, counted = [json.loads(line) for line in lines if line.startswith('{"')]
    assert found["errors"] == len("ERROR: no disk\n")
    assert counted == {"/inputs/app.log": 3, "/inputs/old/app.log": 3}


def test_the_page_on_modules_works(made: Cluster) -> None:
    shown = shell(made, "modules.md").splitlines()
    results = [line for line in shown if line.startswith('"')]
    assert results == ['"done"', '"the second version"', '"done"']
    assert [line.split()[:2] for line in shown if line.startswith("crawl ")] == [
        ["crawl", "1.1.0"],
        ["crawl", "1.1.0"],
        ["crawl", "1.0.0"],
    ]


def test_the_page_on_the_client_works(made: Cluster) -> None:
    script = "\n".join(block.code for block in blocks("client.md"))
    (made.directory / "client.py").write_text(script)
    shown = run(made, [sys.executable, "-W", "error", "client.py"])
    assert "{'selected': 2}" in shown
    assert "priority" in shown
