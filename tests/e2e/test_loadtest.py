"""``mvm-ci loadtest`` with real processes: ramps, soaks with losses, and runs that end before their time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from mvm_ci.capacity.results import Result, read
from mvm_ci.testing.cluster import ROOT, Cluster, Process
from tests.e2e.test_tutorial import MARK

pytestmark = pytest.mark.timeout(240)
PAGE = ROOT / "docs" / "operations" / "loadtest.md"
SHORT = ("--measure", "2s", "--warm-up", "1s", "--repetitions", "1")


def kept(cluster: Cluster, name: str = "result.json") -> Result:
    return read((cluster.directory / name).read_bytes(), name)


def here(cluster: Cluster) -> dict[str, str]:
    """Whatever is temporary is in the cluster's own directory, where ``left`` looks for it."""
    return {"TMPDIR": str(cluster.directory)}


def started(cluster: Cluster, *args: str) -> Process:
    return cluster.start("loadtest", *args, "--output", "result.json", environ=here(cluster))


def until_measured(cluster: Cluster, process: Process, words: str) -> None:
    cluster.until(lambda: words in process.stderr or process.popen.poll() is not None, words, 90)
    assert words in process.stderr, process.stderr


def left(cluster: Cluster) -> list[str]:
    """Directories that are there for local fleets and stubs, and processes that work in one of them."""
    found = [str(one) for one in cluster.directory.glob("mvm-ci-*")]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            works_in = str((process / "cwd").readlink())
        except OSError:
            continue  # it has ended, or is somebody else's
        if works_in.startswith(f"{cluster.directory}/mvm-ci-"):
            found.append(f"process {process.name} in {works_in}")
    return found


def nothing_is_left(cluster: Cluster) -> None:
    assert cluster.json("job", "list")["jobs"] == []
    assert cluster.json("module", "list")["modules"] == []
    assert {one["state"] for one in cluster.json("worker", "list")["workers"]} == {"active"}


def commands() -> list[list[str]]:
    """Those of the page, with fewer workers and rates, and shorter."""
    text = PAGE.read_text()
    found = [one["code"].strip().split() for one in MARK.finditer(text) if one["kind"] == "run"]
    assert len(found) == text.count("\n```sh\n") == 3
    assert all(command[:2] == ["mvm-ci", "loadtest"] for command in found)
    shorter = {"1,2,5,10,20,50,100": "1,4", "10,20,50,100": "20,40", "30m": "30s", "2m": "12s", "5": "2"}
    return [[shorter.get(word, word) for word in command[1:]] for command in found]


def test_a_ramp_on_this_machine(empty: Cluster) -> None:
    files = ("--markdown", "tables.md", "--output", "result.json")
    done = empty.run(*commands()[0], "--simulated", *SHORT, *files, environ=here(empty))
    assert done.returncode == 0, done.stderr
    assert left(empty) == []
    result = kept(empty)
    assert result.complete
    assert [(step.option, step.workers, step.simulated) for step in result.steps] == [
        (4, 1, True),
        (4, 4, True),
    ]
    for step in result.steps:
        assert step.jobs_per_s > 1
        assert not step.failed
        (repetition,) = step.repetitions
        assert {used.part for used in repetition.usage} == {"control-plane", "workers", "generator"}
        assert step.memory_mb("control-plane") > 30
        assert step.cpu_cores("control-plane") > 0
        assert sum(repetition.latency.buckets.values()) >= repetition.jobs
    ET.fromstring((empty.directory / "report.html").read_text().partition("\n")[2])
    assert "p99=250ms" in (empty.directory / "tables.md").read_text()


def test_a_soak_with_losses_loses_and_doubles_nothing(empty: Cluster) -> None:
    done = empty.run(*commands()[2], "--warm-up", "1s", "--output", "result.json", environ=here(empty))
    assert done.returncode == 0, done.stderr + done.stdout
    assert left(empty) == []
    soak = kept(empty).soak
    assert soak is not None
    assert (soak.lost, soak.doubled, soak.failed, soak.problems) == (0, 0, 0, ())
    assert (soak.effects or 0) > 10
    assert soak.completed == soak.submitted > 200
    assert [loss.worker for loss in soak.losses] == ["worker-1", "worker-2"]
    assert all(loss.back_s is not None and loss.back_s > loss.at_s > 10 for loss in soak.losses)


def test_an_interrupted_run_gives_what_was_found_until_then(empty: Cluster) -> None:
    process = started(
        empty, "--local", "--jobs", "noop", "--workers", "1,2,5", "--measure", "3s", "--repetitions", "1"
    )
    until_measured(empty, process, "1 worker, noop, 1 requests at once: ")
    assert len(left(empty)) >= 3, "a directory, a control plane and a worker"
    assert process.end(signal.SIGINT) == 130, process.stderr
    result = kept(empty)
    assert (result.complete, result.ended_by) == (False, "interrupted")
    assert result.steps[0].workers == 1
    assert result.steps[0].repetitions
    assert "PARTIAL" in "".join(process.lines).upper()
    assert left(empty) == []


def test_a_worker_that_dies_by_itself_ends_the_run(empty: Cluster) -> None:
    process = started(empty, "--local", "--jobs", "noop", "--workers", "2", "--measure", "30s", *SHORT[2:])
    until_measured(empty, process, "2 workers, noop, 2 requests at once (")
    (worker,) = (one for one in Path("/proc").glob("[0-9]*") if is_worker(one, "worker-2", empty))
    os.kill(int(worker.name), signal.SIGKILL)
    assert process.wait(60) == 3, process.stderr
    assert "the worker-2 of this load test has ended" in process.stderr
    assert left(empty) == []


def is_worker(process: Path, name: str, cluster: Cluster) -> bool:
    """Whether it is that process of a local fleet."""
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
        works_in = str((process / "cwd").readlink())
    except OSError:
        return False
    return name.encode() in words and works_in.startswith(f"{cluster.directory}/mvm-ci-")


def test_a_running_cluster_is_left_as_it_was(control: Cluster) -> None:
    control.workers(["one", "two"])
    # Jobs that compute are calibrated before: with jobs that are to be removed, too.
    command = [{"wait": "cpu", "20,40": "4,8"}.get(word, word) for word in commands()[1]]
    done = control.run(*command, "--workers", "1,2", *SHORT, "--output", "result.json")
    assert done.returncode == 0, done.stderr
    result = kept(control)
    assert [(step.profile, step.option, step.workers, step.rate) for step in result.steps] == [
        ("cpu", 1, 1, 4),
        ("cpu", 1, 1, 8),
        ("cpu", 1, 2, 4),
        ("cpu", 1, 2, 8),
    ]
    assert abs(result.cluster.clock_ahead_ms) <= result.cluster.clock_uncertain_ms + 5
    nothing_is_left(control)


def test_a_cluster_that_dies_leaves_what_was_measured(control: Cluster) -> None:
    control.worker("one")
    process = started(control, "--jobs", "noop", *SHORT[:2], "--repetitions", "9")
    until_measured(control, process, "requests at once (")
    control.until(lambda: process.popen.poll() is None, "it runs")
    plane = next(one for one in control.processes if one.name == "control-plane")
    try:
        process.wait(9)
    except subprocess.TimeoutExpired:
        plane.end(signal.SIGKILL)
    assert process.wait(120) == 3, process.stderr
    result = kept(control)
    assert not result.complete
    assert "went away" in result.ended_by or "cannot reach" in result.ended_by
    assert sum(one.jobs for one in result.steps[0].repetitions) > 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--workers", "5,2"), "numbers above 0 that grow"),
        (("--local", "--duration", "1h"), "a soak is one load"),
        (("--local", "--kill-every", "5s"), "give --duration, too"),
        (("--local", "--jobs", "http", "--stub-bind", "localhost:0"), "is not IP:PORT"),
        (("--local", "--html", "same", "--markdown", "same"), "--html goes there"),
        (("--local", "--simulated", "--jobs", "cpu"), "no guest runs"),
        (("--local", "--jobs", "sleepy"), "'sleepy' is no profile"),
        (("--local", "--slo", "p98=1s"), "write QUANTILE=TIME"),
        (("--simulated",), "--simulated needs --local"),
        (("--local", "--jobs", "http", "--stub-bind", "0.0.0.0:0"), "give the one address"),
        (("--local", "--output", "no/such/place"), "--output no/such/place"),
        (("--local", "--jobs-file", "mix.toml"), "mix.toml: job 2: steps: 'q5' is no step"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(
    empty: Cluster, args: tuple[str, ...], said: str
) -> None:
    mix = '[[job]]\nshare = 1\nsteps = "w10"\n[[job]]\nshare = 2\nsteps = "q5"\n'
    (empty.directory / "mix.toml").write_text(mix)
    done = empty.run("loadtest", *args)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert [one.name for one in empty.directory.glob("*.json")] == []


def test_nobody_answers(empty: Cluster) -> None:
    empty.credentials.write_text(json.dumps({"url": "http://127.0.0.1:9", "token": "t" * 43}))
    empty.credentials.chmod(0o600)
    done = empty.run("loadtest", "--jobs", "noop")
    assert done.returncode == 3, done.stderr
    assert "127.0.0.1:9" in done.stderr
    assert list(empty.directory.glob("loadtest-*")) == []


def test_a_mix_of_ones_own(empty: Cluster) -> None:
    mix = empty.directory / "own.toml"
    mix.write_text('[[job]]\nshare = 3\nsteps = "w10"\n[[job]]\nshare = 1\nsteps = "d2"\n')
    done = empty.run(
        "loadtest", "--local", "--jobs-file", str(mix), "--workers", "1", "--rate", "20", *SHORT, "--json"
    )
    assert done.returncode == 0, done.stderr
    (step,) = json.loads(done.stdout)["steps"]
    assert (step["profile"], step["loop"], step["rate"]) == ("own", "open", 20)
    assert len(list(Path(empty.directory).glob("loadtest-*.json"))) == 1
