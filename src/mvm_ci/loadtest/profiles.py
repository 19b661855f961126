"""Load profiles: which jobs a load is made of, and in which shares. Five are of one kind, one mixes them, and
others are files of the user's.
"""

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from mvm_ci.domain.errors import BadInput
from mvm_ci.loadtest import steps

MAX_FILE: Final = 64 << 10
MAX_KINDS: Final = 100
_FORM: Final = 'it has one [[job]] or more, each with share = NUMBER and steps = "TEXT"'


class Kind(msgspec.Struct, frozen=True):
    """``share``: weight of these jobs against the others."""

    share: float
    steps: tuple[steps.Step, ...]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """``kinds``: at least one."""

    name: str
    kinds: tuple[Kind, ...]

    @property
    def asks(self) -> bool:
        """Whether its jobs need a stub."""
        return any(steps.asks(kind.steps) for kind in self.kinds)

    @property
    def computes(self) -> bool:
        """Whether its jobs need a calibration."""
        return any(steps.total(kind.steps, "c") for kind in self.kinds)

    @property
    def waits_ms(self) -> float | None:
        """How long each of its jobs takes, if they do nothing but wait for the same time; else None."""
        times = {float(steps.total(kind.steps, "w")) for kind in self.kinds}
        others = {step.letter for kind in self.kinds for step in kind.steps} - {"w"}
        return times.pop() if len(times) == 1 and not others else None

    @property
    def words(self) -> str:
        """What its jobs do."""
        if len(self.kinds) == 1:
            return steps.told(self.kinds[0].steps)
        everything = sum(kind.share for kind in self.kinds) / 100
        return "; ".join(f"{kind.share / everything:.3g} %: {steps.told(kind.steps)}" for kind in self.kinds)


_BUILT_IN: Final[Mapping[str, tuple[tuple[float, str], ...]]] = {
    "noop": ((1, ""),),
    "wait": ((1, "w100"),),
    "http": ((1, "g1"),),
    "cpu": ((1, "c50"),),
    "memory": ((1, "m16"),),
    "flow": ((1, "p5"),),
    "mixed": ((30, ""), (30, "w100"), (15, "g1"), (10, "p5"), (10, "c10"), (5, "m16")),
}
NAMES: Final = tuple(_BUILT_IN)


def profile(name: str) -> Profile:
    """One of ``NAMES``. Raises ``BadInput``."""
    if name not in _BUILT_IN:
        raise BadInput(f"{name!r} is no profile; there are {', '.join(NAMES)}, and files of your own")
    return Profile(name=name, kinds=tuple(Kind(share, steps.parse(text)) for share, text in _BUILT_IN[name]))


def read_profile(path: Path) -> Profile:
    """The profile in a TOML file, called by the file's name, which may not be one of ``NAMES``. Raises
    ``BadInput``, which says where in the file something is wrong, and what to write there.
    """
    if path.stem in NAMES:
        raise BadInput(f"{path}: jobs of the kind {path.stem} are built in; give the file another name")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise BadInput(f"{path}: too long; a profile has at most {MAX_FILE} bytes")
    try:
        values = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{path}: is not TOML: {error}; {_FORM}") from None
    unknown = [key for key in values if key != "job"]
    if unknown:
        raise BadInput(f"{path}: {unknown[0]!r} means nothing here; {_FORM}")
    jobs = values.get("job")
    if not isinstance(jobs, list) or not jobs:
        raise BadInput(f"{path}: no jobs; {_FORM}")
    if len(jobs) > MAX_KINDS:
        raise BadInput(f"{path}: {len(jobs)} jobs; at most {MAX_KINDS}")
    kinds = tuple(_kind(f"{path}: job {number}", job) for number, job in enumerate(jobs, 1))
    return Profile(name=path.stem, kinds=kinds)


def _kind(where: str, job: Any) -> Kind:  # noqa: ANN401 - TOML
    if not isinstance(job, dict):
        raise BadInput(f"{where}: is no table; {_FORM}")
    unknown = [key for key in job if key not in {"share", "steps"}]
    if unknown:
        raise BadInput(f"{where}: {unknown[0]!r} means nothing here; it has share and steps")
    share, text = job.get("share"), job.get("steps")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < math.inf:
        raise BadInput(f"{where}: share: {share!r} is no weight above 0; write for example share = 3")
    if not isinstance(text, str):
        raise BadInput(f'{where}: steps: no text; write for example steps = "w100 c50", or "" for nothing')
    try:
        return Kind(float(share), steps.parse(text))
    except BadInput as error:
        raise BadInput(f"{where}: steps: {error}") from None
