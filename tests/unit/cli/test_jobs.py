"""Commands on jobs: what they ask, what they print, how they exit."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from mvm_ci.wire import api
from tests.unit.cli.fake_api import (
    DIGEST,
    JOB,
    OTHER_JOB,
    TOKEN,
    CommandLine,
    job_view,
    module_view,
    problem,
)

FAILURE = api.FailureView(kind="error", message="boom", detail="Traceback of the guest\n  line 1")


def test_submit_prints_the_id_and_sends_what_was_asked(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    cli.api.answer("POST", "/v1/jobs", api.Submitted(jobs=(job_view("pending"),)))
    options = ["--name", "n", "--allow-host", "example.org", "--max-attempts", "3", "--time-limit", "90s"]
    result = cli("job", "submit", DIGEST[:6], "--input", '{"a": 1}', "--memory", "64", *options)
    assert (result.exit_code, result.stdout) == (0, f"{JOB}\n")
    (asked,) = msgspec.json.decode(cli.api.requests[-1].body, type=api.SubmitJobs).jobs
    assert asked == api.SubmitJob(
        module=DIGEST,
        input=msgspec.Raw(b'{"a": 1}'),
        name="n",
        allow_hosts=("example.org",),
        max_attempts=3,
        timeout_s=90.0,
        memory_mb=64,
    )
    assert cli.api.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"


def test_submit_without_hosts_leaves_them_to_the_manifest(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    cli.api.answer("POST", "/v1/jobs", api.Submitted(jobs=(job_view("pending"),)))
    assert cli("job", "submit", "hello").exit_code == 0
    assert b"allow_hosts" not in cli.api.requests[-1].body


@pytest.mark.parametrize(("flags", "name"), [((), "hello"), (("--name", "n"), "n"), (("--name", ""), "")])
def test_a_job_is_called_like_its_module_unless_it_is_named(
    cli: CommandLine, flags: tuple[str, ...], name: str
) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    cli.api.answer("POST", "/v1/jobs", api.Submitted(jobs=(job_view("pending"),)))
    assert cli("job", "submit", "hello", *flags).exit_code == 0
    (asked,) = msgspec.json.decode(cli.api.requests[-1].body, type=api.SubmitJobs).jobs
    assert asked.name == name


def test_submit_of_a_file_pushes_it(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "job.wasm"
    file.write_bytes(b"\0asm bytes")
    cli.api.answer("POST", "/v1/modules", module_view())
    cli.api.answer("POST", "/v1/jobs", api.Submitted(jobs=(job_view("pending"),)))
    assert cli("job", "submit", str(file)).exit_code == 0
    assert cli.api.requests[0].body == b"\0asm bytes"


def test_submit_and_wait_prints_the_result(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    cli.api.answer("POST", "/v1/jobs", api.Submitted(jobs=(job_view("pending"),)))
    done = job_view(result=msgspec.Raw(b'{"sum":3}'), result_size=9)
    cli.api.answer("GET", f"/v1/jobs/{JOB}", job_view("in_progress"), done)
    result = cli("job", "submit", "hello", "--wait")
    assert (result.exit_code, result.stdout) == (0, '{"sum":3}\n')


@pytest.mark.parametrize(
    ("text", "stdin", "sent"),
    [
        ("[1, 2]", None, b"[1, 2]"),
        ("-", '{"from": "stdin"}', b'{"from": "stdin"}'),
        ("@input.json", None, b'"from a file"'),
    ],
)
def test_input_comes_from_the_flag_stdin_or_a_file(
    cli: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    stdin: str | None,
    sent: bytes,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "input.json").write_bytes(b'"from a file"')
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    cli.api.answer("POST", "/v1/jobs", api.Submitted(jobs=(job_view("pending"),)))
    assert cli("job", "submit", "hello", "--input", text, text=stdin).exit_code == 0
    (asked,) = msgspec.json.decode(cli.api.requests[-1].body, type=api.SubmitJobs).jobs
    assert bytes(asked.input) == sent


@pytest.mark.parametrize("text", ["{", "hello", "@missing.json", "@.", "", "1 2", "[" * 100_000, "\udcff"])
def test_bad_input_is_said_in_one_line(cli: CommandLine, text: str) -> None:
    result = cli("job", "submit", "hello", "--input", text)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: --input: ")
    assert result.stderr.count("\n") == 1
    assert cli.api.requests == []


def test_an_unknown_module_is_not_found(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=()))
    result = cli("job", "submit", "nothing")
    assert result.exit_code == 5
    assert "mvm-ci module list" in result.stderr


def test_an_ambiguous_digest_lists_the_matches(cli: CommandLine) -> None:
    other = "abcd" * 16
    modules = api.ModuleList(modules=(module_view(), module_view(digest=other)))
    cli.api.answer("GET", "/v1/modules", modules)
    result = cli("job", "submit", "abab")
    assert result.exit_code == 2
    assert DIGEST in result.stderr
    assert other in result.stderr


def test_list_follows_pages_up_to_the_limit(cli: CommandLine) -> None:
    first = api.JobList(jobs=(job_view("pending", id=OTHER_JOB),), cursor="next")
    cli.api.answer("GET", "/v1/jobs", first, api.JobList(jobs=(job_view(),), cursor="more"))
    result = cli("job", "list", "--limit", "2", "--state", "pending", "--state", "in-progress")
    assert result.exit_code == 0
    header, *rows = result.stdout.splitlines()
    assert header.split()[:2] == ["JOB", "STATE"]
    assert [row.split()[:2] for row in rows] == [[OTHER_JOB, "pending"], [JOB, "completed"]]
    assert cli.api.requests[0].query == {"limit": ["2"], "state": ["pending,in_progress"]}
    assert cli.api.requests[1].query["cursor"] == ["next"]


def test_list_knows_its_states(cli: CommandLine) -> None:
    result = cli("job", "list", "--state", "sleeping")
    assert result.exit_code == 2
    assert "suspended" in result.stderr


def test_names_of_others_cannot_drive_the_terminal(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/jobs", api.JobList(jobs=(job_view(name="\x1b[2Jevil\nline"),)))
    result = cli("job", "list")
    assert "\x1b" not in result.stdout
    assert len(result.stdout.splitlines()) == 2


def test_json_has_every_field_also_those_that_the_wire_leaves_out(cli: CommandLine) -> None:
    cli.api.answer("GET", f"/v1/jobs/{JOB}", job_view("in_progress"))
    shown = json.loads(cli("job", "show", JOB, "--json").stdout)
    expected = set(api.JobView.__struct_fields__) - {"result"}
    assert set(shown) == expected
    assert (shown["attempt"], shown["worker"]) == (1, None)


def test_show_is_for_people(cli: CommandLine) -> None:
    cli.api.answer("GET", f"/v1/jobs/{JOB}", job_view("failed", failure=FAILURE, worker="one"))
    result = cli("job", "show", JOB)
    assert result.exit_code == 0
    assert "error: boom" in result.stdout
    assert "Traceback of the guest" in result.stdout


def test_a_prefix_is_enough(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/jobs", api.JobList(jobs=(job_view(),)))
    cli.api.answer("GET", f"/v1/jobs/{JOB}", job_view())
    assert cli("job", "show", JOB[:6].upper()).exit_code == 0
    assert cli.api.requests[0].query["prefix"] == [JOB[:6]]


@pytest.mark.parametrize(
    ("text", "found", "code"),
    [
        ("j01", (), 2),  # too short
        ("x01h2", (), 2),  # cannot begin an id
        ("j01h2xk9q0w0c4zzz", (), 2),  # too long
        ("j01u", (), 2),  # u is not in the alphabet
        ("j01h", (), 5),
        ("j01h", (JOB, OTHER_JOB), 2),
    ],
)
def test_a_prefix_must_mean_one_job(cli: CommandLine, text: str, found: tuple[str, ...], code: int) -> None:
    cli.api.answer("GET", "/v1/jobs", api.JobList(jobs=tuple(job_view(id=job) for job in found)))
    result = cli("job", "show", text)
    assert result.exit_code == code
    assert all(job in result.stderr for job in found)


@pytest.mark.parametrize("state", ["failed", "cancelled", "dead", "paused"])
def test_wait_for_a_job_that_does_not_end_well(cli: CommandLine, state: str) -> None:
    cli.api.answer("GET", f"/v1/jobs/{JOB}", job_view(state, failure=FAILURE))
    result = cli("job", "wait", JOB)
    assert (result.exit_code, result.stdout) == (1, f"{state}\n")
    assert f"error: job {JOB} is {state} (error): boom" in result.stderr


def test_wait_ends_when_its_time_is_over(cli: CommandLine) -> None:
    cli.api.answer("GET", f"/v1/jobs/{JOB}", job_view("in_progress"))
    result = cli("job", "wait", JOB, "--timeout", "1ms")
    assert (result.exit_code, result.stdout) == (124, "in_progress\n")
    assert "it goes on" in result.stderr


@pytest.mark.parametrize("text", ["0", "-1s", "0s", "soon", "1e3s", "1m2h", "s", ""])
def test_wait_takes_only_durations(cli: CommandLine, text: str) -> None:
    result = cli("job", "wait", JOB, f"--timeout={text}")
    assert result.exit_code == 2
    assert "--timeout" in result.stderr


def test_result_of_other_bytes_is_not_touched(cli: CommandLine) -> None:
    cli.api.answer("GET", f"/v1/jobs/{JOB}", job_view(result_base64="AAE=", result_size=2))
    cli.api.answer("GET", f"/v1/jobs/{JOB}/result", b"\x00\xff")
    result = cli("job", "result", JOB)
    assert (result.exit_code, result.stdout_bytes) == (0, b"\x00\xff")


def test_result_of_a_running_job_is_a_conflict(cli: CommandLine) -> None:
    cli.api.answer("GET", f"/v1/jobs/{JOB}", job_view("in_progress"))
    result = cli("job", "result", JOB)
    assert result.exit_code == 6
    assert f"mvm-ci job wait {JOB}" in result.stderr


def test_logs_are_printed_as_they_are(cli: CommandLine) -> None:
    pieces = [
        api.LogLine(attempt=1, index=at, at_ms=5, stream="stdout", text=text)
        for at, text in ((1, "a"), (4, "b\n"))
    ]
    lines = b"\n".join(msgspec.json.encode(piece) for piece in pieces) + b"\n"
    cli.api.answer("GET", f"/v1/jobs/{JOB}/logs", lines)
    assert cli("job", "logs", JOB).stdout == "ab\n"
    shown = [json.loads(line) for line in cli("job", "logs", JOB, "--json").stdout.splitlines()]
    assert [piece["index"] for piece in shown] == [1, 4]


def test_logs_asks_for_the_part_that_is_named(cli: CommandLine) -> None:
    cli.api.answer("GET", f"/v1/jobs/{JOB}/logs", b"")
    cli("job", "logs", JOB, "--attempt", "2", "--from", "3", "--to", "9", "--limit", "4")
    assert cli.api.requests[-1].query == {"attempt": ["2"], "from": ["3"], "to": ["9"], "limit": ["4"]}
    cli("job", "logs", JOB, "-n", "5")
    assert cli.api.requests[-1].query == {"tail": ["5"]}


@pytest.mark.parametrize("answer", ["done", "stopping", "already"])
def test_cancel(cli: CommandLine, answer: str) -> None:
    cli.api.answer("POST", f"/v1/jobs/{JOB}/cancel", api.CancelView(id=JOB, cancelled=answer))
    cli.api.answer("GET", f"/v1/jobs/{JOB}", job_view("failed"))
    result = cli("job", "cancel", JOB)
    assert result.exit_code == 0
    assert ("failed already" in result.stdout) == (answer == "already")
    assert json.loads(cli("job", "cancel", JOB, "--json").stdout)["jobs"] == [{"id": JOB, "change": answer}]


def test_the_api_says_why(cli: CommandLine) -> None:
    cli.api.answer("GET", f"/v1/jobs/{JOB}", problem(404, "not-found", f"there is no job {JOB}"))
    result = cli("job", "show", JOB)
    assert (result.exit_code, result.stderr) == (5, f"error: there is no job {JOB}\n")


@pytest.mark.parametrize(("state", "code"), [("completed", 0), ("failed", 1), ("paused", 1)])
def test_run_of_a_built_module(cli: CommandLine, tmp_path: Path, state: str, code: int) -> None:
    file = tmp_path / "built.wasm"
    file.write_bytes(b"bytes")
    ended = (
        job_view(state, result=msgspec.Raw(b"3"))
        if state == "completed"
        else job_view(state, failure=FAILURE)
    )
    line = api.LogLine(attempt=1, index=1, at_ms=5, stream="stdout", text="hello\n")
    cli.api.answer("POST", "/v1/modules", module_view())
    cli.api.answer("POST", "/v1/jobs", api.Submitted(jobs=(job_view("pending"),)))
    cli.api.answer("GET", f"/v1/jobs/{JOB}", ended)
    cli.api.answer("GET", f"/v1/jobs/{JOB}/logs", msgspec.json.encode(line) + b"\n")
    result = cli("run", str(file))
    assert (result.exit_code, result.stdout) == (code, "3\n" if code == 0 else "")
    assert "hello" in result.stderr or state == "paused"
