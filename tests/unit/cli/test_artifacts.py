"""Commands on artifacts: where a download goes, and what does not overwrite what is there."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from mvm_ci.wire import api
from tests.unit.cli.fake_api import DIGEST, JOB, CommandLine, job_view, module_view, problem

DATA = b"some bytes \xff\n" * 1000
ARTIFACT = sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def served(cli: CommandLine, name: str, data: bytes = DATA, digest: str = ARTIFACT) -> None:
    path = f"/v1/jobs/{JOB}/artifacts/{name}"
    cli.api.answer("GET", path, data)
    cli.api.headers[path] = {"etag": f'"{digest}"', "content-length": str(len(data))}


def test_the_list(cli: CommandLine) -> None:
    views = tuple(
        api.ArtifactView(name=name, digest=DIGEST, size=2_000_000, media=media, input=given, created_ms=1)
        for name, media, given in (("a.txt", "text/plain", False), ("in\x1b[2J", "", True))
    )
    cli.api.answer("GET", f"/v1/jobs/{JOB}/artifacts", api.ArtifactList(artifacts=views))
    lines = cli("artifact", "list", JOB).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "a.txt", "in\\x1b[2J"]
    assert "text/plain" in lines[1]
    assert [" job " in line for line in lines] == [False, True, False]
    shown = json.loads(cli("artifact", "list", JOB, "--json").stdout)["artifacts"]
    assert [one["input"] for one in shown] == [False, True]


def test_a_download_goes_under_the_last_part_of_the_name(cli: CommandLine, here: Path) -> None:
    served(cli, "dir/a.txt")
    done = cli("artifact", "get", JOB, "dir/a.txt")
    assert (done.exit_code, done.stdout) == (0, "")
    assert (here / "a.txt").read_bytes() == DATA
    assert [file.name for file in here.iterdir()] == ["a.txt"]
    umask = os.umask(0)
    os.umask(umask)
    assert (here / "a.txt").stat().st_mode & 0o777 == 0o666 & ~umask
    assert cli.api.requests[-1].path == "/v1/jobs/" + JOB + "/artifacts/dir/a.txt"


def test_what_is_there_is_not_overwritten_unasked(cli: CommandLine, here: Path) -> None:
    served(cli, "a.txt")
    (here / "a.txt").write_bytes(b"mine")
    done = cli("artifact", "get", JOB, "a.txt")
    assert (done.exit_code, cli.api.requests) == (2, [])
    assert "-o FILE" in done.stderr
    assert (here / "a.txt").read_bytes() == b"mine"
    assert cli("artifact", "get", JOB, "a.txt", "-o", "a.txt").exit_code == 0
    assert (here / "a.txt").read_bytes() == DATA


def test_a_download_to_stdout(cli: CommandLine, here: Path) -> None:
    served(cli, "a.txt")
    done = cli("artifact", "get", JOB, "a.txt", "-o", "-")
    assert done.stdout_bytes == DATA
    assert list(here.iterdir()) == []


def test_a_download_to_what_is_no_file_leaves_it_what_it_is(cli: CommandLine, here: Path) -> None:
    served(cli, "a.txt")
    (here / "null").symlink_to("/dev/null")
    assert cli("artifact", "get", JOB, "a.txt", "-o", "null").exit_code == 0
    assert (here / "null").is_symlink()


def test_what_is_damaged_or_missing_leaves_no_file(cli: CommandLine, here: Path) -> None:
    served(cli, "a.txt", digest="0" * 64)
    assert cli("artifact", "get", JOB, "a.txt").exit_code != 0
    cli.api.answer("GET", f"/v1/jobs/{JOB}/artifacts/b", problem(404, "not-found", "no b"))
    done = cli("artifact", "get", JOB, "b", "-o", "b")
    assert "no b" in done.stderr
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("target", ["missing/x", "."])
def test_where_nothing_can_be_written(cli: CommandLine, here: Path, target: str) -> None:
    served(cli, "a.txt")
    done = cli("artifact", "get", JOB, "a.txt", "-o", target)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert list(here.iterdir()) == []


def test_json_says_where_it_is(cli: CommandLine) -> None:
    served(cli, "a.txt")
    said = json.loads(cli("artifact", "get", JOB, "a.txt", "--json").stdout)
    assert said == {"job": JOB, "name": "a.txt", "file": "a.txt", "size": len(DATA)}


# ---------------------------------------------------------------- uploads


def uploads(cli: CommandLine, data: bytes) -> str:
    digest = sha256(data).hexdigest()
    cli.api.answer("PUT", f"/v1/artifacts/{digest}", api.UploadView(digest=digest, size=len(data)))
    return digest


def test_put_prints_digests_in_order(cli: CommandLine, here: Path) -> None:
    digests = []
    for name in ("b", "a"):
        (here / name).write_bytes(name.encode())
        digests.append(uploads(cli, name.encode()))
    assert cli("artifact", "put", "b", "a").stdout.split() == digests
    assert [(one.method, one.body) for one in cli.api.requests[1::2]] == [("PUT", b"b"), ("PUT", b"a")]
    shown = json.loads(cli("artifact", "put", "b", "--json").stdout)
    assert shown == {"uploads": [{"file": "b", "digest": digests[0], "size": 1}]}


@pytest.mark.parametrize("file", ["missing", "."])
def test_a_file_that_cannot_be_read(cli: CommandLine, file: str) -> None:
    done = cli("artifact", "put", file)
    assert (done.exit_code, cli.api.requests) == (2, [])
    assert f"cannot read {file}: " in done.stderr


def test_submit_uploads_what_a_job_is_given(cli: CommandLine, here: Path) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    cli.api.answer("POST", "/v1/jobs", api.Submitted(jobs=(job_view("pending"),)))
    (here / "file=1").write_bytes(b"data")
    digest = uploads(cli, b"data")
    given = ("--artifact", "in/data.csv=file=1", "--artifact", f"model=sha256:{'A' * 64}")
    assert cli("job", "submit", "hello", *given).exit_code == 0
    (asked,) = msgspec.json.decode(cli.api.requests[-1].body, type=api.SubmitJobs).jobs
    assert asked.inputs == {"in/data.csv": digest, "model": "a" * 64}


def test_jobs_of_a_file_have_it_unless_they_name_their_own(cli: CommandLine, here: Path) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    cli.api.answer("POST", "/v1/jobs", api.Submitted(jobs=(job_view("pending"),) * 2))
    (here / "data").write_bytes(b"data")
    digest = uploads(cli, b"data")
    (here / "jobs").write_text(json.dumps([{}, {"inputs": {"x": "0" * 64}}]))
    assert cli("job", "submit", "hello", "--artifact", "a=data", "--from", "jobs").exit_code == 0
    asked = msgspec.json.decode(cli.api.requests[-1].body, type=api.SubmitJobs).jobs
    assert [job.inputs for job in asked] == [{"a": digest}, {"x": "0" * 64}]
    assert [one.method for one in cli.api.requests].count("PUT") == 1


@pytest.mark.parametrize("given", ["data", "=data", "a=data,a=other"])
def test_what_is_no_artifact(cli: CommandLine, given: str) -> None:
    options = [part for one in given.split(",") for part in ("--artifact", one)]
    done = cli("job", "submit", "hello", *options)
    assert (done.exit_code, cli.api.requests) == (2, [])


def test_names_are_quoted(cli: CommandLine) -> None:
    served(cli, quote("a b"))
    served(cli, "a b")
    assert cli("artifact", "get", JOB, "a b", "-o", "-").stdout_bytes == DATA
