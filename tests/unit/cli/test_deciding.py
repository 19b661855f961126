"""``mvm-ci plan`` and ``mvm-ci decide``: their options, exit codes, files, and a cluster that is watched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mvm_ci.cli.main import root
from tests.unit.capacity.recorded import RUNS
from tests.unit.cli.fake_api import CommandLine, worker_view

METRIC = """# TYPE mvm_ci_job_events counter
mvm_ci_job_events_total{{kind="ended"}} {}
mvm_ci_job_events_total{{kind="submitted"}} 9
"""


def told(*args: str) -> Result:
    return CliRunner().invoke(root, args)


def decide(name: str, *args: str) -> Result:
    return told("decide", "--results", str(RUNS / name), *args)


@pytest.mark.parametrize(
    ("name", "workers", "code", "answer"),
    [
        ("clear-yes.json", 40, 0, "yes, proceed with option 1"),
        ("clear-no.json", 40, 0, "no, stay with the shared engine"),
        ("never-breaks.json", 40, 7, "not enough evidence"),
    ],
)
def test_the_answer_and_its_code(name: str, workers: int, code: int, answer: str, tmp_path: Path) -> None:
    record = tmp_path / "record.md"
    load = ("--workers", str(workers), "--rate", str(workers * 10))
    found = decide(name, *load, "--markdown", str(record))
    assert found.exit_code == code, found.output
    assert found.stdout.startswith(f"Proceed with option 1? {answer}\n")
    assert record.read_text().startswith("# Proceed with option 1?")
    as_json = decide(name, *load, "--json")
    assert as_json.exit_code == code
    assert answer.startswith(json.loads(as_json.stdout)["verdict"])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--results", str(RUNS / "damaged.json")), "is not what mvm-ci loadtest writes"),
        (("--results", str(RUNS / "other-format.json")), "has format 99; this program reads 1"),
        (("--results", "missing.json"), "missing.json: No such file"),
        (("--slo", "p98=1ms"), "objective 'p98=1ms'"),
        (("--workers", "0"), "--workers"),
        (("--workers", "1000001"), "--workers"),
        (("--rate", "inf"), "--rate"),
        (("--rate", "nan"), "'nan' is no number"),
        (("--rate", "1e300"), "--rate"),
    ],
)
def test_bad_input_is_one_line(args: tuple[str, ...], words: str) -> None:
    for command in ("decide", "plan"):
        found = told(command, "--workers", "3", "--rate", "3", *args)
        assert found.exit_code == 2
        assert words in found.stderr
        assert found.stderr.count("\n") == 1
        assert found.stdout == ""


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--workers", "3"), "give --workers and --rate, or neither"),
        (("--rate", "3"), "give --workers and --rate, or neither"),
        (
            ("--workers", "3", "--rate", "3", "--markdown", "missing/record.md"),
            "--markdown missing/record.md",
        ),
    ],
)
def test_what_decide_cannot_do_is_said(args: tuple[str, ...], words: str) -> None:
    found = told("decide", *args)
    assert (found.exit_code, found.stdout) == (2, "")
    assert words in found.stderr


def test_a_decision_that_cannot_be_made_leaves_no_record(cli: CommandLine, tmp_path: Path) -> None:
    cli.api.answer("GET", "/metrics", (200, METRIC.format(5).encode()))
    cli.api.answer("GET", "/v1/workers", {"workers": [worker_view()]})
    record = tmp_path / "record.md"
    args = ("--results", str(RUNS / "clear-no.json"), "--duration", "10ms", "--markdown", str(record))
    assert cli("decide", *args).exit_code == 2
    assert not record.exists()
    record.write_text("of last year")
    assert cli("decide", *args).exit_code == 2
    assert record.read_text() == "of last year"


def watched(cli: CommandLine, before: int, after: int, *workers: Any) -> Result:
    cli.api.answer("GET", "/metrics", *((200, METRIC.format(count).encode()) for count in (before, after)))
    cli.api.answer("GET", "/v1/workers", {"workers": list(workers)})
    return cli("decide", "--results", str(RUNS / "clear-no.json"), "--duration", "10ms", "--json")


def test_a_running_cluster_is_watched(cli: CommandLine) -> None:
    views = [
        worker_view(role="follower"),
        worker_view(role="follower"),
        worker_view(role="engine"),
        worker_view(connected=False),
    ]
    question = json.loads(watched(cli, 5, 6, *views).stdout)["question"]
    assert question["workers"] == 2
    assert 0 < question["jobs_per_s"] <= 100
    assert question["source"] == "seen at the running cluster for 0.01 s"


@pytest.mark.parametrize(
    ("before", "after", "workers", "words"),
    [
        (5, 5, 1, "no job ended at the running cluster"),
        (5, 2, 1, "the control plane was restarted"),
        (5, 6, 0, "no worker is connected"),
    ],
)
def test_what_cannot_be_seen_is_said(
    cli: CommandLine, before: int, after: int, workers: int, words: str
) -> None:
    found = watched(cli, before, after, *[worker_view()] * workers)
    assert (found.exit_code, found.stdout) == (2, "")
    assert words in found.stderr


def test_a_plan_in_both_forms() -> None:
    args = ("plan", "--workers", "50", "--rate", "500", "--untrusted", "machines", "--no-pause")
    assert told(*args).stdout.startswith("option 3 for 50 workers with 500 wait jobs/s and p99=250ms\n")
    found = json.loads(told(*args, "--results", str(RUNS / "clear-no.json"), "--json").stdout)
    assert (found["option"], found["wish"]["may_pause"]) == (3, False)
    assert found["sizes"][0]["origin"] == "documented", "no run is of option 3"
