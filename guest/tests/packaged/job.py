# /// script
# requires-python = ">=3.14"
# dependencies = ["almanac>=1.4"]
# [tool.mvm-ci]
# name = "packaged"
# ///
"""A job with packages: the input says which function to call. The wheels are made by ``tests/integration/wasm``."""

import importlib
import importlib.metadata
import importlib.resources
import inspect
import os
import pathlib
import pkgutil
import platform
import sys

import acme.clock
import almanac
import almanac.fails
from parts import inner

SEEN = os.listdir("/1")
IMPORTED = {}
for name in pathlib.Path(__file__).parent.joinpath("parts", "unsupported.txt").read_text().split():
    try:
        importlib.import_module(name)
        IMPORTED[name] = True
    except ImportError:
        IMPORTED[name] = False


def imported(argument):
    return IMPORTED


def packages(argument):
    return {
        "accelerated": almanac.ACCELERATED,
        "day": almanac.day(),
        "clock": acme.clock.HOURS,
        "version": [almanac.__version__, importlib.metadata.version("acme-units")],
        "all": sorted(one.metadata["Name"] for one in importlib.metadata.distributions()),
        "plugins": [one.load().PHASES for one in importlib.metadata.entry_points(group="almanac.plugins")],
        "license": importlib.metadata.distribution("almanac").read_text("licenses/LICENSE"),
    }


def data(argument):
    root = importlib.resources.files("almanac")
    here = pathlib.Path(almanac.__file__).parent / "data"
    with importlib.resources.as_file(root / "data" / "moon.txt") as path:
        as_file = path.read_text()
    return {
        "resources": root.joinpath("data", "moon.txt").read_text(),
        "as_file": as_file,
        "namespace": importlib.resources.files("acme.clock").joinpath("face.txt").read_text(),
        "pkgutil": pkgutil.get_data("almanac", "data/deep/stars.bin").hex()[-4:],
        "pathlib": (here / "moon.txt").read_text(),
        "lines": list(open(os.path.join(here, "moon.txt"))),
        "bytes": (here / "deep" / "stars.bin").stat().st_size,
        "names": sorted(os.listdir(here)),
        "walk": [[at.removeprefix(str(here)), inner, names] for at, inner, names in os.walk(here)],
        "glob": sorted(path.name for path in here.rglob("*.*")),
        "exists": [(here / "moon.txt").is_file(), (here / "deep").is_dir(), (here / "none").exists()],
        "own": inner.text(),
        "source": inspect.getsource(almanac.fails.fail).splitlines()[0],
    }


def writes(argument):
    here = pathlib.Path(almanac.__file__).parent / "data"
    said = []
    for attempt in (
        lambda: (here / "moon.txt").write_text("new"),
        lambda: open(here / "new.txt", "x"),
        lambda: (here / "moon.txt").open("rb").write(b""),
        lambda: open(here),
        lambda: os.listdir(here / "moon.txt"),
        lambda: os.remove(here / "moon.txt"),
        lambda: open("/etc/passwd"),
    ):
        try:
            attempt()
            said.append("done")
        except OSError as error:
            said.append(type(error).__name__)
    return [said, (here / "moon.txt").read_text()]


def fails(argument):
    almanac.fails.fail()


def surroundings(argument):
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": platform.python_version(),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def library(argument):
    return sorted(sys.stdlib_module_names)


def machine(argument):
    """What the guest saw of the machine that built it."""
    return sorted(entry for entry in SEEN if entry != "__pycache__")


def run(input):
    return globals()[input["do"]](input["argument"])
