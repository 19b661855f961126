"""Random programs under random kills: nothing is lost, no finished effect is done twice, no result is wrong.

``SEEDS=100 make soak`` runs many; the seeds in ``seeds.txt`` failed once, and are run always.
"""

import json
import os
import time
import urllib.error
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from mvm_ci.client.waiting import ENDED
from mvm_ci.testing.cluster import ROOT, build_module, cluster
from tests.faults.conftest import Rig, Web, counting_web
from tests.programs.chaos import Chaos
from tests.programs.generate import Author, Program

HERE: Final = Path(__file__).parent
PROGRAMS: Final = 40
KILLS: Final = 10
END_S: Final = 240.0
KEPT: Final = [int(line) for line in (HERE / "seeds.txt").read_text().split()]
SEEDS: Final = [*KEPT, *range(1, 1 + int(os.environ.get("SEEDS", "5")))]


@pytest.fixture(scope="session")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_module(
        ROOT / "guest" / "tests" / "interpreter" / "job.py", tmp_path_factory.mktemp("modules")
    )


@pytest.fixture
def rig(tmp_path: Path, interpreter: Path) -> Iterator[Rig]:
    with cluster(tmp_path) as made:
        rig = Rig(made)
        rig.start(lease="3s")
        rig.module = made.ok("module", "push", str(interpreter))
        yield rig


@pytest.mark.timeout(END_S + 60)
@pytest.mark.parametrize("seed", SEEDS)
def test_they_end_as_they_must_whatever_is_killed(rig: Rig, seed: int) -> None:
    programs = list(Author(seed).programs(PROGRAMS))
    with counting_web("127.0.0.1") as web:
        workers = {name: rig.worker(name) for name in ("w1", "w2")}
        chaos = Chaos(rig, workers, seed)
        submit(rig, programs, web.url)
        ended = wait(rig, chaos, len(programs))
        try:
            check(rig, programs, ended, web)
        except AssertionError as error:
            error.add_note(f"seed {seed}; killed: {' '.join(chaos.killed)}")
            raise


def submit(rig: Rig, programs: list[Program], url: str) -> None:
    """All in one request, so that whoever is sent messages is there."""
    jobs = [
        {
            "module": rig.module,
            "input": {"url": url, "steps": program.steps},
            "idempotency_key": program.key,
            "tags": ["program"],
        }
        for program in programs
    ]
    rig.ask("POST", "/v1/jobs", {"jobs": jobs})


def wait(rig: Rig, chaos: Chaos, count: int) -> dict[str, Any]:
    """The jobs by key, once all have ended."""
    deadline = time.monotonic() + END_S
    while True:
        if len(chaos.killed) < KILLS:
            chaos.pause()
            chaos.strike()
        else:
            time.sleep(0.2)
        jobs = top_level(rig)
        if len(jobs) == count and all(job["state"] in ENDED for job in jobs.values()):
            return jobs
        if time.monotonic() > deadline:
            left = Counter(job["state"] for job in jobs.values())
            pytest.fail(
                f"not ended after {END_S} s: {left}; killed: {' '.join(chaos.killed)}{rig.cluster.logs()}"
            )


def top_level(rig: Rig) -> dict[str, Any]:
    try:
        jobs = rig.ask("GET", "/v1/jobs?tags=program&limit=1000")["jobs"]
    except (urllib.error.URLError, ConnectionError):
        return {}
    return {job["idempotency_key"]: job for job in jobs}


def check(rig: Rig, programs: list[Program], ended: dict[str, Any], web: Web) -> None:
    for program in programs:
        job = ended[program.key]
        if program.expected is None:
            assert (job["state"], job["failure"]["kind"]) == ("failed", "error"), (program.steps, job)
        else:
            assert job["state"] == "completed", (program.steps, job)
            result = job.get("result")
            if "result" not in job:
                result = rig.ask("GET", f"/v1/jobs/{job['id']}/result")
            assert program.expected == result, (program.steps, job)
    keys = Counter(path for path, _ in web.repeatable)
    assert keys == Counter({path: 1 for program in programs for path in program.gets})
    assert not {path: count for path, count in web.posts.items() if count > 1}
    done = {path for program in programs for path in posted(program.steps, results(ended, program))}
    assert done <= set(web.posts)
    assert rig.ask("GET", "/v1/status")["jobs"].keys() <= {"completed", "failed", "cancelled"}


def results(ended: dict[str, Any], program: Program) -> Any:
    return ended[program.key].get("result") if program.expected is not None else []


def posted(steps: Any, given: Any) -> Iterator[str]:
    """Paths of POSTs that were answered, so must have arrived once."""
    for step, result in zip(steps, given or [], strict=False):
        if step[0] == "post" and result == "ok":
            yield step[1]
        elif step[0] == "all":
            for child, found in zip(step[1], result, strict=True):
                if isinstance(found, list):
                    yield from posted(child, found)


def test_the_seeds_that_failed_once_are_kept() -> None:
    assert json.loads(json.dumps(KEPT)) == KEPT
