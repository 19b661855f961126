"""A job that is a directory with a ``pyproject.toml``."""

from pathlib import Path

import pytest

from mvm_ci.adapters.componentize.plan import Plan, check, make_plan
from mvm_ci.adapters.componentize.project import read_job
from mvm_ci.adapters.componentize.wheels import MAX_FILES
from mvm_ci.domain.errors import BadInput, TooLarge

PROJECT = "[project]\nname = 'crawler'\nversion = '1'\n[tool.mvm-ci]\nentry = 'crawler.job'\n"


def project(directory: Path, files: dict[str, str], text: str = PROJECT) -> Path:
    written = {"pyproject.toml": text, **{f"{name}.py": body for name, body in files.items()}}
    for name, body in written.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
    return directory


def planned(source: Path) -> Plan:
    return make_plan(source, source / ".cache", relock=False, keep=False, tell=print)


def test_a_project_goes_with_all_files_of_its_package(tmp_path: Path) -> None:
    source = project(
        tmp_path,
        {
            "crawler/__init__": "import wave",
            "crawler/job": "from . import pages\nfrom crawler.pages import home\ndef run(input): pass",
            "crawler/pages": "import colorsys\nhome = 1",
            "crawler/plugins/rare": "",
            "tests/test_it": "import pytest",
        },
    )
    (source / "crawler" / "robots.txt").write_text("all")
    for name in (".hidden", "_fast.cpython-311-x86_64-linux-gnu.so"):
        (source / "crawler" / name).write_text("")
    (source / "crawler" / "__pycache__").mkdir()
    (source / "crawler" / "__pycache__" / "job.cpython-311.pyc").write_text("")
    plan = planned(source)
    assert sorted(plan.files) == [
        "crawler/__init__.py",
        "crawler/job.py",
        "crawler/pages.py",
        "crawler/plugins/rare.py",
        "crawler/robots.txt",
    ]
    assert set(plan.analysis.files) == {"crawler", "crawler.pages"}
    assert {"colorsys", "wave"} <= set(plan.analysis.modules)
    assert plan.analysis.refusals == ()
    assert plan.job.manifest.name == "crawler"


def test_the_source_layout_and_a_name_of_its_own(tmp_path: Path) -> None:
    text = PROJECT + "name = 'nightly'\nallow-hosts = ['a.example']\n"
    job = read_job(project(tmp_path, {"src/crawler/job": "def run(input): pass"}, text))
    assert (job.root, job.module) == (tmp_path / "src", "crawler.job")
    assert (job.manifest.name, job.manifest.allow_hosts) == ("nightly", ("a.example",))


def test_an_entry_that_is_a_package(tmp_path: Path) -> None:
    text = PROJECT.replace("crawler.job", "crawler")
    source = project(tmp_path, {"crawler/__init__": "def run(input): pass"}, text)
    assert [*planned(source).files] == ["crawler/__init__.py"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[", r"pyproject\.toml: not TOML"),
        ("[project]\nname = 'x'", r"there is no entry in \[tool\.mvm-ci\]; name the module that has run"),
        (PROJECT + "entri = 'x'", "entri"),
        (
            PROJECT.replace("crawler.job", "crawler/job.py"),
            "'crawler/job.py' is no name of a module, such as app.job",
        ),
        (PROJECT.replace("crawler.job", "json.job"), "json is a module of the guest itself; rename it"),
        (PROJECT.replace("crawler.job", "crawler.none"), "there is no module crawler.none in"),
        (PROJECT.replace("version", "dependencies = 'x'\nversion"), r"\[project\]: Expected `array`"),
        (
            PROJECT.replace("version", "dependencies = ['a b']\nversion"),
            "'a b' is no requirement such as 'name>=1.0'",
        ),
        (
            PROJECT.replace("version", "dependencies = ['a @ https://b']\nversion"),
            "a: a package is named by its version",
        ),
        (
            PROJECT.replace("version", "dynamic = ['dependencies']\nversion"),
            "dynamic dependencies cannot be read",
        ),
        (
            PROJECT.replace("version", "requires-python = '<3.13'\nversion"),
            "requires-python is <3.13, but a guest has",
        ),
        (PROJECT.replace("version", "requires-python = 'new'\nversion"), "'new' is no range of versions"),
    ],
)
def test_projects_that_cannot_be_read(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason) as caught:
        read_job(project(tmp_path, {"crawler/job": "def run(input): pass"}, text))
    assert str(caught.value).startswith(str(tmp_path / "pyproject.toml"))


def test_too_many_files_of_its_own(tmp_path: Path) -> None:
    source = project(tmp_path, {"crawler/job": "def run(input): pass"})
    for number in range(MAX_FILES):
        (source / "crawler" / f"{number}.txt").touch()
    with pytest.raises(
        TooLarge, match=r"its own files in .* are 20 bytes in 5,001 files; 32 MiB and 5,000 files"
    ):
        planned(source)


def test_what_a_check_says(tmp_path: Path) -> None:
    source = project(tmp_path, {"crawler/job": "import time, ssl\nAT = time.time()\ndef run(input): pass"})
    found = check(source, cache=tmp_path / ".cache", relock=False, tell=print)
    assert (found.name, found.packages, found.files, found.bytes) == ("crawler", (), 1, 54)
    assert [line.partition("job.py:")[2][:11] for line in (*found.warnings, *found.refusals)] == [
        "2: time.tim",
        "1: the modu",
    ]
