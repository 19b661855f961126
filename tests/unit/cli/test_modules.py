"""Commands on modules, and how other commands name one."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from mvm_ci.wire import api
from tests.unit.cli.fake_api import DIGEST, JOB, CommandLine, job_view, module_view, problem, version_view

# Exports run and memory.
WASM = b"\0asm\x01\0\0\0\x07\x10\x02\x03run\0\0\x06memory\x02\0"
CRAWL = "/v1/modules/names/crawl"


@pytest.fixture
def module(tmp_path: Path) -> str:
    file = tmp_path / "job.wasm"
    file.write_bytes(WASM)
    return str(file)


def submitted(cli: CommandLine) -> api.SubmitJob:
    (asked,) = msgspec.json.decode(cli.api.requests[-1].body, type=api.SubmitJobs).jobs
    return asked


# -------------------------------------------------------------------- push and publish


def test_a_push_without_a_version_publishes_nothing(cli: CommandLine, module: str) -> None:
    cli.api.answer("POST", "/v1/modules", module_view())
    assert cli("module", "push", module, "--name", "My Job").stdout == f"{DIGEST}\n"
    assert [request.query for request in cli.api.requests] == [{"name": ["My Job"]}]
    assert json.loads(cli("module", "push", module, "--json").stdout)["published"] is None


def test_a_push_with_a_version_publishes_it(cli: CommandLine, module: str) -> None:
    cli.api.answer("POST", "/v1/modules", module_view())
    cli.api.answer("PUT", f"{CRAWL}/versions/1.2.0+a", version_view("1.2.0+a"))
    flags = ("--name", "crawl", "--version", "1.2.0+a")
    assert cli("module", "push", module, *flags).stdout == f"{DIGEST}\n"
    assert json.loads(cli.api.requests[-1].body) == {"digest": DIGEST}
    shown = json.loads(cli("module", "push", module, *flags, "--json").stdout)
    assert (shown["digest"], shown["published"]) == (DIGEST, "crawl@1.2.0+a")


@pytest.mark.parametrize(
    "flags",
    [("--version", "1"), ("--version", "", "--name", "crawl"), ("--version", "1", "--name", "My Job")],
)
def test_what_cannot_be_published_is_said_before_anything_travels(
    cli: CommandLine, module: str, flags: tuple[str, ...]
) -> None:
    result = cli("module", "push", module, *flags)
    assert (result.exit_code, result.stderr.count("\n"), cli.api.requests) == (2, 1, [])


def test_a_version_that_is_taken_is_a_conflict(cli: CommandLine, module: str) -> None:
    cli.api.answer("POST", "/v1/modules", module_view())
    cli.api.answer("PUT", f"{CRAWL}/versions/1", problem(409, "version-taken", "it stands for another"))
    result = cli("module", "push", module, "--name", "crawl", "--version", "1")
    assert (result.exit_code, result.stdout) == (6, "")
    assert "it stands for another" in result.stderr


# -------------------------------------------------------------------- lists, and the end of a version


def test_names_and_versions_are_listed_over_all_pages(cli: CommandLine) -> None:
    cli.api.answer(
        "GET",
        "/v1/modules/names",
        api.ModuleVersionList(versions=(version_view(name="a"),), cursor="a"),
        api.ModuleVersionList(versions=(version_view(),)),
    )
    shown = cli("module", "versions", "--json")
    assert [one["name"] for one in json.loads(shown.stdout)["versions"]] == ["a", "crawl"]
    assert cli.api.requests[-1].query["cursor"] == ["a"]
    cli.api.answer("GET", f"{CRAWL}/versions", api.ModuleVersionList(versions=(version_view("2"),)))
    (line,) = cli("module", "versions", "crawl").stdout.splitlines()[1:]
    assert line.split()[:3] == ["crawl", "2", DIGEST[:12]]


def test_a_version_is_deleted_when_that_is_meant(cli: CommandLine) -> None:
    cli.api.answer("DELETE", f"{CRAWL}/versions/1.2.0", version_view())
    assert (cli("module", "delete", "crawl@1.2.0").exit_code, cli.api.requests) == (2, [])
    assert cli("module", "delete", "crawl@1.2.0", "--yes").stdout == "crawl@1.2.0: deleted\n"
    deleted = json.loads(cli("module", "delete", "crawl@1.2.0", "--yes", "--json").stdout)
    assert set(deleted) == set(api.ModuleVersionView.__struct_fields__)
    assert cli("module", "delete", "crawl@2", "--yes").exit_code == 5


@pytest.mark.parametrize("text", [DIGEST, DIGEST[:4], DIGEST[:9].upper()])
def test_a_module_is_deleted_by_its_digest(cli: CommandLine, text: str) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    cli.api.answer("DELETE", f"/v1/modules/{DIGEST}", module_view())
    assert (cli("module", "delete", text).exit_code, cli.api.requests) == (2, [])
    assert cli("module", "delete", text, "--yes").stdout == f"{DIGEST}: deleted\n"
    assert cli.api.requests[0].query == {"prefix": [text.lower()]}


@pytest.mark.parametrize("text", ["crawl", "abc", f"{DIGEST}0", "crawl@", "@1", "Crawl@1"])
def test_nothing_is_deleted_by_a_name_alone(cli: CommandLine, text: str) -> None:
    assert (cli("module", "delete", text, "--yes").exit_code, cli.api.requests) == (2, [])


# -------------------------------------------------------------------- naming one


@pytest.mark.parametrize(("text", "path"), [("crawl", CRAWL), ("crawl@1.2.0", f"{CRAWL}/versions/1.2.0")])
def test_a_published_name_is_sent_as_it_was_typed(cli: CommandLine, text: str, path: str) -> None:
    cli.api.answer("GET", path, version_view())
    cli.api.answer("POST", "/v1/jobs", api.Submitted(jobs=(job_view("pending"),)))
    assert cli("job", "submit", text).stdout == f"{JOB}\n"
    assert (submitted(cli).module, submitted(cli).name) == (text, "crawl")


def test_a_published_name_goes_before_a_name_of_a_push_and_the_beginning_of_a_digest(
    cli: CommandLine,
) -> None:
    view = version_view(name="abab", digest="cd" * 32)
    cli.api.answer("GET", "/v1/modules/names/abab", view)
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(name="abab"),)))
    cli.api.answer("POST", "/v1/jobs", api.Submitted(jobs=(job_view("pending"),)))
    assert cli("job", "submit", "abab").exit_code == 0
    assert submitted(cli).module == "abab"
    cli.api.answer("GET", "/v1/modules/names/abab", problem(404, "not-found", "there is no module"))
    assert cli("job", "submit", "abab").exit_code == 0
    assert submitted(cli).module == DIGEST


def test_a_schedule_keeps_the_name_that_it_was_given(cli: CommandLine) -> None:
    cli.api.answer("GET", CRAWL, version_view())
    cli.api.answer("PUT", "/v1/schedules/n", problem(400, "bad-input", "enough was asked"))
    cli("schedule", "create", "n", "@daily", "crawl")
    assert json.loads(cli.api.requests[-1].body)["job"]["module"] == "crawl"


def test_jobs_of_a_name_are_those_of_its_digest(cli: CommandLine) -> None:
    cli.api.answer("GET", f"{CRAWL}/versions/1.2.0", version_view())
    cli.api.answer("GET", "/v1/jobs", api.JobList(jobs=()))
    assert cli("job", "list", "--module", "crawl@1.2.0").exit_code == 0
    assert cli.api.requests[-1].query["module"] == [DIGEST]


def test_an_error_of_the_control_plane_is_not_taken_for_a_name_that_is_not_there(cli: CommandLine) -> None:
    cli.api.answer("GET", CRAWL, problem(403, "refused", "not for you"))
    result = cli("job", "submit", "crawl")
    assert (result.exit_code, "not for you" in result.stderr) == (4, True)
