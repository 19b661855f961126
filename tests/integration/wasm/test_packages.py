"""Packages in a Python guest: what they find there, and what the build takes for granted of it."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from mvm_ci.adapters.componentize.build import build
from mvm_ci.adapters.componentize.guest_python import MARKERS, STDLIB
from mvm_ci.adapters.componentize.limits import ABSENT, UNSUPPORTED_MODULES
from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.outcome import FailureKind
from mvm_ci.ports.guest import GuestFailed, GuestLimits
from tests.integration.wasm.conftest import CACHE, GUESTS, Load
from tests.integration.wasm.fakes import FakeHost, OnlyGuest
from tests.integration.wasm.wheels import make_almanac, make_wheel, see_only

pytestmark = pytest.mark.timeout(400)  # one of them builds


@pytest.fixture(scope="module")
def packaged(load: Load, tmp_path_factory: pytest.TempPathFactory) -> OnlyGuest:
    """The job ``guest/tests/packaged``, with packages from a directory of wheels."""
    directory = tmp_path_factory.mktemp("packaged")
    make_almanac(directory / "wheels")
    job = Path(shutil.copytree(GUESTS / "tests" / "packaged", directory / "job")) / "job.py"
    (job.parent / "parts" / "unsupported.txt").write_text("\n".join(UNSUPPORTED_MODULES))
    with pytest.MonkeyPatch.context() as patch:
        see_only(directory / "wheels", patch)
        report = build(job, directory / "job.wasm", cache=CACHE / "built")
    assert report.packages == ("acme-clock==0.9", "acme-units==2.0", "almanac==1.4.0")
    assert report.warnings == ()
    return load(report.output)


def call(guest: OnlyGuest, do: str) -> Any:
    payload = json.dumps({"do": do, "argument": None}).encode()
    return json.loads(guest.run(payload, FakeHost(), GuestLimits()))


def test_packages_are_there_with_their_metadata(packaged: OnlyGuest) -> None:
    assert call(packaged, "packages") == {
        "accelerated": False,
        "day": 24,
        "clock": 24,
        "version": ["1.4.0", "2.0"],
        "all": ["acme-clock", "acme-units", "almanac"],
        "plugins": [8],
        "license": "free",
    }


def test_data_files_are_read_where_they_were(packaged: OnlyGuest) -> None:
    text = "waxing, waning\n"
    assert call(packaged, "data") == {
        "resources": text,
        "as_file": text,
        "namespace": "XII",
        "pkgutil": "feff",
        "pathlib": text,
        "lines": [text],
        "bytes": 256,
        "names": ["deep", "moon.txt", "mvm_ci.txt"],
        "walk": [["", ["deep"], ["moon.txt", "mvm_ci.txt"]], ["/deep", [], ["stars.bin"]]],
        "glob": ["moon.txt", "mvm_ci.txt", "stars.bin"],
        "exists": [True, True, False],
        "own": "beside the job\n",
        "source": "def fail():",
    }


def test_nobody_changes_them_and_there_are_no_others(packaged: OnlyGuest) -> None:
    said, text = call(packaged, "writes")
    assert said == [
        "OSError",
        "FileNotFoundError",
        "UnsupportedOperation",
        "IsADirectoryError",
        "NotADirectoryError",
        "FileNotFoundError",
        "FileNotFoundError",
    ]
    assert text == "waxing, waning\n"


def test_a_traceback_shows_the_lines_of_a_package(packaged: OnlyGuest) -> None:
    with pytest.raises(GuestFailed) as caught:
        call(packaged, "fails")
    failure = caught.value.failure
    assert (failure.kind, failure.message) == (FailureKind.ERROR, "ValueError: of a package")
    assert 'almanac/fails.py", line 2' in failure.detail
    assert "raise ValueError('of a package')  # as its source has it" in failure.detail


def test_markers_are_those_of_a_guest(packaged: OnlyGuest) -> None:
    assert call(packaged, "surroundings") == MARKERS


def test_the_standard_library_is_that_of_a_guest(packaged: OnlyGuest) -> None:
    there = {name for name in call(packaged, "library") if not name.startswith("_")}
    assert there == {name for name in STDLIB if not name.startswith("_")}
    assert "imp" not in STDLIB, sys.version


def test_modules_that_cannot_be_imported_are_known(packaged: OnlyGuest) -> None:
    imported = call(packaged, "imported")
    assert {name for name, worked in imported.items() if not worked} == ABSENT


def test_the_packages_of_the_building_machine_are_out_of_reach(packaged: OnlyGuest) -> None:
    seen = call(packaged, "machine")
    assert {name.partition(".")[0] for name in seen} == {
        "acme",
        "acme_clock-0",
        "acme_units-2",
        "almanac",
        "almanac-1",
    }


def test_a_package_that_fails_when_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(tmp_path / "wheels", "one", "1.0", {"one.py": "import os\nos.environ['NOWHERE']\n"})
    see_only(tmp_path / "wheels", monkeypatch)
    job = tmp_path / "job.py"
    job.write_text("# /// script\n# dependencies = ['one']\n# ///\nimport one\ndef run(input): pass\n")
    with pytest.raises(
        BadInput, match=r"^job\.py:4: importing the job failed: KeyError: 'NOWHERE'"
    ) as caught:
        build(job, tmp_path / "job.wasm", cache=tmp_path / "cache")
    assert str(caught.value).endswith(" (in one 1.0, one.py:2)")
