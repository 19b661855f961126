"""Building Python guests: what is refused, what is warned of, and the cache."""

from pathlib import Path

import pytest

from mvm_ci.adapters.componentize.analysis import Analysis, analyse
from mvm_ci.adapters.componentize.build import build
from mvm_ci.adapters.componentize.packages import Packages
from mvm_ci.adapters.componentize.project import read_job
from mvm_ci.domain.errors import BadInput, Unavailable
from mvm_ci.domain.module import inspect
from tests.integration.wasm.conftest import CACHE, GUESTS

RUN = "\ndef run(input): pass\n"


def written(directory: Path, text: str, name: str = "job.py") -> Path:
    path = directory / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    return path


def analysed(job: Path) -> Analysis:
    return analyse(read_job(job), Packages())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def run(input:\n", r"job\.py:1: "),
        ("x = 1\n", "there is no function run"),
        ("\ndef run(): pass\n", r"job\.py:2: run must take exactly one argument"),
        ("def run(a, b): pass\n", "exactly one argument"),
        ("def run(a, *, b): pass\n", "exactly one argument"),
        ("class A:\n def run(input): pass\n", "there is no function run"),
        ("import ssl" + RUN, r"job\.py:1: the module ssl cannot work in a guest: a guest has no sockets"),
        ("async def run(a, b): pass\n", "exactly one argument"),
        (
            "import asyncio as a" + RUN + "a.open_connection",
            r"job\.py:3: asyncio\.open_connection cannot work",
        ),
        ("from concurrent import futures" + RUN, r"concurrent\.futures cannot work"),
        ("import multiprocessing.pool" + RUN, "multiprocessing cannot work"),
        ("import imp" + RUN, r"the module imp cannot work in a guest: Python 3\.14\.0 does not have it"),
        ("import threading as t\n" + RUN + "t.Thread(target=run)", r"threading\.Thread cannot work"),
        ("from os import system" + RUN + "system('ls')", r"os\.system cannot work"),
        ("import numpy" + RUN, r"job\.py:1: there is no module numpy in a guest"),
        ("from . import x" + RUN, "a relative import outside of a package"),
        ("# /// script\n# [[\n# ///" + RUN, "is not TOML"),
        ("# /// script\n# [tool.mvm-ci]\n# alow-hosts = []\n# ///" + RUN, "alow-hosts"),
        ("# /// script\n# [tool.mvm-ci]\n# name = 1\n# ///" + RUN, "Expected `str`"),
    ],
)
def test_jobs_that_cannot_be_built(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason) as caught:
        build(written(tmp_path, text), tmp_path / "out.wasm", cache=tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.wasm").exists()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        analysed(tmp_path / "job.py")
    with pytest.raises(BadInput, match=r"pyproject\.toml: no such file"):
        read_job(tmp_path)
    (tmp_path / "job.py").write_bytes(b"\xff\xfe\0")
    with pytest.raises(BadInput):
        analysed(tmp_path / "job.py")


@pytest.mark.parametrize(
    "text",
    [
        "try:\n import numpy\nexcept ImportError:\n numpy = None" + RUN,
        "try:\n import ssl\nexcept (ImportError, OSError):\n ssl = None" + RUN,
        "import contextlib\nwith contextlib.suppress(ImportError):\n import numpy" + RUN,
        "import annotationlib" + RUN,
        "import random\nchance = random.SystemRandom()" + RUN,
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n import numpy" + RUN,
        RUN + "if __name__ == '__main__':\n import subprocess\n subprocess.run(['x'])",
        "import threading\nlock = threading.Lock()" + RUN,
        "run = lambda input: 1",
        "def run(input, more=1, *rest, key=2): pass",
        "def run(*inputs): pass",
        "async def run(input): pass",
        "import mvm_ci.http\nfrom mvm_ci import children" + RUN,
        "try:\n def run(input): pass\nfinally: pass",
    ],
)
def test_jobs_that_are_fine(tmp_path: Path, text: str) -> None:
    assert analysed(written(tmp_path, text)).warnings == ()


def test_what_a_job_reaches(tmp_path: Path) -> None:
    written(tmp_path, "import colorsys\nfrom . import deeper", "package/__init__.py")
    written(tmp_path, "def f():\n import wave", "package/deeper.py")
    written(tmp_path, "import nothing_of_interest", "unused.py")
    job = written(tmp_path, "import os.path\ndef run(input):\n from package import deeper")
    found = analysed(job)
    assert set(found.files) == {"package", "package.deeper"}
    assert found.modules == ("colorsys", "os.path", "wave")


def test_a_file_that_hides_the_standard_library(tmp_path: Path) -> None:
    written(tmp_path, "", "json.py")
    (refusal,) = analysed(written(tmp_path, "import json" + RUN)).refusals
    assert "json hides a module that the guest itself needs; rename it" in refusal


def test_warnings_of_frozen_values(tmp_path: Path) -> None:
    text = "import time\nfrom datetime import datetime as d\nimport random as r\nA = time.time()\n"
    text += "class C:\n at = d.now()\ndef f(x=r.random()): return time.time()\nG = r.Random(5)\n"
    warnings = analysed(written(tmp_path, text + RUN)).warnings
    lines = [warning.partition("job.py:")[2].partition("(")[0] for warning in warnings]
    assert sorted(lines) == ["4: time.time", "6: datetime.datetime.now", "7: random.random"]


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("import mvm_ci" + RUN, False),
        ("async def run(input): pass", True),
        ("async def work(): pass" + RUN, True),
        ("import asyncio" + RUN, True),
        ("def run(input):\n from asyncio import sleep\n", True),
    ],
)
def test_asyncio_is_in_the_guests_that_need_it_alone(tmp_path: Path, text: str, needed: object) -> None:
    assert ("asyncio" in analysed(written(tmp_path, text)).modules) is needed


def test_warnings_of_what_a_build_does_not_have(tmp_path: Path) -> None:
    text = "import os, socket, urllib.request\nfrom os import getenv as g\n"
    text += (
        "A = os.environ.get('A')\nB = [g('B')]\nclass C:\n with urllib.request.urlopen('x') as page: pass\n"
    )
    text += (
        "D = socket.getaddrinfo('a', 80)\ndef run(input): return os.environ, urllib.request.urlopen('x')\n"
    )
    warnings = analysed(written(tmp_path, text)).warnings
    assert [warning.partition("job.py:")[2].partition(" is ")[0] for warning in warnings] == [
        "3: os.environ",
        "4: os.getenv",
        "6: urllib.request.urlopen",
        "7: socket.getaddrinfo",
    ]
    assert "no run sees your environment; use the job's input" in warnings[0]
    assert "which has no network; use it in run" in warnings[2]


def test_all_refusals_are_counted(tmp_path: Path) -> None:
    job = written(tmp_path, "import ssl, ctypes\nimport numpy" + RUN)
    assert len(analysed(job).refusals) == 3
    with pytest.raises(
        BadInput, match=r"job\.py:1: .* ssl .* \(and 2 more: mvm-ci build --check .*job\.py\)"
    ):
        build(job, tmp_path / "out.wasm", cache=tmp_path / "cache")


def test_a_build_is_made_once(tmp_path: Path) -> None:
    source = GUESTS / "tests" / "everything" / "job.py"
    build(source, tmp_path / "warm.wasm", cache=CACHE / "built")
    report = build(source, tmp_path / "out.wasm", cache=CACHE / "built", time_limit_s=0)
    assert report.cached
    assert report.manifest.allow_hosts == ("example.org", "*.example.net:8080")
    assert len(report.warnings) == 1
    assert "beside.py:5: time.time()" in report.warnings[0]
    info = inspect((tmp_path / "out.wasm").read_bytes())
    assert info.kind == "component"
    assert info.manifest == report.manifest


def test_a_build_that_takes_too_long(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="took more than 0 s"):
        build(written(tmp_path, RUN), tmp_path / "out.wasm", cache=tmp_path / "cache", time_limit_s=0)


def test_a_job_that_fails_when_it_is_imported(tmp_path: Path) -> None:
    job = written(tmp_path, "x = 1\nraise ValueError('too early')" + RUN)
    with pytest.raises(BadInput, match=r"job\.py:2: importing the job failed: ValueError: too early"):
        build(job, tmp_path / "out.wasm", cache=tmp_path / "cache")


def test_a_module_that_only_this_python_has(tmp_path: Path) -> None:
    job = written(tmp_path, "import _gdbm" + RUN)
    with pytest.raises(BadInput, match=r"job\.py:1: there is no module _gdbm in a guest"):
        build(job, tmp_path / "out.wasm", cache=tmp_path / "cache")


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        build(GUESTS / "tests" / "everything" / "job.py", tmp_path / "no" / "out.wasm", cache=CACHE / "built")


def test_the_header_of_a_script(tmp_path: Path) -> None:
    text = "# /// script\n# [tool.mvm-ci]\n# allow-hosts = ['a']\n# ///\n"
    manifest = read_job(written(tmp_path, text, "some-job.py")).manifest
    assert (manifest.name, manifest.allow_hosts) == ("some-job", ("a",))
    assert read_job(written(tmp_path, "", "x.py")).manifest.name == "x"
