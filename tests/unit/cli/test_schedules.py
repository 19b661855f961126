"""Commands on schedules."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from mvm_ci.domain.schedule import CatchUp, Overlap
from mvm_ci.wire import api
from tests.unit.cli.fake_api import DIGEST, JOB, CommandLine, module_view, problem
from tests.unit.cli.test_job_options import EVERY_OPTION

HOUR = 3_600_000
FIRST = 1_700_035_200_000


def schedule_view(**fields: Any) -> api.ScheduleView:
    defaults: dict[str, Any] = {
        "name": "nightly",
        "when": "@daily",
        "time_zone": "Europe/Berlin",
        "catch_up": CatchUp.LAST,
        "overlap": Overlap.SKIP,
        "job": api.SubmitJob(module=DIGEST, input=msgspec.Raw(b'{"n":1}')),
        "created_ms": 1,
        "next_ms": FIRST,
    }
    return api.ScheduleView(**defaults | fields)


def test_create_sends_the_whole_definition(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    cli.api.answer("PUT", "/v1/schedules/nightly", schedule_view())
    options = ("--time-zone", "Europe/Berlin", "--jitter", "2m", "--catch-up", "all")
    more = ("--overlap", "queue-one", "--input", '{"at": "$scheduled_time"}', "--time-limit", "90s")
    done = cli("schedule", "create", "nightly", "0 9 * * *", "hello", *options, *more)
    assert done.exit_code == 0, done.output
    assert "next" in done.stdout
    asked = json.loads(cli.api.requests[-1].body)
    assert asked == {
        "when": "0 9 * * *",
        "time_zone": "Europe/Berlin",
        "jitter_s": 120.0,
        "catch_up": "all",
        "overlap": "queue-one",
        "job": {
            "module": DIGEST,
            "input": {"at": "$scheduled_time"},
            "name": "nightly",
            "timeout_s": 90.0,
            "backoff": {"base_s": 1.0, "longest_s": 300.0, "factor": 2.0},
        },
    }


def test_create_takes_what_describes_a_job_but_what_is_of_one_time(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    cli.api.answer("PUT", "/v1/schedules/n", schedule_view(name="n"))
    once = ("--run-at", "--after", "--idempotency-key", "--name", "--artifact")
    options = [
        part
        for name, value in zip(EVERY_OPTION[::2], EVERY_OPTION[1::2], strict=True)
        if name not in once
        for part in (name, value)
    ]
    every = (
        "--input",
        "1",
        "--allow-host",
        "a.test",
        "--time-limit",
        "9s",
        "--memory",
        "9",
        "--job-name",
        "j",
    )
    done = cli("schedule", "create", "n", "@daily", "hello", *options, *every)
    assert done.exit_code == 0, done.output
    job = json.loads(cli.api.requests[-1].body)["job"]
    of_one_time = {"run_at_ms", "after", "idempotency_key", "inputs"}
    assert set(job) == set(api.SubmitJob.__struct_fields__) - of_one_time
    assert (job["name"], job["priority"], job["concurrency"]["key"]) == ("j", 9, "db")
    for name in once:
        assert cli("schedule", "create", "n", "@daily", "hello", name, "x").exit_code == 2


def test_create_pauses_only_if_it_is_told(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    cli.api.answer("PUT", "/v1/schedules/n", schedule_view(name="n", paused=True, next_ms=None))
    done = cli("schedule", "create", "n", "@daily", "hello", "--paused", "--json")
    assert json.loads(done.stdout)["paused"] is True
    assert json.loads(cli.api.requests[-1].body)["paused"] is True
    cli("schedule", "create", "n", "@daily", "hello")
    assert "paused" not in json.loads(cli.api.requests[-1].body)


def test_list_goes_through_all_pages(cli: CommandLine) -> None:
    failed = schedule_view(name="b", last_error="no module", last_error_ms=FIRST, paused=True)
    cli.api.answer(
        "GET",
        "/v1/schedules",
        api.ScheduleList(schedules=(schedule_view(name="a", fires=3),), cursor="a"),
        api.ScheduleList(schedules=(failed,)),
    )
    lines = cli("schedule", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "a", "b"]
    assert "active" in lines[1]
    assert "paused" in lines[2]
    assert "no module" in lines[2]
    assert cli.api.requests[-1].query["cursor"] == ["a"]


@pytest.mark.parametrize(
    ("command", "method", "path"),
    [
        ("show", "GET", "/v1/schedules/nightly"),
        ("pause", "POST", "/v1/schedules/nightly/pause"),
        ("resume", "POST", "/v1/schedules/nightly/resume"),
    ],
)
def test_a_schedule_is_shown(cli: CommandLine, command: str, method: str, path: str) -> None:
    cli.api.answer(method, path, schedule_view(waiting_ms=(1,), last_job=JOB, jitter_s=1.5))
    shown = dict(line.split("  ", 1) for line in cli("schedule", command, "nightly").stdout.splitlines())
    values = {key.strip(): value.strip() for key, value in shown.items()}
    assert values["state"] == "waiting"
    assert values["last job"] == JOB
    assert values["jitter"] == "1.5 s"
    assert values["input"] == '{"n":1}'
    as_json = json.loads(cli("schedule", command, "nightly", "--json").stdout)
    assert as_json["next_ms"] == FIRST
    assert as_json["last_error"] is None


def test_trigger_prints_the_job(cli: CommandLine) -> None:
    cli.api.answer("POST", "/v1/schedules/nightly/trigger", api.Triggered(job=JOB))
    assert cli("schedule", "trigger", "nightly").stdout == f"{JOB}\n"
    assert json.loads(cli("schedule", "trigger", "nightly", "--json").stdout) == {"job": JOB}


def test_next_prints_times_and_fires(cli: CommandLine) -> None:
    times = api.ScheduleTimes(times_ms=(FIRST, FIRST + HOUR), fires_ms=(FIRST + 5_000, FIRST + HOUR))
    cli.api.answer("GET", "/v1/schedules/nightly/next", times)
    assert len(cli("schedule", "next", "nightly", "--count", "2").stdout.splitlines()) == 3
    assert cli.api.requests[-1].query["count"] == ["2"]
    assert json.loads(cli("schedule", "next", "nightly", "--json").stdout)["times_ms"] == [
        FIRST,
        FIRST + HOUR,
    ]


def test_backfill_sends_times_of_a_zone(cli: CommandLine) -> None:
    done = api.Backfilled(times_ms=(FIRST,), jobs=(JOB,))
    cli.api.answer("POST", "/v1/schedules/nightly/backfill", done)
    span = ("--from", "2023-11-15T09:00+01:00", "--to", "2023-11-15T08:00:01Z")
    assert JOB in cli("schedule", "backfill", "nightly", *span).stdout
    asked = json.loads(cli.api.requests[-1].body)
    assert asked == {"from_ms": FIRST, "to_ms": FIRST + 1_000}
    cli.api.answer("POST", "/v1/schedules/nightly/backfill", api.Backfilled(times_ms=(FIRST,)))
    dry = cli("schedule", "backfill", "nightly", *span, "--dry-run")
    assert dry.stdout.splitlines()[1].endswith("-")
    assert json.loads(cli.api.requests[-1].body)["dry_run"] is True


def test_backfill_refuses_what_is_no_time(cli: CommandLine) -> None:
    done = cli("schedule", "backfill", "nightly", "--from", "yesterday", "--to", "2023-11-15")
    assert done.exit_code == 2
    assert "'yesterday' is no time" in done.stderr
    assert cli.api.requests == []


def test_delete_says_so(cli: CommandLine) -> None:
    cli.api.answer("DELETE", "/v1/schedules/nightly", api.Removed(name="nightly"))
    assert cli("schedule", "delete", "nightly", "--yes").stdout == "nightly: deleted\n"
    cli.api.answer("DELETE", "/v1/schedules/missing", problem(404, "not-found", "there is no schedule"))
    assert "there is no schedule" in cli("schedule", "delete", "missing", "--yes").stderr


def test_delete_asks_before_it_does_so(cli: CommandLine) -> None:
    assert cli("schedule", "delete", "nightly").exit_code == 2
    assert cli.api.requests == []
