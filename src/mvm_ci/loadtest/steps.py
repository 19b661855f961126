"""What a job of a load test does: steps, as people write them and as the guest in ``guest.wat`` gets them."""

import re
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Final

import msgspec

from mvm_ci.adapters.wasm.text import module_of_text
from mvm_ci.domain.errors import BadInput

MAX_TEXT: Final = 200
MOST: Final = {"w": 30_000, "c": 10_000, "m": 128, "d": 1_000, "g": 100, "p": 100}
"""Of one job together, by letter."""
KINDS: Final = (
    "wN (waits N ms), cN (computes for N ms), mN (touches N MiB), dN (N durable steps), gN (N GET requests "
    "to the stub), pN (N POST requests to it, each an effect)"
)
_STEP: Final = re.compile(r"([a-z])(\d*)")
_COUNTED: Final = "dgp"
"""Letters that may stand without a number, which then is 1."""
_MASK: Final = (1 << 64) - 1
_FACTOR: Final = 6364136223846793005
_PAGES_PER_MIB: Final = 256
_OK: Final = 200


class Step(msgspec.Struct, frozen=True):
    """``number``: in milliseconds of one core, for ``c``."""

    letter: str
    number: int


def parse(text: str) -> tuple[Step, ...]:
    """The steps in a text such as ``w100 c50 g``. Raises ``BadInput``, which names what is wrong in it."""
    if len(text) > MAX_TEXT:
        raise BadInput(f"{len(text)} characters; at most {MAX_TEXT}")
    steps: list[Step] = []
    for word in text.split():
        found = _STEP.fullmatch(word)
        if found is None or found[1] not in MOST:
            raise BadInput(f"{word!r} is no step; there are {KINDS}")
        if not found[2] and found[1] not in _COUNTED:
            raise BadInput(f"{word!r} needs a number behind the letter, as in {found[1]}10")
        steps.append(Step(found[1], int(found[2] or 1)))
    for letter, most in MOST.items():
        if total(steps, letter) > most:
            raise BadInput(f"{letter}{total(steps, letter)} is too much; of {letter} there is at most {most}")
    return tuple(steps)


def total(steps: Sequence[Step], letter: str) -> int:
    """The sum of the numbers of all steps of a kind."""
    return sum(step.number for step in steps if step.letter == letter)


def asks(steps: Sequence[Step]) -> bool:
    """Whether they need a stub."""
    return any(step.letter in "gp" for step in steps)


def told(steps: Sequence[Step]) -> str:
    """In words."""
    words = {
        "w": "waits {} ms",
        "c": "computes for {} ms",
        "m": "touches {} MiB",
        "d": "takes {} durable steps",
        "g": "sends {} GET to a stub",
        "p": "sends {} POST to a stub, each an effect",
    }
    return ", ".join(words[step.letter].format(step.number) for step in steps) or "does nothing"


def module() -> bytes:
    """The guest."""
    return module_of_text(files(__package__).joinpath("guest.wat").read_text())


def digest() -> str:
    """Of the guest."""
    return sha256(module()).hexdigest()


def guest_input(steps: Sequence[Step], turns_per_ms: float, stub: str) -> str:
    """What the guest is given. ``stub``: the URL of a stub, if the steps need one."""
    text = "".join(f"{step.letter}{_guest_number(step, turns_per_ms)}" for step in steps)
    return f"{text} {stub}" if asks(steps) else text


def result(steps: Sequence[Step], turns_per_ms: float) -> str:
    """What the guest's result must be."""
    value = 0
    for step in steps:
        number = _guest_number(step, turns_per_ms)
        if step.letter == "c":
            value += pow(_FACTOR, number, _MASK + 1)
        elif step.letter == "m":
            pages = number * _PAGES_PER_MIB
            value += _FACTOR * (pages * (pages - 1) // 2)
        elif step.letter in "gp":
            value += _OK * number
    return f"{value & _MASK:016x}"


def _guest_number(step: Step, turns_per_ms: float) -> int:
    return max(1, round(step.number * turns_per_ms)) if step.letter == "c" else step.number
