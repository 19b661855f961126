"""The pages on jobs, modules and the Python client, executed: every marked block, in order."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from mvm_ci.testing.cluster import ROOT, Cluster, cluster
from tests.e2e.test_tutorial import MARK, Block

DOCS = ROOT / "docs"


def blocks(page: str) -> list[Block]:
    found = MARK.finditer((DOCS / page).read_text())
    return [Block(one["kind"], one["argument"] or "", one["code"] or "") for one in found]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane, a worker, and the module of the first page."""
    with cluster(tmp_path_factory.mktemp("pages")) as found:
        found.control_plane()
        found.worker("one", "--slots", "2")
        write_files(found.directory)
        found.ok("build", "job.py")
        yield found


def write_files(directory: Path) -> None:
    for block in [*blocks("jobs.md"), *blocks("modules.md"), *blocks("asking.md"), *blocks("files.md")]:
        if block.kind == "file":
            (directory / block.argument).write_text(block.code)


def run(made: Cluster, command: list[str]) -> str:
    done = subprocess.run(
        command,
        cwd=made.directory,
        env=made.environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + made.logs()
    return done.stdout


@pytest.mark.parametrize("page", ["jobs.md", "modules.md", "client.md", "asking.md", "files.md"])
def test_every_example_is_marked(page: str) -> None:
    text = (DOCS / page).read_text()
    kinds = [block.kind for block in blocks(page)]
    assert text.count("\n```") == 2 * len(kinds)
    assert set(kinds) <= {"file", "run", "python"}


def test_the_page_on_jobs_works(made: Cluster) -> None:
    script = [block.code for block in blocks("jobs.md") if block.kind == "run"]
    shown = run(made, ["bash", "-euo", "pipefail", "-c", "\n".join(script)])
    for text in ("queue-paused", "run-at", "no-worker-with-labels", "selected", "deleted", "tries again"):
        assert text in shown, text


EXAMPLES = {"memo.py": "memo/job.py", "memo.c": "memo.c"}


def test_the_page_on_asking_shows_the_examples() -> None:
    shown = {block.argument: block.code for block in blocks("asking.md") if block.kind == "file"}
    assert shown.keys() == EXAMPLES.keys()
    for name, example in EXAMPLES.items():
        assert shown[name].strip() == (ROOT / "guest" / "examples" / example).read_text().strip()


def test_the_page_on_asking_works(made: Cluster) -> None:
    script = [block.code for block in blocks("asking.md") if block.kind == "run"]
    shown = json.loads(run(made, ["bash", "-euo", "pipefail", "-c", "\n".join(script)]).splitlines()[-1])
    assert 2.5 < shown["pi"] < 3.8


def test_the_page_on_files_shows_the_example() -> None:
    [shown] = [block for block in blocks("files.md") if block.kind == "file"]
    assert shown.code.strip() == (ROOT / "guest" / "examples" / "unpack" / "job.py").read_text().strip()


def test_the_page_on_files_works(made: Cluster) -> None:
    script = [block.code for block in blocks("files.md") if block.kind == "run"]
    shown = json.loads(run(made, ["bash", "-euo", "pipefail", "-c", "\n".join(script)]).splitlines()[-1])
    assert shown["lines"] == ["notes/a.txt: 4 bytes", "notes/old/b.txt: 11 bytes"]
    with zipfile.ZipFile(BytesIO(base64.b64decode(shown["report"]))) as report:
        assert report.read("REPORT").decode().splitlines() == shown["lines"]
        assert report.read("notes/old/b.txt") == b"twenty-two\n"


def test_the_page_on_modules_works(made: Cluster) -> None:
    script = [block.code for block in blocks("modules.md") if block.kind == "run"]
    shown = run(made, ["bash", "-euo", "pipefail", "-c", "\n".join(script)]).splitlines()
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
