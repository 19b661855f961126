"""The module ``mvm_ci`` against a real control plane and real workers, one of which is killed."""

from __future__ import annotations

import http.server
import json
import signal
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from mvm_ci.testing.cluster import ROOT, Cluster, build_module
from mvm_ci.testing.loopback import serving
from tests.e2e.conftest import NETWORK

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(
        build_module(ROOT / "guest" / "tests" / "family" / "job.py", tmp_path_factory.mktemp("modules"))
    )


@dataclass
class Desk:
    """Answers anything, and keeps what is posted."""

    url: str = ""
    asked: list[Any] = field(default_factory=list)
    came: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"here")

        def do_POST(self) -> None:
            made.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.do_GET()
            made.came.set()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as address:
        made.url = f"http://{address}/"
        yield made


def submit(made: Cluster, module: str, do: str, *more: str, **given: object) -> str:
    return made.ok("job", "submit", module, "--input", json.dumps({"do": do, "with": given}), *more)


def result(made: Cluster, job: str) -> Any:
    made.ok("job", "wait", job)
    return json.loads(made.ok("job", "result", job))


def test_one_thing_after_the_other(control: Cluster, family: str) -> None:
    control.worker("one", "--slots", "4")
    job = submit(control, family, "sync", count=10)
    said = result(control, job)
    assert said.pop("refused") == [
        [
            "bad-input",
            "the argument cannot be read: Object contains unknown field `max_atempts` - at `$.jobs[0]`",
        ],
        ["not-found", "jobs[0].module: there is no module 'nothing'; upload it first"],
        ["refused", "jobs[0].allow_hosts: 'example.org'; the job that starts it may call: none"],
        ["not-found", "to: no job has the id or the idempotency key 'nobody'"],
        ["not-found", "this job has no child j0000000000000"],
        ["bad-input", "label: 201 characters; at most 200 are allowed"],
        ["bad-input", "metadata: the value of 'x' has 2000 characters; at most 1000 are allowed"],
    ]
    assert said == {
        "results": [number**2 for number in range(10)],
        "again": True,
        "failed": ["error", "TypeError: square() missing 1 required positional argument: 'number'", True],
        "too slow": None,
        "cancelled": ["child", "the child is cancelled", True],
        "nothing there": None,
        "there": {"self": 1},
    }
    shown = control.json("job", "show", job)
    assert (shown["metadata"], shown["progress"]["text"]) == ({"stage": "late"}, "nearly")


def test_a_child_of_the_same_module_may_call_whom_its_parent_may(
    control: Cluster, family: str, desk: Desk
) -> None:
    control.worker("one", "--slots", "2", *NETWORK)
    job = submit(control, family, "host", "--allow-host", "127.0.0.1:*", url=desk.url)
    assert result(control, job) == "here"


def test_tasks_go_on_where_a_lost_worker_stopped(control: Cluster, family: str, desk: Desk) -> None:
    first = control.worker("first", "--slots", "4", *NETWORK)
    job = submit(control, family, "everything", "--allow-host", "127.0.0.1:*", desk=desk.url)
    assert desk.came.wait(timeout=120)
    control.until(lambda: "Took" in control.ok("journal", "show", job), "the first child has ended")
    first.end(signal.SIGKILL)
    control.ok("job", "message", job, "--type", "go", "--body", '"gone"')
    kept = desk.asked[0]
    headers = {"authorization": f"Bearer {kept['token']}", "content-type": "application/json"}
    request = urllib.request.Request(kept["url"], b'{"value": {"by": "Ada"}}', headers, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
    control.worker("second", "--slots", "4", *NETWORK)
    assert result(control, job) == [[n**2 for n in range(8)], "gone", {"by": "Ada"}]
    assert desk.asked == [kept] * len(desk.asked), "asked again it is the same promise"
    assert control.ok("job", "logs", job).splitlines() == ["tick 0", "tick 1", "tick 2"]
    jobs = control.json("job", "list", "--limit", "100")
    children = [one for one in jobs["jobs"] if one.get("parent") == job]
    assert len(children) == 8, "each was started once"
