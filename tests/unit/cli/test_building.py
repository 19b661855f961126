"""``mvm-ci build --check``: what would be built, without building it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mvm_ci.cli.building import target_of
from tests.integration.wasm.wheels import make_wheel, see_only
from tests.unit.cli.fake_api import CommandLine

HEADER = "# /// script\n# dependencies = ['one']\n# ///\n"


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job with a package, and a cache of its own."""
    make_wheel(tmp_path / "wheels", "one", "1.0", {"one.py": "import random\nLUCK = random.random()\n"})
    see_only(tmp_path / "wheels", monkeypatch)
    monkeypatch.setenv("MVM_CI_BUILD_CACHE", str(tmp_path / "cache"))
    job = tmp_path / "job.py"
    job.write_text(f"{HEADER}import one\ndef run(input): pass\n")
    return job


def test_a_check_for_people(cli: CommandLine, job: Path) -> None:
    result = cli("build", "--check", str(job))
    assert result.exit_code == 0
    head, row, total, warning = result.stdout.splitlines()
    assert head.split() == ["PACKAGE", "VERSION", "FILES", "SIZE"]
    assert row.split()[:3] == ["one", "1.0", "3"]
    assert total.startswith("job: 4 files, ")
    assert warning.startswith(
        "warning: one.py:2 (one 1.0): random.random() is called while the guest is built"
    )
    assert result.stderr == f"resolving the packages of {job}\n"
    assert not job.with_name("job.requirements.lock").exists()


def test_a_check_for_programs(cli: CommandLine, job: Path) -> None:
    job.write_text(f"{HEADER}import one, ssl\n")
    result = cli("build", "--check", "--json", "--lock", str(job))
    assert result.exit_code == 2
    said = json.loads(result.stdout)
    assert said.keys() == {"name", "packages", "files", "bytes", "warnings", "refusals"}
    assert [package["name"] for package in said["packages"]] == ["one"]
    assert [refusal.partition(str(job))[2][:9] for refusal in said["refusals"]] == [": there i", ":4: the m"]
    assert job.with_name("job.requirements.lock").exists()


def test_a_job_without_packages_has_no_table(cli: CommandLine, job: Path) -> None:
    job.write_text("def run(input): pass\n")
    result = cli("build", "--check", str(job))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "job: 1 files, 21 B\n", "")


def test_where_a_module_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "crawler").mkdir()
    assert target_of(Path("a/job.py")) == Path("a/job.wasm")
    monkeypatch.chdir(tmp_path)
    assert target_of(Path("crawler")) == Path("crawler/crawler.wasm")
    monkeypatch.chdir("crawler")
    assert target_of(Path()) == Path("crawler.wasm")
