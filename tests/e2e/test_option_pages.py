"""The pages on option 2 and on an engine in a process of its own, executed: every block, in order."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from mvm_ci.testing.cluster import Cluster
from tests.unit.documents.commands import DEPLOYMENT, blocks

ENGINE = "127.0.0.1:27288"
ANY = "127.0.0.1:0"


class Follower:
    """Somebody who follows a page, on a machine where ports may be in use."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.engine = ""
        self.settings = {
            "MVM_CI_BIND": ANY,
            "MVM_CI_P2P_BIND": ANY,
            "MVM_CI_WORKER_P2P_BIND": ANY,
            "MVM_CI_GRACE": "2s",
        }

    def start(self, name: str, command: str) -> None:
        command = command.replace("0.0.0.0:4500", ANY)
        if name == "engine":
            command += f" --bind {ANY}"
        elif self.engine:
            command = command.replace(f"http://{ENGINE}", self.engine)
        program, *args = shlex.split(command)
        assert program == "mvm-ci"
        named = ["--name", name] if name == "worker" else []
        process = self.cluster.start(*args, *named, environ=self.settings, name=name)
        if name == "control-plane":
            process.line("ticket: ")
        elif name == "engine":
            self.engine = process.line("engine: ")
        else:
            self.cluster.connected(name, process)

    def run(self, code: str) -> None:
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code],
            cwd=self.cluster.directory,
            env=self.cluster.environment,
            check=True,
            timeout=60,
        )

    def follow(self, page: str) -> None:
        for block in blocks(DEPLOYMENT / page):
            if block.kind == "start":
                self.start(block.argument, block.code)
            else:
                assert block.kind == "run"
                self.run(block.code)


@pytest.mark.parametrize("page", ["option-2.md", "engine.md"])
def test_every_command_is_marked(page: str) -> None:
    assert (DEPLOYMENT / page).read_text().count("```sh\n") == len(blocks(DEPLOYMENT / page)) > 2


def completes(cluster: Cluster, noop: str) -> None:
    assert cluster.ok("job", "submit", noop, "--input", "null", "--wait")
    roles = {one["role"] for one in cluster.json("worker", "list")["workers"] if one["connected"]}
    assert roles == {"engine", "follower"}


def test_the_page_on_option_2_works(empty: Cluster, noop: str) -> None:
    Follower(empty).follow("option-2.md")
    completes(empty, noop)


def test_the_page_on_an_engine_elsewhere_works(control: Cluster, noop: str) -> None:
    Follower(control).follow("engine.md")
    completes(control, noop)
