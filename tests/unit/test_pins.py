"""What the images install: the lock's part for the project, by what the lock says of who needs what."""

import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PINS = ROOT / "deploy" / "images" / "pins.py"
LOCK = ROOT / "requirements.lock"


def pins(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, PINS, LOCK, *args], capture_output=True, text=True, timeout=60, check=False
    )


def names(text: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))


def needed(root: str) -> set[str]:
    """What the installed packages say of themselves."""
    found, todo = set(), {root}
    while todo:
        for text in distribution(todo.pop()).requires or ():
            one = Requirement(text)
            name = one.name.lower().replace("_", "-")
            if name not in found and (one.marker is None or one.marker.evaluate({"extra": ""})):
                found.add(name)
                todo.add(name)
    return found


def test_it_is_what_the_packages_themselves_ask_for_and_nothing_of_the_developers() -> None:
    done = pins("mvm-ci")
    assert done.returncode == 0, done.stderr
    assert needed("mvm-ci") <= names(done.stdout)
    assert not names(done.stdout) & {
        "pytest",
        "ruff",
        "mypy",
        "ziglang",
        "mkdocs",
        "hatchling",
        "schemathesis",
    }
    assert names(done.stdout) | {"mvm-ci"} <= names(LOCK.read_text()) | {"mvm-ci"}


def test_each_pin_keeps_its_version_and_hashes() -> None:
    text = pins("mvm-ci").stdout
    lock = LOCK.read_text()
    for block in re.split(r"\n(?=[a-z])", text.strip()):
        assert block in lock
        assert "--hash=sha256:" in block


def test_what_only_a_left_out_package_needs_is_left_out_too() -> None:
    less = names(pins("mvm-ci", "--without", "cryptography").stdout)
    assert names(pins("mvm-ci").stdout) - less == {"cryptography", "cffi", "pycparser"}


def test_a_package_of_the_lock_can_be_asked_for() -> None:
    found = names(pins("hatchling").stdout)
    assert {"hatchling"} | needed("hatchling") <= found
    assert "pytest" not in found


def test_an_unknown_name_is_an_error() -> None:
    for args, said in ((("nothing",), "'nothing'"), (("mvm-ci", "--without", "cryptografy"), "cryptografy")):
        done = pins(*args)
        assert done.returncode == 1
        assert said in done.stderr
