"""``make mutants``: makes each mistake of the catalogue in a copy of the tree; its tests must then fail.

The copy without a mistake must pass them all first. Exit code 1 if a mutant survives, or does not apply.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from tests.mutants.catalogue import CODE, MUTANTS, ROOT, Mutant

COPIED: Final = ("src", "tests", "guest")
LIMIT_S: Final = 240
TESTS_FAILED: Final = 1
"""pytest's exit code; others say that nothing was tested."""


def copied(place: Path) -> Path:
    """The tree's code and tests."""
    for name in COPIED:
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", place)
    return place


def run(place: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs tests on the copy: its ``src`` comes before the installed one."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"),
            *("-o", "timeout=60", "--tb=line", *tests),
        ],
        cwd=place,
        env={
            **os.environ,
            "PYTHONPATH": str(place / "src"),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(place / "h"),
        },
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def imported(place: Path) -> bool:
    """Whether tests on the copy import the copy's code, and not the installed one."""
    done = subprocess.run(
        [sys.executable, "-c", "import mvm_ci; print(mvm_ci.__file__)"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(place / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip()).is_relative_to(place.resolve())


def caught(mutant: Mutant) -> tuple[bool, str]:
    """Whether a test fails on the mutant, and which, or what happened instead."""
    with tempfile.TemporaryDirectory(prefix="mvm-ci-mutant-") as directory:
        place = copied(Path(directory))
        try:
            (place / CODE / mutant.file).write_text(mutant.applied(place))
        except ValueError:
            return False, "its text is no longer in the code, once: adapt the catalogue"
        try:
            done = run(place, mutant.tests)
        except subprocess.TimeoutExpired:
            return False, f"its tests did not end within {LIMIT_S} s"
    failed = [line.split(" - ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if done.returncode != TESTS_FAILED or not failed:
        return False, "SURVIVED" if done.returncode == 0 else f"pytest ended with {done.returncode}"
    return True, failed[0].removeprefix("FAILED ").rpartition("::")[2]


def main() -> int:
    """Prints a row for each mutant."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mvm-ci-mutant-") as directory:
        place = copied(Path(directory))
        if not imported(place):
            print("the copy's code is not what its tests import", file=sys.stderr)
            return 1
        done = run(place, sorted({test for mutant in MUTANTS for test in mutant.tests}))
    if done.returncode:
        print(f"{done.stdout}{done.stderr}\nthe tests fail without any mutant", file=sys.stderr)
        return 1
    print(f"without a mutant: {done.stdout.splitlines()[-1]}\n", flush=True)
    survived = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, (well, what) in zip(MUTANTS, pool.map(caught, MUTANTS), strict=True):
            survived += not well
            print(f"{'caught  ' if well else 'SURVIVED'}  {mutant.name:<58} {what}", flush=True)
    took = time.monotonic() - start
    print(f"\n{len(MUTANTS) - survived} of {len(MUTANTS)} mutants caught, in {took:.0f} s")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
