"""The units of ``deploy/systemd`` say what the program understands, and all are as narrow as each other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from mvm_ci.cli import exits
from mvm_ci.config import settings
from mvm_ci.config.setting import Setting
from mvm_ci.worker.process import GOODBYE_MS, HAND_OVER_MS, LEAVE_S

UNITS = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
NAMES = ["mvm-ci-control-plane.service", "mvm-ci-worker@.service", "mvm-ci-engine.service"]
OWN = {"StateDirectory", "RuntimeDirectory", "RuntimeDirectoryMode", "OOMPolicy"}


def lines(name: str) -> list[tuple[str, str]]:
    """The settings of a unit, in order."""
    text = (UNITS / name).read_text()
    return [(key, value) for key, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)]


def environment(name: str) -> set[str]:
    return {value.partition("=")[0] for key, value in lines(name) if key == "Environment"}


def test_there_are_no_others() -> None:
    assert {path.name for path in UNITS.iterdir()} == set(NAMES)


@pytest.mark.parametrize(
    ("name", "known"),
    [(NAMES[0], settings.CONTROL_PLANE), (NAMES[1], settings.WORKER), (NAMES[2], settings.ENGINE)],
)
def test_the_program_reads_what_they_set(name: str, known: tuple[Setting[Any], ...]) -> None:
    secret = {f"{setting.env}_FILE" for setting in settings.SECRETS}
    assert environment(name) <= {str(setting.env) for setting in known} | secret


@pytest.mark.parametrize("name", NAMES)
def test_all_are_hardened_alike(name: str) -> None:
    def hardening(unit: str) -> list[tuple[str, str]]:
        found = lines(unit)
        start = found.index(("DynamicUser", "yes"))
        return [(key, value) for key, value in found[start:] if key not in OWN]

    assert hardening(name) == hardening(NAMES[0])


@pytest.mark.parametrize("name", NAMES)
def test_what_no_restart_can_help(name: str) -> None:
    codes = dict(lines(name))["RestartPreventExitStatus"].split()
    assert [int(code) for code in codes] == [exits.USAGE, exits.REFUSED]


def test_a_worker_has_time_to_drain_with_the_default_grace() -> None:
    grace_s = settings.GRACE.parse(settings.GRACE.default)
    needed = grace_s + (2 * HAND_OVER_MS + GOODBYE_MS) / 1000 + LEAVE_S
    assert int(dict(lines(NAMES[1]))["TimeoutStopSec"]) > needed
