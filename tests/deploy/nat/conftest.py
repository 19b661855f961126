"""A control plane and a worker, each behind a NAT of its own, and a relay between them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import iroh
import pytest

from mvm_ci.client.waiting import ENDED
from mvm_ci.testing.cluster import Process, build_module, cluster
from tests.deploy.nat import relay as relays
from tests.deploy.nat.internet import Internet, internet
from tests.deploy.network import demand_tools, inside
from tests.faults.conftest import NETWORK, STEPS, Rig, Web, counting_web

PLANE_PORT: Final = 4500
WORKER_PORT: Final = 4600
LEASE: Final = "20s"
PATH_S: Final = 300


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    demand_tools()


@pytest.fixture(scope="session")
def steps(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module that does what its input says."""
    return build_module(STEPS, tmp_path_factory.mktemp("modules"))


@pytest.fixture(scope="session")
def program(tools: None) -> Path:
    """The relay's program."""
    found = relays.program()
    if not found.exists():
        pytest.fail(f"missing: {found}; 'make deploy' builds it", pytrace=False)
    return found


@pytest.fixture
def net(tools: None) -> Iterator[Internet]:
    with internet() as made:
        yield made


@pytest.fixture
def relay(net: Internet, program: Path, tmp_path: Path) -> Iterator[relays.Relay]:
    with relays.relay(program, net.public, tmp_path) as made:
        yield made


@pytest.fixture
def spare(net: Internet, program: Path, tmp_path: Path) -> Iterator[relays.Relay]:
    with relays.relay(program, net.public, tmp_path, relays.PORT + 1) as made:
        yield made


@pytest.fixture
def web(net: Internet) -> Iterator[Web]:
    with contextlib.ExitStack() as stack:
        # Beside the guests: what happens to the network is to happen to the worker, not to their requests.
        with inside(net.right.host):
            made = stack.enter_context(counting_web("127.0.0.1"))
        yield made


@dataclass
class Far:
    """A control plane on the left and a worker on the right. The test itself runs on the left."""

    net: Internet
    rig: Rig
    module: Path
    web: Web
    worker: Process | None = None
    flags: list[str] = field(default_factory=list)

    def start(self, *, plane: tuple[str, ...] = (), worker: tuple[str, ...] = ()) -> None:
        """Both, the control plane first; returns when the worker is connected."""
        self.flags = ["--p2p-bind", f"0.0.0.0:{PLANE_PORT}", *plane]
        self.rig.plane = self.rig.cluster.control_plane(*self.flags)
        self.rig.module = self.rig.cluster.ok("module", "push", str(self.module))
        token = self.rig.ask("POST", "/v1/join-tokens", {})["token"]
        with inside(self.net.right.host):
            self.worker = self.rig.cluster.start(
                "worker",
                *("--name", "far", "--slots", "1", "--state-dir", str(self.rig.cluster.directory / "far")),
                *("--ticket-file", str(self.rig.cluster.ticket), "--grace", "2s"),
                *("--p2p-bind", f"0.0.0.0:{WORKER_PORT}"),
                *(*NETWORK, *worker),
                environ={"MVM_CI_JOIN_TOKEN": token},
                name="far",
            )
        self.until(lambda: self.sessions >= 1, "the worker is connected")

    def submit(self) -> str:
        """A job that does one thing, waits at the gate, and does another."""
        url = self.web.url
        todo = [("post", f"{url}/before"), ("get", f"{url}/gate"), ("lines", 50), ("post", f"{url}/after")]
        (job,) = self.rig.submit(todo)
        return job

    def relay(self) -> str | None:
        """The relay that the ticket's file names."""
        text = self.rig.cluster.ticket.read_text().strip()
        return iroh.EndpointTicket.from_string(text).endpoint_addr().relay_url()

    def done_once(self, job: str) -> None:
        """Fails unless the job ends well, here or in another place, with nothing done twice."""
        self.until(lambda: self.rig.job(job)["state"] in ENDED, f"{job} ended")
        ended = self.rig.job(job)
        assert ended["state"] == "completed", f"{ended}{self.rig.cluster.logs()}"
        assert self.web.posts == {"/before": 1, "/after": 1}

    def went_on(self, job: str) -> None:
        """Fails unless the job ends well, in the place where it began, with nothing done twice."""
        ended = self.rig.ended(job)
        said = (ended["state"], ended["epoch"], ended.get("losses", 0), ended.get("attempt", 1))
        assert said == ("completed", 1, 0, 1), f"{ended}{self.rig.cluster.logs()}"
        assert self.web.posts == {"/before": 1, "/after": 1}
        assert len(self.rig.cluster.ok("job", "logs", job).splitlines()) == 50

    @property
    def sessions(self) -> int:
        """How often the worker got a session."""
        assert self.worker is not None
        return self.worker.stderr.count("session_open")

    @property
    def seen(self) -> dict[str, Any]:
        """The worker as the control plane shows it."""
        found: list[dict[str, Any]] = self.rig.cluster.json("worker", "list")["workers"]
        return found[0]

    def path(self, kind: str) -> None:
        """Returns when the worker is shown with this path. Not every attempt of iroh finds the direct one,
        and it makes one a minute.
        """
        self.until(lambda: self.seen["path"] == kind, f"the path is {kind}", seconds=PATH_S)

    def until(self, fact: Callable[[], bool], what: str, seconds: float = 90) -> None:
        """Waits for a fact."""
        self.rig.cluster.until(fact, what, seconds=seconds)


@pytest.fixture
def far(net: Internet, web: Web, steps: Path, tmp_path: Path) -> Iterator[Far]:
    with inside(net.left.host), cluster(tmp_path) as made:
        made.lease = LEASE
        yield Far(net, Rig(made), steps, web)
