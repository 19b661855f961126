"""The page on a CI job, executed: real tests of a package, by pytest, in a guest."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree as ET

import pytest

from mvm_ci.testing.cluster import ROOT, Cluster
from mvm_ci.testing.loopback import serving
from tests.e2e.conftest import NETWORK
from tests.e2e.test_tutorial import MARK


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


PAGE = ROOT / "docs" / "checking.md"


def test_the_page_shows_the_example() -> None:
    assert PAGE.read_text().count("\n```") == 2 * len(MARK.findall(PAGE.read_text()))
    (shown,) = [one["code"] for one in MARK.finditer(PAGE.read_text()) if one["argument"] == "check.py"]
    assert shown.strip() == (ROOT / "guest" / "examples" / "check" / "job.py").read_text().strip()


@pytest.mark.timeout(400)  # a build with packages
def test_the_page_works(control: Cluster) -> None:
    control.worker("one", *NETWORK)
    (control.directory / "guest").symlink_to(ROOT / "guest")
    script = []
    for block in MARK.finditer(PAGE.read_text()):
        if block["kind"] == "run":
            script.append(block["code"])
        else:
            path = control.directory / block["argument"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["code"])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(script)],
        cwd=control.directory,
        env=control.environment,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + control.logs()
    assert "3 passed" in done.stdout
    assert '{"package": "textkit-1.0", "covered_percent": 83.3}' in done.stdout
    suite = ET.parse(control.directory / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "0", "0")
    coverage = ET.parse(control.directory / "coverage.xml").getroot()
    assert (coverage.get("lines-covered"), coverage.get("lines-valid")) == ("5", "6")

    # A failing test fails the job; its report is there all the same.
    tests = control.directory / "textkit-1.0" / "tests" / "test_textkit.py"
    tests.write_text(tests.read_text().replace('"ab…"', '"abc"'))
    subprocess.run(["tar", "czf", "textkit-1.0.tar.gz", "textkit-1.0"], cwd=control.directory, check=True)
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=control.directory))) as site:
        given = json.dumps({"source": f"http://{site}/textkit-1.0.tar.gz"})
        job = control.ok("job", "submit", "check.wasm", "--allow-host", site, "--input", given)
        assert control.run("job", "wait", job).returncode == 1
    assert "the tests of textkit-1.0 failed" in control.ok("job", "show", job)
    report = control.ok("artifact", "get", job, "junit.xml", "-o", "-")
    suite = ET.fromstring(report).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
