"""The commands in the documents for those who decide and those who set up, and what runs them.

A block of shell code is marked: ``containers`` for the test with a cluster of containers, others for tests
with processes. What a document names in its text, such as ``mvm-ci worker list``, must be a part of a command
that stands in such a block.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[3]
DOCS: Final = ROOT / "docs"
DEPLOYMENT: Final = DOCS / "deployment"
DOCUMENTS: Final = tuple(
    DEPLOYMENT / name
    for name in (
        "README.md",
        "EXECUTIVE_SUMMARY.txt",
        "DEPLOYMENT_SUMMARY.txt",
        "DEPLOYMENT_STRATEGY.md",
        "IMPLEMENTATION_GUIDE.md",
    )
)
GUIDE: Final = DEPLOYMENT / "IMPLEMENTATION_GUIDE.md"
CONTAINERS: Final = "containers"
PROCESSES: Final = "run"
_TESTS: Final = {
    GUIDE: "e2e/test_guide.py::test_load_tests_and_the_decision",
    DEPLOYMENT / "moving.md": "acceptance/test_moving.py::test_the_page_moves_a_cluster_in_which_jobs_run",
    DEPLOYMENT / "option-2.md": "e2e/test_option_pages.py::test_the_page_on_option_2_works",
    DEPLOYMENT / "engine.md": "e2e/test_option_pages.py::test_the_page_on_an_engine_elsewhere_works",
    DOCS / "operations" / "validate.md": "e2e/test_validate.py::test_a_worker_is_killed_and_comes_back",
}
EXECUTED: Final = {page: f"tests/{test}" for page, test in _TESTS.items()}
"""Pages whose marked commands a test runs, all of them; of the guide those without containers."""
WITH_CONTAINERS: Final = "tests/deploy/docker/test_guide.py::test_the_guide_works"
MARK: Final = re.compile(
    r"^<!-- (?P<kind>[a-z]+)(?:: (?P<argument>[^>]+))? -->\n```sh\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_PROGRAMS: Final = (
    r"(?:mvm-ci|scripts/[a-z-]+\.sh|deploy/images/base\.sh|docker|docker-compose|systemctl|ss|make)"
)
_IN_MARKDOWN: Final = re.compile(rf"`({_PROGRAMS}(?: [^`\n]+)?)`")
_IN_TEXT: Final = re.compile(r"(?:scripts/start-cluster\.sh|mvm-ci [a-z-]+)(?: --[a-z-]+(?: [\w.]+)?)*")


class Block(NamedTuple):
    """``argument``: the name of a process, of a block that starts one."""

    kind: str
    argument: str
    code: str


def blocks(page: Path) -> list[Block]:
    """Marked shell code, in order."""
    found = MARK.finditer(page.read_text())
    return [Block(one["kind"], one["argument"] or "", one["code"]) for one in found]


def executed() -> list[list[str]]:
    """The words of every line of shell that a test runs."""
    code = "".join(block.code for page in EXECUTED for block in blocks(page))
    return [line.split() for line in re.split(r"[\n;|]|\$\(", code.replace("\\\n", " ")) if line.strip()]


def named(document: Path) -> list[str]:
    """Commands that its text names, without its blocks."""
    text = MARK.sub("", document.read_text())
    if document.suffix == ".txt":
        return [" ".join(found[0].split()) for found in _IN_TEXT.finditer(re.sub(r"\s+", " ", text))]
    return [found[1] for found in _IN_MARKDOWN.finditer(text)]


def is_part(command: str, lines: list[list[str]]) -> bool:
    """Whether all its words stand in one of the lines, the first ones at its beginning."""
    words = command.split()
    of = 2 if words[0] in {"mvm-ci", "docker"} else 1
    begin = [word for word in words if not word.startswith("-")][:of]
    return any(line[: len(begin)] == begin and set(words) <= set(line) for line in lines)
