"""Commands that change jobs, by id or by filter; explain; queues."""

from __future__ import annotations

import json

import msgspec
import pytest

from mvm_ci.wire import api
from tests.unit.cli.fake_api import DIGEST, JOB, OTHER_JOB, CommandLine, job_view, module_view, problem

VERBS = ("cancel", "pause", "resume", "retry", "delete")
FILTER = (
    "--state",
    "failed",
    "--queue",
    "q",
    "--tag",
    "a",
    "--meta",
    "b=c",
    "--name",
    "n",
    "--module",
    "hello",
)
SELECTION = api.JobSelection(states=("failed",), queue="q", tags=("a", "b=c"), name="n", module=DIGEST)


def bulk(change: str, count: int = 1, *, complete: bool = True) -> api.BulkResult:
    jobs = (api.ChangeView(id=JOB, change=change),) * min(count, 100)
    return api.BulkResult(counts={change: count} if count else {}, jobs=jobs, complete=complete)


def asked(cli: CommandLine, verb: str) -> list[api.BulkRequest]:
    requests = [one for one in cli.api.requests if one.path == f"/v1/jobs/{verb}"]
    return [msgspec.json.decode(one.body, type=api.BulkRequest) for one in requests]


@pytest.mark.parametrize("verb", VERBS)
def test_one_job_is_changed_by_its_own_route(cli: CommandLine, verb: str) -> None:
    change = api.ChangeView(id=JOB, change="done")
    cli.api.answer("POST", f"/v1/jobs/{JOB}/cancel", api.CancelView(id=JOB, cancelled="done"))
    cli.api.answer("POST", f"/v1/jobs/{JOB}/{verb}", change) if verb != "cancel" else None
    cli.api.answer("DELETE", f"/v1/jobs/{JOB}", change)
    result = cli("job", verb, JOB, "--yes")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{JOB}: ")


def test_why_one_job_cannot_be_changed_is_said(cli: CommandLine) -> None:
    cli.api.answer("POST", f"/v1/jobs/{JOB}/pause", problem(409, "conflict", f"job {JOB} is completed: no"))
    result = cli("job", "pause", JOB)
    assert (result.exit_code, result.stderr) == (6, f"error: job {JOB} is completed: no\n")


@pytest.mark.parametrize("verb", VERBS)
def test_several_jobs_go_in_one_request(cli: CommandLine, verb: str) -> None:
    cli.api.answer("POST", f"/v1/jobs/{verb}", bulk("done", 2))
    assert cli("job", verb, JOB, OTHER_JOB, "--yes").exit_code == 0
    assert asked(cli, verb) == [api.BulkRequest(ids=(JOB, OTHER_JOB))]


@pytest.mark.parametrize(
    ("answer", "code"), [(bulk("refused", 2), 6), (bulk("already", 2), 0), (bulk("done", 1), 5)]
)
def test_several_jobs_that_are_not_all_changed(cli: CommandLine, answer: api.BulkResult, code: int) -> None:
    cli.api.answer("POST", "/v1/jobs/resume", answer)
    assert cli("job", "resume", JOB, OTHER_JOB).exit_code == code


@pytest.mark.parametrize("verb", VERBS)
def test_a_filter_changes_jobs_until_there_are_no_more(cli: CommandLine, verb: str) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    cli.api.answer("POST", f"/v1/jobs/{verb}", bulk("done", 10_000, complete=False), bulk("done", 5))
    result = cli("job", verb, *FILTER, "--yes", "--json")
    assert result.exit_code == 0
    shown = json.loads(result.stdout)
    assert (shown["counts"], shown["complete"], len(shown["jobs"])) == ({"done": 10_005}, True, 100)
    assert asked(cli, verb) == [api.BulkRequest(filter=SELECTION)] * 2


def test_a_filter_stops_where_nothing_changes_any_more(cli: CommandLine) -> None:
    cli.api.answer("POST", "/v1/jobs/delete", bulk("refused", 10_000, complete=False))
    result = cli("job", "delete", "--all", "--yes")
    assert result.exit_code == 6
    assert len(asked(cli, "delete")) == 1


@pytest.mark.parametrize("verb", VERBS)
def test_a_dry_run_changes_nothing_and_asks_nobody(cli: CommandLine, verb: str) -> None:
    cli.api.answer("POST", f"/v1/jobs/{verb}", bulk("selected", 2, complete=False))
    result = cli("job", verb, "--all", "--dry-run")
    assert (result.exit_code, result.stdout) == (0, f"{JOB}: selected\n" * 2)
    assert "2 selected, and there are more" in result.stderr
    assert asked(cli, verb) == [api.BulkRequest(filter=api.JobSelection(), dry_run=True)]


@pytest.mark.parametrize("verb", VERBS)
def test_off_a_terminal_a_filter_needs_yes(cli: CommandLine, verb: str) -> None:
    cli.api.answer("POST", f"/v1/jobs/{verb}", bulk("selected", 3))
    result = cli("job", verb, "--queue", "q")
    assert result.exit_code == 2
    assert f"{verb} 3 job(s)" in result.stderr
    assert all(request.dry_run for request in asked(cli, verb))


@pytest.mark.parametrize("arguments", [(), (JOB, "--all"), (JOB, "--queue", "q"), ("--all", "--tag", "a")])
def test_which_jobs_are_meant_is_never_guessed(cli: CommandLine, arguments: tuple[str, ...]) -> None:
    assert cli("job", "delete", *arguments, "--yes").exit_code == 2
    assert cli.api.requests == []


def test_older_jobs_are_those_before_a_time(cli: CommandLine) -> None:
    cli.api.answer("POST", "/v1/jobs/delete", bulk("selected"))
    assert cli("job", "delete", "--older-than", "7d", "--dry-run").exit_code == 0
    assert cli("job", "delete", "--older-than", "8d", "--dry-run").exit_code == 0
    times = [request.filter.created_before_ms or 0 for request in asked(cli, "delete") if request.filter]
    assert 86_000_000 < times[0] - times[1] <= 86_400_000


def test_list_takes_the_same_filters(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/modules", api.ModuleList(modules=(module_view(),)))
    cli.api.answer("GET", "/v1/jobs", api.JobList(jobs=(job_view(),)))
    assert cli("job", "list", *FILTER).exit_code == 0
    expected = {
        "state": "failed",
        "queue": "q",
        "tags": "a,b=c",
        "name": "n",
        "module": DIGEST,
        "limit": "50",
    }
    assert cli.api.requests[-1].query == {name: [value] for name, value in expected.items()}


def test_list_all_follows_every_page(cli: CommandLine) -> None:
    page = api.JobList(jobs=(job_view(),), cursor=JOB)
    cli.api.answer("GET", "/v1/jobs", page, page, api.JobList(jobs=(job_view(),)))
    assert len(cli("job", "list", "--all").stdout.splitlines()) == 4


def test_list_says_that_there_are_more(cli: CommandLine) -> None:
    cli.api.answer("GET", "/v1/jobs", api.JobList(jobs=(job_view(),), cursor=JOB))
    assert "--all" in cli("job", "list", "--limit", "1").stderr


def test_show_tells_the_options(cli: CommandLine) -> None:
    view = job_view(
        "blocked",
        labels={"gpu": "", "zone": "eu"},
        tags=("nightly",),
        metadata={"team": "web"},
        concurrency=api.ConcurrencySpec(key="db", limit=2, starts=10, per_s=60.0),
        after=(api.AfterSpec(job=OTHER_JOB),),
    )
    cli.api.answer("GET", f"/v1/jobs/{JOB}", view)
    shown = cli("job", "show", JOB).stdout
    for text in ("gpu,zone=eu", "nightly", "team=web", "key db: 2 at once, 10 starts in 60 s", OTHER_JOB):
        assert text in shown


def test_explain_names_each_reason_and_its_remedy(cli: CommandLine) -> None:
    reasons = (api.Reason(code="queue-paused", message="its queue q is paused", remedy="resume it"),)
    found = api.Explanation(id=JOB, state="pending", reasons=reasons, ahead=3)
    cli.api.answer("GET", f"/v1/jobs/{JOB}/explain", found)
    lines = cli("job", "explain", JOB).stdout.splitlines()
    assert lines == [
        f"{JOB} is pending, 3 of its kind before it",
        "  queue-paused: its queue q is paused -> resume it",
    ]
    assert json.loads(cli("job", "explain", JOB, "--json").stdout)["ahead"] == 3


def test_limits(cli: CommandLine) -> None:
    rate = api.LimitView(key="deploy", running=1, waiting=True, limit=2, starts=3, per_s=60.0, next_ms=1)
    held = api.LimitView(key="z", running=1, waiting=False, limit=1)
    cli.api.answer("GET", "/v1/limits", api.LimitList(keys=(rate, held), running=4, max_running=5))
    shown = cli("limits")
    first, second = shown.stdout.splitlines()[1:]
    assert first.split()[:7] == ["deploy", "1", "2", "3", "in", "60", "s"]
    assert second.split() == ["z", "1", "1", "none", "no"]
    assert "4 jobs of this namespace, of at most 5" in shown.stderr
    assert json.loads(cli("limits", "--json").stdout)["keys"][1] == {
        "key": "z",
        "running": 1,
        "waiting": False,
        "limit": 1,
        "starts": None,
        "per_s": None,
        "next_ms": None,
    }


def test_queues(cli: CommandLine) -> None:
    views = (api.QueueView(name="a", paused=True), api.QueueView(name="b", paused=False))
    cli.api.answer("GET", "/v1/queues", api.QueueList(queues=views))
    assert cli("queue", "list").stdout.split() == ["QUEUE", "STATE", "a", "paused", "b", "open"]
    for verb, view in (("pause", views[0]), ("resume", views[1])):
        cli.api.answer("POST", f"/v1/queues/{view.name}/{verb}", view)
        assert cli("queue", verb, view.name).exit_code == 0
