"""What is in the images, and what is not."""

from __future__ import annotations

import json

import pytest

from tests.deploy.docker.conftest import Maker
from tests.deploy.docker.daemon import docker

IMAGES = ("control-plane", "worker")
MIB = 1 << 20
LARGEST = {"control-plane": 125 * MIB, "worker": 105 * MIB}
"""Beyond the base image."""
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module", autouse=True)
def built(new_fleet: Maker) -> None:
    """By the script: a start that gets no further than the images leaves them."""
    fleet = new_fleet("1")
    fleet.start(1)


def run(host: str, image: str, *command: str) -> str:
    entry, *rest = command
    return docker(
        host, "run", "--rm", "--network", "none", "--entrypoint", entry, f"mvm-ci-{image}:local", *rest
    )


def config(host: str, image: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        docker(host, "image", "inspect", "--format", "{{json .Config}}", f"mvm-ci-{image}:local")
    )
    return found


def test_both_have_the_same_wheel(docker_host: str) -> None:
    print_record = "from importlib.metadata import distribution as d; print(d('mvm-ci').read_text('RECORD'))"
    first, second = (run(docker_host, image, "python", "-c", print_record) for image in IMAGES)
    assert first == second
    assert "mvm_ci/_guest/python/" in first


@pytest.mark.parametrize("image", IMAGES)
def test_it_runs_with_nothing_but_a_read_only_root(docker_host: str, image: str) -> None:
    said = docker(
        docker_host,
        *("run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none", f"mvm-ci-{image}:local"),
        "--version",
    )
    assert "mvm-ci" in said


@pytest.mark.parametrize("image", IMAGES)
def test_it_is_small_and_says_what_it_is(docker_host: str, image: str) -> None:
    sizes = [
        int(docker(docker_host, "image", "inspect", "--format", "{{.Size}}", name))
        for name in (f"mvm-ci-{image}:local", "mvm-ci-base:bookworm")
    ]
    assert sizes[0] - sizes[1] < LARGEST[image], sizes
    found = config(docker_host, image)
    labels = found["Labels"]
    assert isinstance(labels, dict)
    for name in ("title", "description", "licenses", "version", "revision"):
        assert labels[f"org.opencontainers.image.{name}"] not in {"", "unknown"}
    assert found["User"] == "10001:10001"
    assert found["Healthcheck"]


@pytest.mark.parametrize("image", IMAGES)
def test_nothing_of_this_machine_or_of_the_tools_is_in_it(docker_host: str, image: str) -> None:
    history = docker(
        docker_host, "history", "--no-trunc", "--format", "{{.CreatedBy}}", f"mvm-ci-{image}:local"
    )
    assert "PIP_" not in history
    assert "PIP_" not in json.dumps(config(docker_host, image))
    certificates = "/etc/ssl/certs/ca-certificates.crt"
    base = ("run", "--rm", "--network", "none", "mvm-ci-base:bookworm", "sha256sum", certificates)
    assert run(docker_host, image, "sha256sum", certificates) == docker(docker_host, *base)
    for name in ("pip", "hatchling", "pytest", "componentize_py"):
        said = run(docker_host, image, "sh", "-c", f"python -c 'import {name}' 2>&1 || true")
        assert f"No module named '{name}'" in said
    assert run(
        docker_host, image, "sh", "-c", "ls -A /root /tmp /build 2>/dev/null | grep -v ^/ || true"
    ).split() in (
        [],
        [".bashrc", ".profile"],
    )


def test_the_worker_cannot_decrypt_secrets(docker_host: str) -> None:
    assert "No module named" in run(
        docker_host, "worker", "sh", "-c", "python -c 'import cryptography' 2>&1 || true"
    )


@pytest.mark.parametrize("image", IMAGES)
def test_its_bytecode_is_in_it(docker_host: str, image: str) -> None:
    """A read-only root file system cannot keep what Python would make at each start."""
    find = "find /opt/mvm-ci/lib/python*/site-packages/mvm_ci -name '*.py*' -not -path '*/_guest/*'"
    found = run(docker_host, image, "sh", "-c", find).splitlines()
    compiled = [path for path in found if path.endswith(".pyc")]
    sources = [path for path in found if path.endswith(".py")]
    assert len(compiled) == len(sources) > 100
