"""What describes a job on the command line, and files of many jobs."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from mvm_ci.cli.times import parse_time
from mvm_ci.wire import api
from tests.unit.cli.fake_api import DIGEST, JOB, OTHER_JOB, CommandLine, job_view, module_view, problem

EVERY_OPTION = (
    *("--queue", "nightly", "--priority", "9", "--label", "gpu", "--label", "zone=eu"),
    *("--run-at", "2030-01-31T18:00:00+01:00", "--start-within", "10m", "--max-attempts", "4"),
    *("--deadline", "2h"),
    *("--backoff", "2s", "--backoff-longest", "1m", "--backoff-factor", "3", "--retry-on", "error"),
    *("--tag", "a", "--tag", "b", "--meta", "team=web", "--fairness-key", "acme"),
    *("--concurrency-key", "db", "--concurrency-limit", "2", "--rate", "10/1m", "--excess", "cancel-older"),
    *("--cancel-grace", "10s", "--durability", "none"),
    *("--after", JOB, "--after", f"{OTHER_JOB}:end", "--idempotency-key", "k", "--name", "n"),
    *("--artifact", f"data/in.csv=sha256:{'e' * 64}"),
    *("--secret", "TOKEN", "--secret", "KEY"),
)


def ready(cli: CommandLine, jobs: int = 1) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    cli.api.answer("POST", "/v1/modules", module_view())
    cli.api.answer("POST", "/v1/jobs", api.Submitted(jobs=(job_view("pending"),) * jobs))


def asked(cli: CommandLine) -> tuple[api.SubmitJob, ...]:
    (request,) = [one for one in cli.api.requests if (one.method, one.path) == ("POST", "/v1/jobs")]
    return msgspec.json.decode(request.body, type=api.SubmitJobs).jobs


def test_every_option_of_a_job_can_be_given(cli: CommandLine) -> None:
    ready(cli)
    result = cli("job", "submit", "hello", *EVERY_OPTION)
    assert (result.exit_code, result.stderr) == (0, "")
    expected = api.SubmitJob(
        module=DIGEST,
        name="n",
        queue="nightly",
        priority=9,
        labels={"gpu": "", "zone": "eu"},
        run_at_ms=1_896_109_200_000,
        start_within_s=600.0,
        deadline_s=7_200.0,
        max_attempts=4,
        backoff=api.BackoffSpec(base_s=2.0, longest_s=60.0, factor=3.0, kinds=("error",)),
        tags=("a", "b"),
        metadata={"team": "web"},
        fairness_key="acme",
        cancel_grace_s=10.0,
        durability="none",
        concurrency=api.ConcurrencySpec(key="db", limit=2, starts=10, per_s=60.0, excess="cancel-older"),
        after=(api.AfterSpec(job=JOB), api.AfterSpec(job=OTHER_JOB, needs="end")),
        idempotency_key="k",
        inputs={"data/in.csv": "e" * 64},
        secrets=("TOKEN", "KEY"),
    )
    assert asked(cli) == (expected,)


def test_the_options_name_every_field_of_a_job(cli: CommandLine) -> None:
    ready(cli)
    options = ["--input", "1", "--allow-host", "a.test", "--time-limit", "9s", "--memory", "9", *EVERY_OPTION]
    assert cli("job", "submit", "hello", *options).exit_code == 0
    body = json.loads(next(one.body for one in cli.api.requests if one.path == "/v1/jobs"))
    assert set(body["jobs"][0]) == set(api.SubmitJob.__struct_fields__)


def test_run_takes_the_same_options(cli: CommandLine, tmp_path: Path) -> None:
    ready(cli)
    (tmp_path / "built.wasm").write_bytes(b"bytes")
    cli.api.answer("GET", f"/v1/jobs/{JOB}", job_view(result=msgspec.Raw(b"1")))
    cli.api.answer("GET", f"/v1/jobs/{JOB}/logs", b"")
    assert cli("run", str(tmp_path / "built.wasm"), *EVERY_OPTION).exit_code == 0
    assert asked(cli)[0].concurrency is not None


@pytest.mark.parametrize(
    ("options", "limit", "starts"),
    [((), 1, None), (("--rate", "5/1s"), None, 5), (("--concurrency-limit", "3"), 3, None)],
)
def test_a_concurrency_key_limits_to_one_at_once_or_as_it_is_said(
    cli: CommandLine, options: tuple[str, ...], limit: int | None, starts: int | None
) -> None:
    ready(cli)
    assert cli("job", "submit", "hello", "--concurrency-key", "k", *options).exit_code == 0
    concurrency = asked(cli)[0].concurrency
    assert concurrency is not None
    assert (concurrency.limit, concurrency.starts) == (limit, starts)


def test_after_takes_the_beginning_of_an_id(cli: CommandLine) -> None:
    ready(cli)
    cli.api.answer("GET", "/v1/jobs", api.JobList(jobs=(job_view(),)))
    assert cli("job", "submit", "hello", "--after", f"{JOB[:6]}:end").exit_code == 0
    assert asked(cli)[0].after == (api.AfterSpec(job=JOB, needs="end"),)


@pytest.mark.parametrize(
    "options",
    [
        ("--label", "UPPER"),
        ("--label", "a=1", "--label", "a=2"),
        ("--meta", "no-value"),
        ("--meta", "a=1", "--meta", "a=2"),
        ("--run-at", "2030-01-31T18:00:00"),
        ("--run-at", "tomorrow"),
        ("--run-at", "+soon"),
        ("--rate", "10"),
        ("--rate", "0/1s"),
        ("--rate", "1/soon"),
        ("--priority", "10"),
        ("--excess", "drop"),
        ("--after", f"{JOB}:failed"),
        ("--rate", "10/1s"),
        ("--concurrency-limit", "2"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_asked(cli: CommandLine, options: tuple[str, ...]) -> None:
    result = cli("job", "submit", "hello", *options)
    assert result.exit_code == 2
    assert options[0] in result.stderr
    assert cli.api.requests == []


def test_a_time_is_absolute_or_from_now_on() -> None:
    assert parse_time("1970-01-01T01:00:00+01:00", 5.0) == 0
    assert parse_time("1970-01-01T00:00:01Z", 5.0) == 1_000
    assert parse_time("+1m30s", 5.0) == 95_000


@pytest.mark.parametrize(
    "text",
    [
        '[{"input": 1}, {"input": 2, "queue": "other"}]',
        '{"jobs": [{"input": 1}, {"input": 2, "queue": "other"}]}',
        '{"input": 1}\n\n{"input": 2, "queue": "other"}\n',
    ],
)
@pytest.mark.parametrize("stdin", [False, True])
def test_many_jobs_come_from_a_file_in_one_request(
    cli: CommandLine, tmp_path: Path, text: str, *, stdin: bool
) -> None:
    ready(cli, jobs=2)
    (tmp_path / "jobs").write_text(text)
    file = "-" if stdin else str(tmp_path / "jobs")
    result = cli("job", "submit", "hello", "--from", file, "--queue", "nightly", text=text)
    assert (result.exit_code, result.stdout) == (0, f"{JOB}\n{JOB}\n")
    shown = [(bytes(job.input), job.queue, job.module, job.name) for job in asked(cli)]
    assert shown == [(b"1", "nightly", DIGEST, "hello"), (b"2", "other", DIGEST, "hello")]


def test_a_file_names_modules_and_jobs_as_the_command_line_does(cli: CommandLine, tmp_path: Path) -> None:
    ready(cli, jobs=3)
    (tmp_path / "pushed.wasm").write_bytes(b"bytes")
    jobs = [
        {"module": str(tmp_path / "pushed.wasm"), "name": ""},
        {"module": "hello", "after": [{"job": "#0"}]},
        {"module": DIGEST[:6], "after": [{"job": JOB, "needs": "end"}]},
    ]
    (tmp_path / "jobs").write_text(json.dumps(jobs))
    result = cli("job", "submit", "--from", str(tmp_path / "jobs"), "--json")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["jobs"]) == 3
    shown = [(job.module, job.name, job.after) for job in asked(cli)]
    assert shown == [
        (DIGEST, "", ()),
        (DIGEST, "hello", (api.AfterSpec(job="#0"),)),
        (DIGEST, "hello", (api.AfterSpec(job=JOB, needs="end"),)),
    ]


def test_waiting_for_many_ends_badly_if_one_does(cli: CommandLine, tmp_path: Path) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    views = (job_view("pending"), job_view("pending", id=OTHER_JOB))
    cli.api.answer("POST", "/v1/jobs", api.Submitted(jobs=views))
    cli.api.answer("GET", f"/v1/jobs/{JOB}", job_view("failed"))
    cli.api.answer("GET", f"/v1/jobs/{OTHER_JOB}", job_view(id=OTHER_JOB))
    (tmp_path / "jobs").write_text("[{}, {}]")
    result = cli("job", "submit", "hello", "--from", str(tmp_path / "jobs"), "--wait")
    assert (result.exit_code, result.stdout) == (1, f"{JOB} failed\n{OTHER_JOB} completed\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no jobs"),
        ("nonsense", "no jobs"),
        ("[1]", "no jobs"),
        ('{"jobs": 1}', "no list"),
        ('{"input": 1}\nnonsense\n', "line 2"),
        ('[{}, {"qeue": "x"}]', "job 1"),
        ('[{"priority": "high"}]', "job 0"),
    ],
)
def test_a_bad_file_says_where(cli: CommandLine, tmp_path: Path, text: str, said: str) -> None:
    ready(cli)
    (tmp_path / "jobs").write_text(text)
    result = cli("job", "submit", "hello", "--from", str(tmp_path / "jobs"))
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert [one for one in cli.api.requests if one.path == "/v1/jobs"] == []


@pytest.mark.parametrize("arguments", [(), ("--from", "missing"), ("--from", ".")])
def test_jobs_come_from_somewhere(cli: CommandLine, arguments: tuple[str, ...]) -> None:
    assert cli("job", "submit", *arguments).exit_code == 2


def test_a_job_of_a_file_needs_a_module(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("[{}]")
    result = cli("job", "submit", "--from", str(tmp_path / "jobs"))
    assert result.exit_code == 2
    assert "module" in result.stderr


def test_a_full_queue_is_worth_another_try(cli: CommandLine) -> None:
    ready(cli)
    cli.api.answer("POST", "/v1/jobs", problem(429, "queue-full", "10 jobs have not ended"))
    result = cli("job", "submit", "hello")
    assert (result.exit_code, result.stderr) == (3, "error: 10 jobs have not ended\n")
