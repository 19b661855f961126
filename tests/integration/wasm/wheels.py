"""Wheels that tests make themselves, so that no index is needed."""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest


def make_wheel(
    directory: Path,
    name: str,
    version: str,
    files: dict[str, str | bytes],
    requires: Sequence[str] = (),
    *,
    tag: str = "py3-none-any",
    info: Mapping[str, str] | None = None,
    headers: str = "",
) -> Path:
    """A wheel in ``directory``; of the same bytes each time. ``info``: more files of its metadata."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{headers}"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in requires)
    wheel = f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n"
    contents: dict[str, str | bytes] = {**files}
    contents |= {f"{stem}.dist-info/{key}": text for key, text in (info or {}).items()}
    contents |= {f"{stem}.dist-info/METADATA": metadata, f"{stem}.dist-info/WHEEL": wheel}
    contents[f"{stem}.dist-info/RECORD"] = "".join(f"{key},,\n" for key in contents)
    path = directory / f"{stem}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for key, content in contents.items():
            archive.writestr(zipfile.ZipInfo(key), content)
    return path


def see_only(directory: Path, patch: pytest.MonkeyPatch) -> None:
    """All that pip finds are the wheels in ``directory``."""
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_FIND_LINKS", str(directory))


def make_almanac(directory: Path) -> None:
    """A package shaped as they are in the wild: an accelerator that is not there, data, plug-ins that are
    known by their entry points, its version from its metadata, and one namespace in two wheels.
    """
    files: dict[str, str | bytes] = {
        "almanac/__init__.py": (
            "from importlib.metadata import version\n"
            "from almanac.core import ACCELERATED, day\n"
            "__version__ = version('almanac')\n"
        ),
        "almanac/core.py": (
            "import sys\n"
            "if sys.platform == 'win32':\n    import winreg\n"
            "try:\n    from almanac._speedups import fast\n    ACCELERATED = True\n"
            "except ImportError:\n    ACCELERATED = False\n"
            "from acme.units import HOURS\n"
            "def day():\n"
            "    from almanac.lazy import reckon\n"
            "    return reckon(HOURS)\n"
        ),
        "almanac/lazy.py": (
            "import colorsys\ndef reckon(hours):\n    return hours * round(colorsys.TWO_THIRD)\n"
        ),
        "almanac/fails.py": "def fail():\n    raise ValueError('of a package')  # as its source has it\n",
        "almanac/plugins/lunar.py": "import shelve\nPHASES = 8\n",
        "almanac/plugins/old.py": "import imp\n",
        "almanac/data/moon.txt": "waxing, waning\n",
        "almanac/data/deep/stars.bin": bytes(range(256)),
        "almanac/data/mvm_ci.txt": "named as the runtime is",
    }
    entry = {
        "entry_points.txt": "[almanac.plugins]\nlunar = almanac.plugins.lunar\n",
        "licenses/LICENSE": "free",
    }
    make_wheel(
        directory,
        "almanac",
        "1.4.0",
        files,
        ["Acme-Units>=2", "acme-clock; sys_platform == 'wasi'"],
        info=entry,
    )
    make_wheel(directory, "acme-units", "2.0", {"acme/units.py": "HOURS = 24\n"})
    clock: dict[str, str | bytes] = {
        "acme/clock/__init__.py": "from acme.units import HOURS\n",
        "acme/clock/face.txt": "XII",
    }
    make_wheel(directory, "acme-clock", "0.9", clock, ["acme-units", "nowhere; python_version < '3.14'"])
