"""Docker, the base images, and a cluster of containers that the tests of a module share."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from mvm_ci.testing.cluster import build_module
from tests.acceptance.fixtures import built, modules, pytest_runtest_makereport, record, web
from tests.deploy.docker.daemon import daemon
from tests.deploy.docker.deployment import Containers
from tests.deploy.docker.fleet import ROOT, Fleet, doing
from tests.faults.conftest import STEPS

__all__ = ["built", "modules", "pytest_runtest_makereport", "record", "web"]  # found here by their names
PACKAGES: Final = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "docker-compose": "docker-compose",
    "debootstrap": "debootstrap",
    "iptables-save": "iptables",
    "shellcheck": "shellcheck",
}
OPTIONS: Final = ("1", "4")
WORKERS: Final = 5
BASE_S: Final = 300
COMPILE_S: Final = 300
PRIVATE: Final = "172.16.0.0/12,192.168.0.0/16"
"""Where Docker places the networks of containers."""


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    """Says what is missing, at once; it is never skipped."""
    if os.geteuid() != 0:
        pytest.fail("these tests start a Docker daemon: run them as root", pytrace=False)
    missing = sorted({package for program, package in PACKAGES.items() if shutil.which(program) is None})
    if missing:
        pytest.fail(f"missing: apt-get install {' '.join(missing)}", pytrace=False)
    # A run over its budget is ended by this signal: what was started is ended all the same.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def docker_host(tools: None) -> Iterator[str]:
    """A daemon with the base images."""
    with daemon() as host:
        done = subprocess.run(
            [ROOT / "deploy" / "images" / "base.sh"],
            env={**os.environ, "DOCKER_HOST": host},
            capture_output=True,
            text=True,
            timeout=BASE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield host


@pytest.fixture(scope="session")
def steps(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The module that does what its input says."""
    return build_module(STEPS, tmp_path_factory.mktemp("modules")).read_bytes()


Maker = Callable[..., Fleet]


@pytest.fixture(scope="module")
def new_fleet(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maker]:
    """Makes fleets that are not started; whatever becomes of them is removed."""
    made: list[Fleet] = []

    def make(option: str, **settings: str) -> Fleet:
        home = tmp_path_factory.mktemp("home")
        one = Fleet(
            docker_host, f"mvm-ci-test-{os.getpid()}-{len(made)}", option, home, free_port(), settings
        )
        made.append(one)
        return one

    yield make
    for one in made:
        one.script("--option", one.option, "--down", "--volumes")


@pytest.fixture(scope="module", params=OPTIONS)
def fleet(request: pytest.FixtureRequest, new_fleet: Maker, steps: bytes) -> Fleet:
    """A cluster that runs, with a module in it."""
    networks = {
        f"{place}_{name}": value
        for place in ("WORKER", "ENGINE")
        for name, value in (("ALLOW_HOST", "*:*"), ("ALLOW_NETWORK", PRIVATE))
    }
    one = new_fleet(request.param, LEASE="5s", **networks)
    one.said = one.start(WORKERS)
    with one.client() as client:
        one.module = client.push_module(steps).digest
        # Each worker compiles it, all on the same few cores: the tests need not wait for that.
        for job in client.submit([doing(one.module, "127.0.0.1", ("bytes", 1))] * (4 * WORKERS)):
            assert client.wait(job.id, timeout_s=COMPILE_S).state == "completed", one.logs()
    return one


@pytest.fixture(scope="module")
def deployment(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Containers:
    """The same for the acceptance suite."""
    return Containers(fleet, tmp_path_factory.mktemp("commands"))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
