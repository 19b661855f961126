"""The tutorial, executed: every marked block of ``docs/tutorial.md``, in order, in one shell."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

from mvm_ci.testing.cluster import ROOT, Cluster, Process

PAGE = ROOT / "docs" / "tutorial.md"
MARK = re.compile(
    r"^<!-- (?P<kind>[a-z]+)(?:: (?P<argument>[^>]+))? -->\n(?:```\w+\n(?P<code>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    kind: str
    argument: str
    code: str


def blocks() -> list[Block]:
    return [
        Block(found["kind"], found["argument"] or "", found["code"] or "")
        for found in MARK.finditer(PAGE.read_text())
    ]


def test_every_block_is_marked() -> None:
    assert PAGE.read_text().count("\n```sh\n") == sum(
        block.kind in {"run", "background"} for block in blocks()
    )


class Reader:
    """Somebody who follows the page: one shell, and programs left running in other terminals."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.running: dict[str, Process] = {}
        self.environment = cluster.environment | {"MVM_CI_BIND": "127.0.0.1:0", "MVM_CI_LEASE": "3s"}
        del self.environment["MVM_CI_CREDENTIALS"]
        # The reader's workers compile for themselves, below the state directories that the page names.
        self.environment["MVM_CI_MODULE_CACHE"] = ""

    def follow(self, block: Block, script: list[str]) -> None:
        """Does what a block says; shell blocks gather in ``script`` until they must run."""
        if block.kind == "file":
            (self.cluster.directory / block.argument).write_text(block.code)
        elif block.kind == "run":
            script.append(block.code)
        elif block.kind == "background":
            self.shell(script)
            command = block.code.strip()
            _, *args = command.split()
            self.running[command] = self.start(args)
            self.running[command].line(block.argument)
        elif block.kind == "stop":
            self.shell(script)
            stopped = self.running.pop(block.argument)
            assert stopped.end(signal.SIGINT) == 0, stopped.stderr
        else:
            raise ValueError(f"a block that nobody knows: {block.kind}")

    def start(self, args: list[str]) -> Process:
        """Another terminal."""
        extra = {name: value for name, value in self.environment.items() if name.startswith("MVM_CI_")}
        return self.cluster.start(*args, environ=extra | {"MVM_CI_CREDENTIALS": ""})

    def shell(self, script: list[str]) -> None:
        """Runs what gathered; every command must succeed."""
        if not script:
            return
        # A page that fails half-way must not leave its workers behind, nor wait for them.
        clean = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join([clean, *script])],
            cwd=self.cluster.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr + self.cluster.logs()
        script.clear()
        self.output = done.stdout


def test_the_tutorial_works(empty: Cluster) -> None:
    reader = Reader(empty)
    script: list[str] = []
    for block in blocks():
        reader.follow(block, script)
    reader.shell(script)
    assert '{"counted":10}' in reader.output.replace(" ", "")
    assert Path(empty.directory, "count.wasm").exists()
