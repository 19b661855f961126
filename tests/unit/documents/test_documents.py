"""The five documents: made of their sources, readable, with numbers and commands that somebody stands for."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from docs.tools import figures
from mvm_ci.capacity import documented, objective
from mvm_ci.capacity.decide import HEADROOM
from mvm_ci.capacity.plan import MANY, Wish, plan
from mvm_ci.config import settings
from mvm_ci.loadtest.profiles import profile
from tests.unit.documents import commands
from tests.unit.documents.commands import CONTAINERS, DEPLOYMENT, DOCUMENTS, GUIDE, PROCESSES, ROOT
from tests.unit.named_tests import exists

TEXTS = [document for document in DOCUMENTS if document.suffix == ".txt"]
TWO_PAGES = 120
COLUMNS = 80
UNITS = "ms|s|min|µs|MiB|GiB|KiB|MB|GB|%|cores?"
MEASURED = re.compile(rf"(?<![\w.=-])\d[\d,]*(?:\.\d+)? (?:{UNITS})(?!\w)|(?<![\w.])\d+\.\d+(?![\w.])")
"""A number with a unit of what one measures, or one with a fraction."""
of = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def prose(text: str) -> str:
    """Without blocks of code, code, targets of links and references."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`|\]\([^)]*\)|\{\{ .+? \}\}", "", text)


def test_they_are_what_their_sources_and_the_runs_give() -> None:
    assert set(figures.documents()) == set(DOCUMENTS)
    assert figures.differing() == [], "run: make figures"


@of
def test_no_reference_is_left(document: Path) -> None:
    assert figures.REFERENCE.search(document.read_text()) is None


@of
def test_a_number_that_is_typed_was_chosen_and_not_measured(document: Path) -> None:
    source = figures.documents()[document].read_text()
    typed = {found.strip() for found in MEASURED.findall(prose(source))}
    assert typed <= chosen()


def chosen() -> set[str]:
    """Lease, objective, headroom, what jobs of the profiles do, limits of containers, of the start, the
    version of a licence.
    """
    assert "100 ms" in profile("wait").words
    assert "50 ms" in profile("cpu").words
    assert "16 MiB" in profile("memory").words
    of_jobs = {"100 ms", "50 ms", "16 MiB"}
    goals = {f"{objective.DEFAULT.ms:g} ms", f"{HEADROOM * 100:g} %"}
    (start,) = re.findall(r"START_S=(\d+)", (ROOT / "scripts" / "start-cluster.sh").read_text())
    times = {settings.LEASE.default.replace("s", " s"), f"{start} s"}
    return {*of_jobs, *goals, *times, *limits(), "2.0"}


def limits() -> set[str]:
    """Memory of a control plane and of workers in containers, and of a control plane with five and twenty."""
    found = set()
    for file in ("docker-compose.option1.yml", "docker-compose.yml"):
        mib = {}
        for part in ("CONTROL_PLANE", "WORKER"):
            ((number, unit),) = re.findall(rf"{part}_MEMORY:-(\d+)([gm])\b", (ROOT / file).read_text())
            mib[part] = int(number) * {"g": 1024, "m": 1}[unit]
            found.add(f"{number} {unit.upper()}iB")
        for workers in (5, 20):
            total = f"{(mib['CONTROL_PLANE'] + workers * mib['WORKER']) / 1024:g}"
            found |= {total, f"{total} GiB"}
    return found


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_plain_text_is_for_every_screen(text: Path) -> None:
    lines = text.read_text(encoding="ascii").splitlines()
    assert [line for line in lines if len(line) > COLUMNS or line != line.rstrip()] == []


def test_the_executive_summary_has_two_pages() -> None:
    assert len((DEPLOYMENT / "EXECUTIVE_SUMMARY.txt").read_text().splitlines()) <= TWO_PAGES


def test_they_are_in_the_site_and_in_the_list_of_what_to_read() -> None:
    site = (ROOT / "mkdocs.yml").read_text()
    read_me = (DEPLOYMENT / "README.md").read_text()
    for document in DOCUMENTS:
        assert f": deployment/{document.stem}.md\n" in site
        assert document.name == "README.md" or f"]({document.name})" in read_me


def test_every_block_of_commands_is_marked_for_a_test_that_exists() -> None:
    for document in DOCUMENTS:
        kinds = [block.kind for block in commands.blocks(document)]
        assert document.read_text().count("```") == 2 * len(kinds)
        assert document == GUIDE or kinds == []
        assert set(kinds) <= {CONTAINERS, PROCESSES}
    tests = [commands.WITH_CONTAINERS, *commands.EXECUTED.values()]
    assert [test for test in tests if not exists(test)] == []


@of
def test_every_command_in_the_text_is_a_part_of_one_that_a_test_runs(document: Path) -> None:
    lines = commands.executed()
    assert [one for one in commands.named(document) if not commands.is_part(one, lines)] == []


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("mvm-ci job list --all", True),
        ("mvm-ci job", True),
        ("mvm-ci job wait", False),
        ("mvm-ci worker list", False),
        ("mvm-ci --all", True),
        ("docker ps", False),
    ],
)
def test_what_is_a_part_of_a_command(command: str, part: bool) -> None:  # noqa: FBT001 - a table
    assert commands.is_part(command, [["mvm-ci", "job", "list", "--all", "--json"]]) is part


def test_every_symptom_is_what_the_program_says() -> None:
    table = GUIDE.read_text().partition("| You see |")[2].partition("\n\n")[0]
    said = "".join(
        path.read_text() for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").iterdir()]
    )
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    assert len(rows) > 10
    symptoms = [code for row in rows for code in re.findall(r"`([^`]+)`", row[0])]
    assert [symptom for symptom in symptoms if symptom not in said and symptom != "pending"] == []


def drawn(wish: Wish) -> int:
    """What the decision tree of the summary says where nothing was measured."""
    if not wish.untrusted_jobs and wish.may_pause and not wish.kubernetes:
        option = 2 if wish.elsewhere else 4
        few = wish.workers <= documented.MOST_WORKERS[option]
        if few and wish.jobs_per_s <= (1 - HEADROOM) * documented.JOBS_PER_S[option]["wait"]:
            return option
    elif wish.kubernetes and wish.workers > MANY and not wish.untrusted_jobs:
        return 3
    return 3 if wish.untrusted_machines else 1


def test_the_decision_tree_says_what_the_program_says() -> None:
    tree = (DEPLOYMENT / "DEPLOYMENT_SUMMARY.txt").read_text().partition("DECISION TREE")[2]
    numbers = [int(found) for found in re.findall(r"(\d+) workers", tree)]
    assert numbers == [documented.MOST_WORKERS[4], documented.MOST_WORKERS[2], MANY]
    said = [int(found) for found in re.findall(r"OPTION (\d)", tree)]
    assert said == [4, 2, 3, 1, 3]
    facts = ("kubernetes", "untrusted_jobs", "untrusted_machines", "may_pause", "elsewhere")
    # Between the two options' rates the program knows more than the tree, as its last lines say.
    carried = [figures["wait"] * (1 - HEADROOM) for figures in documented.JOBS_PER_S.values()]
    for workers, rate in product((1, 5, 6, 20, 21, 100), (10.0, 0.95 * min(carried), 1.05 * max(carried))):
        for values in product((True, False), repeat=len(facts)):
            given = dict(zip(facts, values, strict=True))
            wish = Wish(
                workers=workers, profile="wait", jobs_per_s=rate, objective=objective.DEFAULT, **given
            )
            assert plan(wish, []).option == drawn(wish), wish
