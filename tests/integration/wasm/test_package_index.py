"""Resolving, locking and refusing packages: real pip, on a directory of wheels."""

import socket
from pathlib import Path

import pytest

from mvm_ci.adapters.componentize.plan import Plan, make_plan
from mvm_ci.adapters.componentize.wheels import MAX_BYTES, MAX_FILES
from mvm_ci.domain.errors import BadInput, TooLarge, Unavailable
from tests.integration.wasm.wheels import make_almanac, make_wheel, see_only

RUN = "\ndef run(input): pass\n"


class Workshop:
    """A job, a directory of wheels, and a cache."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.wheels = directory / "wheels"
        self.wheels.mkdir()
        self.job = directory / "job.py"
        self.lock = directory / "job.requirements.lock"
        self.said: list[str] = []

    def wheel(self, name: str, version: str = "1.0", requires: tuple[str, ...] = (), **more: str) -> Path:
        files: dict[str, str | bytes] = {f"{name.replace('-', '_')}.py": more.pop("code", "")}
        return make_wheel(self.wheels, name, version, files, requires, **more)  # type: ignore[arg-type]

    def write(self, *dependencies: str, code: str = RUN) -> None:
        self.job.write_text(f"# /// script\n# dependencies = {[*dependencies]!r}\n# ///\n{code}")

    def plan(self, *, relock: bool = False) -> Plan:
        return make_plan(self.job, self.directory / "cache", relock=relock, keep=True, tell=self.said.append)

    def pins(self) -> list[str]:
        return [wheel.pin for wheel in self.plan().packages.wheels]

    def reason(self, kind: type[Exception] = BadInput, *, relock: bool = False) -> str:
        with pytest.raises(kind) as caught:
            self.plan(relock=relock)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def refusals(self) -> tuple[str, ...]:
        return self.plan().analysis.refusals


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    made = Workshop(tmp_path)
    see_only(made.wheels, monkeypatch)
    return made


# ---------------------------------------------------------------- the lock


def test_a_lock_is_written_once_and_holds(shop: Workshop) -> None:
    make_almanac(shop.wheels)
    shop.write("almanac")
    assert shop.pins() == ["acme-clock==0.9", "acme-units==2.0", "almanac==1.4.0"]
    assert shop.said == [f"resolving the packages of {shop.job}", f"wrote {shop.lock}"]
    text = shop.lock.read_text()
    assert text.count("--hash=sha256:") == 3
    assert "://" not in text
    assert str(shop.directory) not in text
    shop.wheel("acme-units", "2.5")
    assert shop.pins() == ["acme-clock==0.9", "acme-units==2.0", "almanac==1.4.0"]
    assert shop.lock.read_text() == text
    assert len(shop.said) == 2
    assert shop.plan(relock=True).packages.wheels[1].pin == "acme-units==2.5"


def test_the_same_lock_gives_the_same_files_elsewhere(shop: Workshop) -> None:
    make_almanac(shop.wheels)
    shop.write("almanac")
    first = shop.plan().packages.files
    (shop.directory / "cache").rename(shop.directory / "other")
    assert shop.plan().packages.files == first
    assert shop.said[-1] == f"downloading the packages of {shop.lock}"


def test_what_was_fetched_once_needs_no_index(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.wheel("one")
    shop.write("one")
    shop.plan()
    see_only(shop.directory / "none", monkeypatch)
    assert shop.pins() == ["one==1.0"]


def test_a_cache_that_somebody_changed_is_not_believed(shop: Workshop) -> None:
    shop.wheel("one", code="GOOD = 1")
    shop.write("one")
    shop.plan()
    (kept,) = (shop.directory / "cache" / "wheels").iterdir()
    kept.write_bytes(kept.read_bytes().replace(b"GOOD", b"EVIL"))
    assert shop.plan().packages.files["one.py"] == b"GOOD = 1"


def test_a_wheel_that_is_another_than_the_lock_says(shop: Workshop) -> None:
    shop.wheel("one")
    shop.write("one")
    shop.plan()
    (shop.directory / "cache").rename(shop.directory / "other")
    shop.wheel("one", code="EVIL = 1")
    assert "DO NOT MATCH THE HASHES" in shop.reason()


def test_a_lock_of_another_tool(shop: Workshop) -> None:
    shop.wheel("one")
    shop.write("one")
    shop.plan()
    digest = shop.lock.read_text().rpartition(":")[2].strip()
    shop.lock.write_text(
        "# by hand\n"
        "one==1.0 ; python_version >= '3.11' \\\n"
        f"    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{digest}\n"
        "    # via job.py\n"
        f"winthing==2 ; sys_platform == 'win32' --hash=sha256:{'1' * 64}\n"
    )
    assert shop.pins() == ["one==1.0"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("one>=1.0 --hash=sha256:" + "0" * 64, "one is not pinned to one version, name==1.0"),
        ("one==1.* --hash=sha256:" + "0" * 64, "one is not pinned to one version"),
        ("one==1.0", "one has no --hash=sha256:..."),
        ("-r other.txt", "a lock has lines such as name==1.0 --hash=sha256:..., not '-r other.txt'"),
        ("one==1 --hash=sha256:{0}\none==2 --hash=sha256:{0}".format("0" * 64), "one is there a second time"),
    ],
)
def test_locks_that_cannot_be_read(shop: Workshop, line: str, reason: str) -> None:
    shop.write("one")
    shop.lock.write_text(f"# a comment\n{line}\n")
    assert f"job.requirements.lock:{2 + line.count(chr(10))}: {reason}" in shop.reason()


def test_a_lock_that_is_out_of_date_says_where(shop: Workshop) -> None:
    for name, version in (("one", "1.0"), ("one", "2.0"), ("two", "1.0")):
        shop.wheel(name, version)
    shop.write("one<2", "two")
    shop.plan()
    shop.write("one>=2", "two", "three")
    reason = shop.reason()
    assert f"{shop.lock} is out of date: {shop.job}:1 asks for one>=2, not 1.0; " in reason
    assert f"{shop.job}:1 asks for three, which is missing; " in reason
    assert f"write it anew: mvm-ci build --lock {shop.job}" in reason
    shop.write("one<2")
    assert "is out of date: nothing asks for two any more; " in shop.reason()
    shop.write()
    assert "nothing asks for one any more; nothing asks for two any more" in shop.reason()
    shop.plan(relock=True)
    assert shop.pins() == []


def test_a_lock_without_what_a_package_asks_for(shop: Workshop) -> None:
    shop.wheel("one", requires=("two[fast,unknown]",))
    extras = ("three; extra == 'fast'", "four; extra == 'slow'", "five; extra == 'unknown'")
    shop.wheel("two", requires=extras, headers="Provides-Extra: Fast\nProvides-Extra: slow\n")
    shop.wheel("three")
    shop.write("one")
    assert shop.pins() == ["one==1.0", "three==1.0", "two==1.0"]
    pins = shop.lock.read_text().split("three==")
    shop.lock.write_text(pins[0] + "two==" + pins[1].split("two==")[1])
    assert "is out of date: two 1.0 asks for three, which is missing; " in shop.reason()


# ---------------------------------------------------------------- what cannot be had


def test_no_such_package(shop: Workshop) -> None:
    shop.wheel("one", requires=("nowhere>=3",))
    shop.write("elsewhere")
    assert shop.reason() == f"{shop.job}:1: there is no package elsewhere that pip could find"
    shop.write("one")
    assert "there is no package nowhere>=3, which one asks for, that pip could find" in shop.reason()
    shop.write("one>1")
    assert "there is no one>1 among the versions for a guest: 1.0" in shop.reason()
    assert not shop.lock.exists()


def test_a_directory_of_wheels_that_is_not_there(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    see_only(shop.directory / "none", monkeypatch)
    shop.write("one")
    assert f"(Location '{shop.directory / 'none'}' is ignored: " in shop.reason()


def test_no_network(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}/"
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX" + "_URL", address)
        monkeypatch.setenv("PIP_RETRIES", "0")
        shop.write("one")
        reason = shop.reason(Unavailable)
    assert f"{shop.job}:1: the package index cannot be reached: connection error: " in reason
    assert "secret" not in reason


def test_requirements_that_contradict_each_other(shop: Workshop) -> None:
    shop.wheel("one", requires=("three>=2",))
    shop.wheel("two", requires=("three<2",))
    shop.wheel("three", "1.0")
    shop.wheel("three", "2.0")
    shop.write("one", "two")
    reason = shop.reason()
    assert (
        "the requirements contradict each other: one 1.0 depends on three>=2; two 1.0 depends on three<2"
        in reason
    )


def test_only_compiled_wheels(shop: Workshop) -> None:
    shop.wheel("fast", tag="cp314-cp314-manylinux_2_17_x86_64")
    shop.wheel("one", requires=("fast",))
    shop.wheel("one", "2.0", requires=("fast>=1",))
    for asked in ("fast", "one", "one==2.0"):
        shop.write(asked)
        reason = shop.reason()
        assert (
            "fast cannot be in a guest: its wheels are compiled for a machine, such as fast-1.0-cp314"
            in reason
        )


def test_only_source(shop: Workshop) -> None:
    (shop.wheels / "tarred-1.0.tar.gz").write_bytes(b"")
    shop.write("tarred")
    assert "tarred comes as source only, such as tarred-1.0.tar.gz: if it is pure Python" in shop.reason()


def test_an_older_wheel_without_compiled_parts_will_do(shop: Workshop) -> None:
    shop.wheel("fast", "1.0")
    shop.wheel("fast", "2.0", tag="cp314-cp314-manylinux_2_17_x86_64")
    (shop.wheels / "fast-3.0.tar.gz").write_bytes(b"")
    shop.write("fast")
    assert shop.pins() == ["fast==1.0"]


def test_a_package_for_another_python(shop: Workshop) -> None:
    shop.wheel("old", headers="Requires-Python: <3.14\n")
    shop.write("old")
    assert "3.14.0 not in '<3.14'" in shop.reason()


def test_requirements_for_others_are_passed_by(shop: Workshop) -> None:
    shop.wheel("one", requires=("win; sys_platform == 'win32'", "back; python_version < '3.14'"))
    shop.wheel("guest-only")
    shop.write("one", "guest-only; platform_machine == 'wasm32'", "linux-only; sys_platform == 'linux'")
    assert shop.pins() == ["guest-only==1.0", "one==1.0"]


# ---------------------------------------------------------------- what cannot be in a guest


def _files(shop: Workshop, files: dict[str, str | bytes], name: str = "one") -> None:
    make_wheel(shop.wheels, name, "1.0", files)
    shop.write("one")


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"one/_fast.cpython-314.so": b"\x7fELF"}, "one/_fast.cpython-314.so is compiled for a machine"),
        ({"one.libs/libz.so.1": b""}, "one.libs/libz.so.1 is compiled for a machine"),
        ({"one-1.0.data/platlib/one/fast.pyd": b""}, "one/fast.pyd is compiled for a machine"),
        ({"json.py": ""}, "its json hides a module that the guest itself needs"),
        ({"wit_world/__init__.py": ""}, "its wit_world hides a module"),
        ({"../outside.py": ""}, "it has a file outside of its directory: '../outside.py'"),
        ({"/outside.py": ""}, "it has a file outside of its directory"),
    ],
)
def test_wheels_that_are_refused(shop: Workshop, files: dict[str, str | bytes], reason: str) -> None:
    _files(shop, files)
    said = shop.reason()
    assert f"{shop.job}:1: one-1.0-py3-none-any.whl: " in said
    assert reason in said


def test_a_file_that_is_no_wheel(shop: Workshop) -> None:
    (shop.wheels / "one-1.0-py3-none-any.whl").write_bytes(b"PK")
    shop.write("one")
    assert "one-1.0-py3-none-any.whl" in shop.reason()


def test_scripts_and_headers_stay_behind(shop: Workshop) -> None:
    data = "one-1.0.data"
    _files(
        shop,
        {
            f"{data}/purelib/one.py": "A = 1",
            f"{data}/scripts/one": "#!",
            f"{data}/headers/one.h": "",
            "x.pth": "one",
        },
    )
    assert sorted(path for path in shop.plan().packages.files if ".dist-info" not in path) == ["one.py"]


def test_packages_with_one_file_that_is_not_the_same(shop: Workshop) -> None:
    _files(shop, {"shared/__init__.py": "", "shared/a.py": "A = 1"})
    make_wheel(shop.wheels, "two", "1.0", {"shared/__init__.py": "", "shared/a.py": "A = 2"})
    shop.write("one", "two")
    assert "one 1.0 and two 1.0 both bring shared/a.py, and not the same" in shop.reason()


@pytest.mark.parametrize(
    "files",
    [{"one/large": b"\0" * (MAX_BYTES + 1)}, {f"one/{number}": b"" for number in range(MAX_FILES + 1)}],
    ids=["bytes", "files"],
)
def test_a_package_over_the_limits(shop: Workshop, files: dict[str, str | bytes]) -> None:
    _files(shop, files)
    assert "it has more than 32 MiB or 5,000 files" in shop.reason(TooLarge)


def test_packages_over_the_limits_together(shop: Workshop) -> None:
    half = b"\0" * (MAX_BYTES // 2 - 300)
    for name in ("one", "two"):
        make_wheel(shop.wheels, name, "1.0", {f"{name}/large": half})
    shop.write("one", "two")
    shop.plan()
    make_wheel(shop.wheels, "three", "1.0", {"three/last": b"\0" * 2_000})
    shop.write("one", "two", "three")
    reason = shop.reason(TooLarge, relock=True)
    assert "the job and its packages have 33,5" in reason
    assert "32 MiB and 5,000 files is the most" in reason


# ---------------------------------------------------------------- what a job reaches of them


def _reaches(shop: Workshop, files: dict[str, str], code: str = "import one" + RUN) -> Plan:
    make_wheel(shop.wheels, "one", "1.0", {f"one/{name}.py": text for name, text in files.items()})
    shop.write("one", code=code)
    return shop.plan()


def test_a_package_that_needs_what_a_guest_has_not(shop: Workshop) -> None:
    plan = _reaches(shop, {"__init__": "from one import deep", "deep": "import os\nimport ssl"})
    (refusal,) = plan.analysis.refusals
    assert refusal == (
        f"{shop.job}:4: one 1.0 cannot work in a guest: one/deep.py:2 imports ssl: a guest has no sockets; "
        "urllib.request opens https URLs through the host"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import imp", "one/__init__.py:1 imports imp: Python 3.14.0 does not have it any more"),
        ("import numpy.linalg", "one/__init__.py:1 imports numpy.linalg: no package brings it"),
        ("from ._fast import it", "one/__init__.py:1 imports one._fast: no package brings it"),
        ("class A:\n import winreg", "one/__init__.py:2 imports winreg: it exists on Windows only"),
        ("try:\n import pwd\nfinally:\n pass", "one/__init__.py:2 imports pwd: a guest is no Unix process"),
    ],
)
def test_what_fails_whenever_it_is_imported_is_refused(shop: Workshop, text: str, reason: str) -> None:
    (refusal,) = _reaches(shop, {"__init__": text}).analysis.refusals
    assert reason in refusal


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio, subprocess, multiprocessing, concurrent.futures",
        "def f():\n import ssl, numpy",
        "import sys\nif sys.platform == 'win32':\n import winreg",
        "try:\n from one._fast import it\nexcept ImportError:\n it = None",
        "from one import name_of_no_module",
        "import threading\ndef f():\n threading.Thread().start()",
        "import os\nCOLOR = os.environ.get('NO_COLOR')",
        "type X = (\n",
        "from one import asynchronous",
    ],
)
def test_what_a_job_need_not_use_is_not_spoken_of(shop: Workshop, text: str) -> None:
    found = _reaches(shop, {"__init__": text, "asynchronous": "import asyncio"}).analysis
    assert (found.refusals, found.warnings) == ((), ())


def test_an_import_that_may_fail_refuses_nothing(shop: Workshop) -> None:
    code = "try:\n import one\nexcept ImportError:\n one = None" + RUN
    assert _reaches(shop, {"__init__": "import ssl"}, code).analysis.refusals == ()


def test_frozen_values_and_sockets_of_packages(shop: Workshop) -> None:
    files = {
        "__init__": "import time\nfrom one import net, other\nAT = time.time()",
        "net": "import socket\ndef f():\n return socket.create_connection(('a', 1))",
        "other": "import socket\ndef f():\n return socket.socket()",
        "unreached": "import uuid\nID = uuid.uuid4()",
    }
    frozen, speaks = _reaches(shop, files).analysis.warnings
    assert frozen.startswith("one/__init__.py:3 (one 1.0): time.time() is called while the guest is built: ")
    assert speaks == (
        f"{shop.job}:4: one 1.0 uses socket.create_connection (one/net.py:3): "
        "a guest has no sockets; use urllib.request"
    )


def test_what_is_imported_when_the_guest_is_built(shop: Workshop) -> None:
    files = {
        "__init__": "",
        "a": "from . import b\ndef f():\n from one.c import x\n import colorsys",
        "b": "import wave\nfrom xml import sax",
        "c": "import numpy\nimport ctypes",
        "plugin": "import sqlite3\nimport unittest.mock\nimport ssl",
    }
    found = _reaches(shop, files, "from one.a import f\nimport mvm_ci" + RUN).analysis
    assert found.modules == ("mvm_ci", "one.a")
    assert {"one", "one.b", "one.c", "colorsys", "wave", "xml.sax", "sqlite3", "unittest.mock"} <= {
        *found.optional
    }
    assert not {"one.plugin", "ctypes", "numpy", "ssl"} & {*found.optional}


def test_time_zones_come_with_a_package(shop: Workshop) -> None:
    code = "import zoneinfo" + RUN
    shop.write(code=code)
    assert "add the package tzdata" in shop.refusals()[0]
    shop.wheel("tzdata")
    shop.write("tzdata", code=code)
    assert shop.refusals() == ()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import two", "job.py:4: there is no module two in a guest: it is neither beside the job nor"),
        ("import one.missing", "job.py:4: there is no module one.missing in the job's packages"),
        ("from one.missing import x", "there is no module one.missing"),
    ],
)
def test_a_module_that_no_package_brings(shop: Workshop, code: str, reason: str) -> None:
    (refusal,) = _reaches(shop, {"__init__": ""}, code + RUN).analysis.refusals
    assert reason in refusal


def test_a_directory_that_is_no_package_hides_none(shop: Workshop) -> None:
    (shop.directory / "one").mkdir()
    (shop.directory / "one" / "deep.py").write_text("")
    found = _reaches(shop, {"__init__": "", "deep": "import wave"}, "import one.deep" + RUN).analysis
    assert (found.refusals, found.files) == ((), {})
    assert "wave" in found.optional


def test_a_module_of_the_job_that_hides_a_package(shop: Workshop) -> None:
    (shop.directory / "one.py").write_text("")
    assert (
        "one hides a module of a package; rename it" in _reaches(shop, {"__init__": ""}).analysis.refusals[0]
    )
    (shop.directory / "one.py").unlink()
    shop.job = shop.job.rename(shop.directory / "one.py")
    shop.lock = shop.lock.rename(shop.directory / "one.requirements.lock")
    assert "one.py: a module of one of its packages has the same name; rename it" in shop.refusals()[0]
