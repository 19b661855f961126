"""The files that are not Python: checked by the linters of their kinds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.docker.fleet import ROOT

COMPOSE = ("docker-compose.yml", "docker-compose.option1.yml")
DOCKERFILES = ("Dockerfile.control-plane", "Dockerfile.worker")


def ran(*command: str | Path) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def shell_scripts() -> list[str]:
    tracked = ran("git", "ls-files", "-z").split("\0")
    files = [name for name in tracked if name and (ROOT / name).is_file()]
    return [name for name in files if re.match(rb"#!.*\b(ba|da)?sh\b", (ROOT / name).read_bytes())]


def test_shell_scripts() -> None:
    found = shell_scripts()
    assert {".ci/run", "scripts/start-cluster.sh", "deploy/images/base.sh"} <= set(found)
    ran("shellcheck", *found)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_dockerfiles(name: str) -> None:
    ran(Path(sys.executable).with_name("hadolint"), "--failure-threshold", "style", name)


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_files(name: str) -> None:
    assert ran("docker-compose", "--file", name, "config", "--quiet") == ""


def test_every_variable_is_in_the_docs() -> None:
    page = (ROOT / "docs" / "deployment" / "option-1-containers.md").read_text()
    told = set(re.findall(r"`([A-Z][A-Z_]+)`", page.partition("## Variables")[2].partition("##")[0]))
    used = {name for file in COMPOSE for name in re.findall(r"\$\{([A-Z_]+)", (ROOT / file).read_text())}
    assert told == used | {"COMPOSE_PROJECT_NAME"}


def test_option_4_differs_from_option_1_by_its_engine_alone() -> None:
    """What locks the containers down is the same in both."""
    first, second = ((ROOT / name).read_text().partition("x-hardened")[2] for name in COMPOSE)
    hardened = [text.partition("services:")[0] for text in (first, second)]
    assert hardened[0] == hardened[1]
    others = {line.strip() for line in first.splitlines()} ^ {line.strip() for line in second.splitlines()}
    words = r"ENGINE|SLOTS|ALLOW_|tmpfs|/tmp|/var/cache|# |CPUS|MEMORY|stop_grace"
    assert [line for line in others if not re.search(words, line)] == []


def test_both_images_are_built_from_the_same_lines() -> None:
    """So that the layers, and the wheel in them, are the same ones."""
    same = [
        re.search(
            r"# ---- the same lines.*# ---- end of the same lines\n", (ROOT / name).read_text(), re.DOTALL
        )
        for name in DOCKERFILES
    ]
    assert same[0] is not None
    assert same[1] is not None
    assert same[0][0] == same[1][0]
