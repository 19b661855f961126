"""The rules of the house: sizes, names, dependencies, and that the project speaks of itself alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "mvm_ci"
LONGEST = 400
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}


def source_files() -> list[Path]:
    files = (path for path in SOURCE.rglob("*") if path.is_file())
    return [path for path in files if "__pycache__" not in path.parts]


def tracked_files() -> list[Path]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git clone")
    listing = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True, text=True
    )
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def declared_dependencies() -> set[str]:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    requirements = list(declared["project"]["dependencies"])
    for group in declared["dependency-groups"].values():
        requirements += [entry for entry in group if isinstance(entry, str)]
    return {re.split(r"[^A-Za-z0-9_.-]", entry, maxsplit=1)[0] for entry in requirements}


def lock_entries() -> list[str]:
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def test_no_source_file_is_too_long() -> None:
    lengths = {path: path.read_bytes().count(b"\n") for path in source_files()}
    too_long = {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > LONGEST}
    assert too_long == {}


def test_every_module_has_a_name_that_says_something() -> None:
    named = [path for path in SOURCE.rglob("*") if path.stem in EMPTY_NAMES]
    assert named == []


def test_every_dependency_has_its_reason_in_the_docs() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    assert {name for name in declared_dependencies() if f"`{name}`" not in page} == set()


def test_the_lock_pins_every_dependency_with_hashes() -> None:
    entries = lock_entries()
    assert [entry for entry in entries if not re.match(r"[a-z0-9._-]+==\S+ ", entry)] == []
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert declared_dependencies() <= {entry.split("==")[0] for entry in entries}


def test_the_lock_names_no_place_to_download_from() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert re.findall(r"://|--(?!hash=)[a-z-]+|^\s*#.*/.*$", text, re.MULTILINE) == []


def test_tracked_files_name_no_private_path_and_no_registry() -> None:
    # An absolute path into a home or a clone, or an address given to an option that chooses a registry.
    homes = "|".join({re.escape(str(ROOT)), re.escape(str(Path.home())), "/" + "root"})
    private = re.compile(rf"(?<![\w.~}}-])(?:{homes})/")
    registry = re.compile(
        r"(?:index[-_]url|find[-_]links|trusted[-_]host)\b.*?(?::/{2}|[ =]/)|:/{2}\S+/simple\b", re.IGNORECASE
    )
    found = []
    for path in tracked_files():
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if private.search(line) or registry.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_no_binary_is_tracked() -> None:
    binary = [path for path in tracked_files() if b"\0" in path.read_bytes()[:8192]]
    # Golden journals and frames are bytes by nature.
    golden = ROOT / "tests" / "golden"
    assert [path for path in binary if golden not in path.parents] == []
