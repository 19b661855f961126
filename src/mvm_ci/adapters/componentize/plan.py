"""What a build will do, found out before anything of the job runs."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from mvm_ci.adapters.componentize.analysis import Analysis, analyse
from mvm_ci.adapters.componentize.packages import Packages, provide
from mvm_ci.adapters.componentize.project import Job, read_job
from mvm_ci.adapters.componentize.wheels import COMPILED, MAX_BYTES, MAX_FILES
from mvm_ci.domain.errors import BadInput, TooLarge, Unavailable

_LEFT_OUT: Final = (".pyc", *COMPILED)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """``files``: those of the job itself, by their path below its root."""

    job: Job
    packages: Packages
    analysis: Analysis
    files: dict[str, bytes]


class PackageReport(msgspec.Struct, frozen=True, kw_only=True):
    """One package of a job; ``bytes`` unpacked."""

    name: str
    version: str
    files: int
    bytes: int


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a build would do. ``files`` and ``bytes``: of the job and its packages together. ``refusals``: why
    it would not; all lines begin with file and line.
    """

    name: str
    packages: tuple[PackageReport, ...]
    files: int
    bytes: int
    warnings: tuple[str, ...]
    refusals: tuple[str, ...]


def make_plan(source: Path, cache: Path, *, relock: bool, keep: bool, tell: Callable[[str], None]) -> Plan:
    """Reads the job, has its packages resolved or fetched, and looks at what it reaches.

    ``relock``, ``keep`` and ``tell`` as of ``packages.provide``. Raises ``BadInput``, ``TooLarge``,
    ``Misconfigured`` and ``Unavailable``; what the job cannot do stands in ``Plan.analysis.refusals``.
    """
    job = read_job(source)
    try:
        packages = provide(job, cache, relock=relock, keep=keep, tell=tell)
    except OSError as error:
        raise unusable(cache, error) from error
    analysis = analyse(job, packages)
    plan = Plan(job=job, packages=packages, analysis=analysis, files=_own_files(job, analysis))
    _check_size(plan)
    return plan


def check(source: Path, *, cache: Path, relock: bool, tell: Callable[[str], None]) -> CheckReport:
    """What ``build`` would do. Writes the lock only if ``relock``. Raises as ``make_plan``."""
    plan = make_plan(source, cache, relock=relock, keep=relock, tell=tell)
    contents = [*plan.files.values(), *plan.packages.files.values()]
    return CheckReport(
        name=plan.job.manifest.name,
        packages=tuple(
            PackageReport(
                name=wheel.name,
                version=str(wheel.version),
                files=len(wheel.files),
                bytes=sum(map(len, wheel.files.values())),
            )
            for wheel in plan.packages.wheels
        ),
        files=len(contents),
        bytes=sum(map(len, contents)),
        warnings=plan.analysis.warnings,
        refusals=plan.analysis.refusals,
    )


def unusable(cache: Path, error: OSError) -> Unavailable:
    """The build cache does not work."""
    return Unavailable(f"{cache}: the build cache cannot be used: {error}")


def _own_files(job: Job, analysis: Analysis) -> dict[str, bytes]:
    """The job's modules; of a package beside it, or of a project, all files: it may read them."""
    is_script = job.source == job.file
    tops = {name.partition(".")[0] for name in (*analysis.files, *(() if is_script else (job.module,)))}
    paths = [*analysis.files.values(), *(path for top in sorted(tops) for path in _below(job.root / top))]
    files = {path.relative_to(job.root).as_posix(): path for path in paths}
    files[f"{job.module}.py" if is_script else job.file.relative_to(job.root).as_posix()] = job.file
    try:
        size = sum(path.stat().st_size for path in files.values())
        if len(files) > MAX_FILES or size > MAX_BYTES:
            raise _too_large(job, f"its own files in {job.root} are {size:,} bytes in {len(files):,} files")
        return {name: path.read_bytes() for name, path in sorted(files.items())}
    except OSError as error:
        raise BadInput(f"{error.filename}: cannot be read: {error.strerror}") from None


def _below(directory: Path) -> Iterator[Path]:
    for at, inner, names in os.walk(directory):
        inner[:] = sorted(name for name in inner if not name.startswith(".") and name != "__pycache__")
        for name in sorted(names):
            path = Path(at, name)
            if not name.startswith(".") and not name.endswith(_LEFT_OUT) and path.is_file():
                yield path


def _check_size(plan: Plan) -> None:
    contents = [*plan.files.values(), *plan.packages.files.values()]
    size = sum(map(len, contents))
    if size > MAX_BYTES or len(contents) > MAX_FILES:
        largest = max(plan.packages.wheels, key=lambda wheel: sum(map(len, wheel.files.values())))
        what = f"the job and its packages have {size:,} bytes in {len(contents):,} files"
        raise _too_large(plan.job, f"{what}, {largest} most of them")


def _too_large(job: Job, what: str) -> TooLarge:
    return TooLarge(f"{job.place}: {what}; {MAX_BYTES >> 20} MiB and {MAX_FILES:,} files is the most")
