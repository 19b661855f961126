"""What each check found with each deployment: one file a deployment, so that runs can be apart."""

from __future__ import annotations

import json
import os
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from benchmarks.report import conditions
from mvm_ci.testing.cluster import ROOT

DIRECTORY: Final = ROOT / "build" / "acceptance"
_SOURCES: Final = (
    "src/**/*.py",
    "src/**/*.sql",
    "guest/**/*.py",
    "guest/**/*.[ch]",
    "guest/**/*.wit",
    "tests/acceptance/guest/*.py",
    "tests/acceptance/test_*.py",
)


@cache
def source() -> str:
    """A digest of all that decides what is found: what another one has found is of no interest."""
    made = sha256()
    for path in sorted(found for pattern in _SOURCES for found in ROOT.glob(pattern)):
        made.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return made.hexdigest()


class Findings:
    """The files of ``directory``, as far as they are of this ``source``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def all(self) -> dict[str, dict[str, Any]]:
        """By deployment: its ``machine``, and what was ``found``, by check."""
        read = [json.loads(path.read_text()) for path in sorted(self._directory.glob("*.json"))]
        return {one["deployment"]: one for one in read if one.get("source") == source()}

    def others(self, deployment: str, check: str) -> dict[str, Any]:
        """What other deployments found with this check."""
        return {
            name: one["found"][check]
            for name, one in self.all().items()
            if name != deployment and check in one["found"]
        }

    def keep(self, deployment: str, check: str, found: object) -> None:
        """The check has passed."""
        one = self._one(deployment)
        one["found"][check] = found
        one["machine"] = conditions(quick=False, runs=1)
        self._write(one)

    def forget(self, deployment: str, check: str) -> None:
        """The check begins anew."""
        one = self._one(deployment)
        if one["found"].pop(check, None) is not None:
            self._write(one)

    def _one(self, deployment: str) -> dict[str, Any]:
        return self.all().get(deployment, {"deployment": deployment, "source": source(), "found": {}})

    def _write(self, one: dict[str, Any]) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"{one['deployment'].replace(', ', '-').replace(' ', '-')}.json"
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(one, indent=1))
        partial.replace(path)
