"""pip, run for a guest: it resolves and downloads, from wherever its own configuration says."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from mvm_ci.adapters.componentize.guest_python import MARKERS, VERSION
from mvm_ci.domain.errors import BadInput, MvmCiError, Unavailable

_TIME_LIMIT_S: Final = 300.0
# pip chooses files for the Python that it is told, but reads environment markers as of the one that runs it.
_RUN: Final = f"""
import runpy, sys
import pip._vendor.packaging.markers as markers
markers.default_environment = lambda: {dict(MARKERS)!r}
sys.argv[0] = "pip"
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
_GUEST: Final = (
    "--only-binary=:all:",
    f"--python-version={VERSION}",
    "--implementation=py",
    "--abi=none",
    "--platform=any",
)
_QUIET: Final = ("--no-input", "--no-color", "--progress-bar=off", "--disable-pip-version-check")
_COMPLAINT_CHARS: Final = 1_000
_CONFLICT_LINES: Final = 4
_USER: Final = re.compile(r"(?<=://)[^/@\s]+@")
_STAMP: Final = re.compile(r"(?m)^\d{4}-\d\d-\d\dT[\d:,]+ ")


def download(arguments: Sequence[str], directory: Path, place: str) -> list[Path]:
    """Downloads what ``arguments`` ask of ``pip download`` into the empty ``directory``: pure wheels only.

    Raises ``BadInput``, which begins with ``place``, for what cannot be had, ``Unavailable`` if the index
    does not answer.
    """
    log = directory / ".log"
    command = [sys.executable, "-P", "-c", _RUN, "download", *_QUIET, *_GUEST]
    command += ["--dest", str(directory), "--log", str(log), *arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{place}: pip took more than {_TIME_LIMIT_S:.0f} s; it was stopped") from None
    said = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode != 0:
        logged = _STAMP.sub("", log.read_text(errors="replace")) if log.is_file() else ""
        raise _failure(_USER.sub("", said), _USER.sub("", logged), place)
    return sorted(directory.glob("*.whl"))


def _failure(said: str, logged: str, place: str) -> MvmCiError:
    """What pip says, in words of a job; ``logged`` has its details."""
    # That the index does not know a package is no failure of the index.
    unreachable = re.search(r"Could not fetch URL \S+ (?!404 )(.+?) - skipping", logged)
    if unreachable is not None:
        return Unavailable(f"{place}: the package index cannot be reached: {unreachable[1]}")
    errors = re.findall(r"(?m)^ERROR: (.+(?:\n[ \t]+.+)*)", said)
    text = " ".join(" ".join(errors or [said]).split())
    reason = _missing(said, logged) or _conflict(said, logged) or f"pip: {text[:_COMPLAINT_CHARS]}"
    ignored = re.findall(r"(?m)^WARNING: (.* is ignored: .*|.* is being ignored\b[^.]*)", said)
    return BadInput(f"{place}: {reason}" + (f" ({'; '.join(ignored)})" if ignored else ""))


def _missing(said: str, logged: str) -> str | None:
    """There is no version of a package."""
    found = re.search(
        r"Could not find a version that satisfies the requirement (?P<wanted>[\w.-]+\S*)"
        r"(?: \(from (?!versions)(?P<by>[^)]+)\))?(?: \(from versions: (?P<versions>[^)]*)\))?",
        said,
    )
    if found is None:
        return None
    asked = f"{found['wanted']}, which {found['by']} asks for," if found["by"] else found["wanted"]
    if found["versions"] not in (None, "none"):
        return f"there is no {asked} among the versions for a guest: {found['versions']}"
    passed_by = _nothing_for_a_guest(found["wanted"], logged)
    return passed_by or f"there is no package {asked} that pip could find"


def _conflict(said: str, logged: str) -> str | None:
    """No choice of versions satisfies everybody."""
    found = re.search(r"The conflict is caused by:\n((?:[ \t]+\S.*\n?)+)", said)
    if found is None:
        return None
    # A package that has nothing for a guest makes all versions of those that need it impossible.
    without = re.search(r"no matching distributions available [^:]*:\n((?:[ \t]+\S.*\n?)+)", said)
    for name in without[1].split() if without is not None else ():
        passed_by = _nothing_for_a_guest(name, logged)
        if passed_by is not None:
            return passed_by
    lines = [line.strip() for line in found[1].splitlines()]
    shown = "; ".join(lines[:_CONFLICT_LINES]) + ("; ..." if len(lines) > _CONFLICT_LINES else "")
    return f"the requirements contradict each other: {shown}"


def _nothing_for_a_guest(wanted: str, logged: str) -> str | None:
    """Why nothing of a package is for a guest, if there are files of it and all were passed by."""
    name = canonicalize_name(re.split(r"[^\w.-]", wanted, maxsplit=1)[0])
    passed_by, found = (
        [
            file
            for file in re.findall(rf"{line}.*?([^/\s]+\.(?:whl|tar\.\w+|zip))\b", logged)
            if canonicalize_name(re.split(r"-\d", file, maxsplit=1)[0]) == name
        ]
        for line in ("Skipping link: ", "Found link ")
    )
    if found or not passed_by:
        return None
    wheels = [file for file in passed_by if file.endswith(".whl")]
    if wheels:
        return f"{name} cannot be in a guest: its wheels are compiled for a machine, such as {wheels[-1]}"
    return (
        f"{name} comes as source only, such as {passed_by[-1]}: if it is pure Python, make a wheel of it "
        "with 'pip wheel' and name its directory in PIP_FIND_LINKS"
    )
