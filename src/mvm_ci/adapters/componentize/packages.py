"""A job's packages: resolved once, locked, and from then on always the same files."""

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec
from packaging.utils import canonicalize_name

from mvm_ci.adapters.componentize.lock import Pin, read_lock, write_lock
from mvm_ci.adapters.componentize.pip import download
from mvm_ci.adapters.componentize.project import Job
from mvm_ci.adapters.componentize.requirements import disagreements, fits
from mvm_ci.adapters.componentize.wheels import Wheel, read_wheel
from mvm_ci.domain.errors import BadInput, Misconfigured

_WHEELS: Final = "wheels"


class Packages(msgspec.Struct, frozen=True, kw_only=True):
    """What a lock stands for. ``files``: all of them, by their path in ``site-packages``; ``owners``: whose
    they are; ``tops``: the names of their outermost modules and directories.
    """

    wheels: tuple[Wheel, ...] = ()
    files: dict[str, bytes] = {}
    owners: dict[str, Wheel] = {}
    tops: frozenset[str] = frozenset()


def provide(job: Job, cache: Path, *, relock: bool, keep: bool, tell: Callable[[str], None]) -> Packages:
    """The packages that ``job`` asks for, out of its lock; without one, or if ``relock``, pip resolves them.

    A new lock is written if ``keep``. ``tell`` is given lines for the user. Raises ``BadInput`` for what
    cannot be had, or cannot be in a guest, ``Unavailable`` if an index would be needed and is not there;
    ``OSError`` of the cache.
    """
    store = cache / _WHEELS
    if relock or not job.lock.is_file():
        if not job.requirements and not relock:
            return Packages()
        wheels = _resolve(job, store, tell)
        if keep:
            pins = (Pin(canonicalize_name(one.name), one.version, frozenset([one.digest])) for one in wheels)
            write_lock(job.lock, job.source, pins)
            tell(f"wrote {job.lock}")
    else:
        wheels = _locked(job, store, tell)
    return _together(wheels, job.place)


def _resolve(job: Job, store: Path, tell: Callable[[str], None]) -> list[Wheel]:
    if not job.requirements:
        return []
    tell(f"resolving the packages of {job.source}")
    asked = [f"{one.name}{_extras(one.extras)}{one.specifier}" for one in job.requirements]
    wheels = _fetch(asked, store, job.place)
    wrong, needed = disagreements(job.requirements, _by_name(wheels), str(job.source))
    if wrong or needed != _by_name(wheels).keys():
        raise Misconfigured(
            f"{job.place}: pip resolved for another environment than a guest's: {wrong or needed}"
        )
    return wheels


def _extras(extras: Iterable[str]) -> str:
    return f"[{','.join(sorted(extras))}]" if extras else ""


def _locked(job: Job, store: Path, tell: Callable[[str], None]) -> list[Wheel]:
    """The wheels of the lock, from the store or, the first time, by pip."""
    pins = read_lock(job.lock)
    direct = [
        f"{job.place} asks for {one.name}{one.specifier}, "
        + ("which is missing" if pin is None else f"not {pin.version}")
        for one in job.requirements
        if (pin := pins.get(canonicalize_name(one.name))) is None or not fits(one, pin.version)
    ]
    if direct:
        raise _outdated(job, direct)
    wheels = _stored(pins.values(), store)
    if wheels is None:
        tell(f"downloading the packages of {job.lock}")
        _fetch(["--no-deps", "--require-hashes", "--requirement", str(job.lock)], store, str(job.lock))
        wheels = _stored(pins.values(), store)
    if wheels is None:
        raise BadInput(f"{job.lock}: pip downloaded other packages than it names")
    wrong, needed = disagreements(job.requirements, _by_name(wheels), job.place)
    wrong += [f"nothing asks for {name} any more" for name in sorted(pins.keys() - needed)]
    if wrong:
        raise _outdated(job, wrong)
    return wheels


def _outdated(job: Job, reasons: list[str]) -> BadInput:
    return BadInput(
        f"{job.lock} is out of date: {'; '.join(reasons)}; write it anew: mvm-ci build --lock {job.source}"
    )


def _stored(pins: Iterable[Pin], store: Path) -> list[Wheel] | None:
    """What the store has for ``pins``, if that is everything."""
    wheels = []
    for pin in sorted(pins, key=lambda pin: pin.name):
        found = next(
            (wheel for digest in sorted(pin.hashes) if (wheel := _read(store, digest)) is not None), None
        )
        if found is None or (canonicalize_name(found.name), found.version) != (pin.name, pin.version):
            return None
        wheels.append(found)
    return wheels


def _read(store: Path, digest: str) -> Wheel | None:
    file = store / f"{digest}.whl"
    data = file.read_bytes() if file.is_file() else b""
    # A file that somebody cut off or changed is as good as none.
    return read_wheel(data, str(file)) if hashlib.sha256(data).hexdigest() == digest else None


def _fetch(arguments: list[str], store: Path, place: str) -> list[Wheel]:
    """Has pip download wheels, checks them and keeps them in the store."""
    store.mkdir(parents=True, exist_ok=True)
    wheels = []
    with tempfile.TemporaryDirectory(prefix="download-", dir=store) as directory:
        for file in download(arguments, Path(directory), place):
            wheel = read_wheel(file.read_bytes(), f"{place}: {file.name}")
            file.replace(store / f"{wheel.digest}.whl")
            wheels.append(wheel)
    return sorted(wheels, key=lambda wheel: canonicalize_name(wheel.name))


def _by_name(wheels: Iterable[Wheel]) -> dict[str, Wheel]:
    return {canonicalize_name(wheel.name): wheel for wheel in wheels}


def _together(wheels: list[Wheel], place: str) -> Packages:
    """All files side by side, as an installer would put them."""
    files: dict[str, bytes] = {}
    owners: dict[str, Wheel] = {}
    for wheel in wheels:
        for path, content in wheel.files.items():
            if files.setdefault(path, content) != content:
                raise BadInput(f"{place}: {owners[path]} and {wheel} both bring {path}, and not the same")
            owners.setdefault(path, wheel)
    tops = frozenset(PurePosixPath(path).parts[0].removesuffix(".py") for path in files)
    return Packages(wheels=tuple(wheels), files=files, owners=owners, tops=tops)
