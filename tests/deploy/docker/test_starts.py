"""Starts that fail: they say why, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from tests.deploy.docker.conftest import OPTIONS, Maker

pytestmark = [pytest.mark.timeout(600), pytest.mark.parametrize("option", OPTIONS)]


def test_a_port_that_is_taken(option: str, new_fleet: Maker) -> None:
    fleet = new_fleet(option)
    with socket.create_server(("127.0.0.1", fleet.port)):
        done = fleet.script("--option", option)
    assert done.returncode == 1
    assert f"port {fleet.port} of 127.0.0.1 is taken" in done.stderr
    assert "API_PORT=" in done.stderr
    assert fleet.left() == []


def test_workers_that_cannot_run(option: str, new_fleet: Maker) -> None:
    fleet = new_fleet(option, WORKER_ALLOW_NETWORK="nonsense", ENGINE_ALLOW_NETWORK="nonsense")
    done = fleet.script("--option", option, "--workers", "1")
    assert done.returncode == 1
    assert "nonsense" in done.stderr  # the container's own words
    assert "Removing what was started" in done.stderr
    assert fleet.left() == []
    assert not fleet.credentials.exists()


def test_ctrl_c(option: str, new_fleet: Maker) -> None:
    fleet = new_fleet(option)
    with fleet.popen("--option", option, "--workers", "2") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Starting"):
                break
        fleet.until(lambda: fleet.containers("control-plane") != [], "a container runs")
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert fleet.left() == []


def test_a_base_image_that_is_not_there(option: str, new_fleet: Maker) -> None:
    fleet = new_fleet(option, PYTHON_IMAGE="mvm-ci-base:nowhere")
    done = fleet.script("--option", option)
    assert done.returncode == 1
    assert "mvm-ci-base:nowhere is not here and cannot be pulled" in done.stderr
    assert "deploy/images/base.sh" in done.stderr
    assert fleet.left() == []


def test_no_daemon(option: str, new_fleet: Maker) -> None:
    fleet = new_fleet(option, DOCKER_HOST="unix:///nowhere.sock")
    for args in (["--option", option], ["--status"], ["--down"]):
        done = fleet.script(*args)
        assert done.returncode == 1
        assert "the Docker daemon cannot be reached" in done.stderr
    del fleet.settings["DOCKER_HOST"]


@pytest.mark.parametrize(
    "args", [["--option", "7"], ["--workers", "0"], ["--workers"], ["--volumes"], ["up"]]
)
def test_arguments_that_mean_nothing(option: str, args: list[str], new_fleet: Maker) -> None:
    done = new_fleet(option).script(*args)
    assert done.returncode == 2
    assert "see --help" in done.stderr


def test_nothing_to_remove(option: str, new_fleet: Maker) -> None:
    done = new_fleet(option).script("--down", "--volumes")
    assert (done.returncode, done.stdout) == (0, "Nothing runs.\n")
