"""The page on packages, executed: every marked block, in order, with no network."""

from __future__ import annotations

import json
import subprocess

import pytest

from mvm_ci.testing.cluster import ROOT, Cluster
from tests.e2e.test_tutorial import MARK

PAGE = ROOT / "docs" / "packages.md"


def test_every_example_is_marked() -> None:
    assert PAGE.read_text().count("\n```") == 2 * len(MARK.findall(PAGE.read_text()))


@pytest.mark.timeout(400)  # two builds
def test_the_page_on_packages_works(control: Cluster) -> None:
    control.worker("one")
    script = []
    for block in MARK.finditer(PAGE.read_text()):
        if block["kind"] == "run":
            script.append(block["code"])
        else:
            path = control.directory / block["argument"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["code"])
    # What builds the wheel is installed already; "0" means that it is used as it is.
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(script)],
        cwd=control.directory,
        env=control.environment | offline,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + control.logs()
    shown = done.stdout
    assert '["Welcome, Ada", "1.2.0"]' in shown
    assert '["Welcome, Ada", "Welcome, Grace"]' in shown
    assert "greeter==1.2.0 \\\n    --hash=sha256:" in shown
    assert "greeter  1.2.0    " in shown
    checked = json.loads(shown[shown.rindex("\n{") :])
    assert (checked["name"], checked["refusals"], checked["packages"][0]["name"]) == (
        "welcome",
        [],
        "greeter",
    )
