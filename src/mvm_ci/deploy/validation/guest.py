"""The jobs that a validation runs: what they are to do, and what must have come of it.

They are steps for the guest in ``guest.wat``, which describes them.
"""

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import msgspec

from mvm_ci.adapters.wasm.text import module_of_text
from mvm_ci.wire.api import DAMAGE, JournalEntry

MESSAGE: Final = "go"
"""The type of the message that a job waits for."""
_DIGITS: Final = 16
_STEP: Final = re.compile(r"([a-z])(\d*)")
_MASK: Final = (1 << 64) - 1
_FACTOR: Final = 6364136223846793005
_ADDEND: Final = 1442695040888963407


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """One job. ``kind``: what people call it; ``children``: the steps of each child that ``f`` starts;
    ``word``: the text of the message that ``m`` waits for, 16 hexadecimal digits.
    """

    kind: str
    steps: str
    children: tuple[str, ...] = ()
    word: str = ""

    @property
    def waits(self) -> bool:
        """Whether it waits for a message."""
        return "m" in self.steps

    def parsed(self) -> list[tuple[str, int]]:
        """Its steps: letter and number."""
        return [(letter, int(number or 0)) for letter, number in _STEP.findall(self.steps)]

    def values(self) -> list[str | None]:
        """The values that it must have, in order; None: one that nobody can know beforehand."""
        found: list[str | None] = []
        for letter, number in self.parsed():
            if letter == "c":
                found.append(computed(number))
            elif letter == "f":
                found += [computed(int(steps.removeprefix("c"))) for steps in self.children]
            elif letter == "m":
                found.append(self.word)
            elif letter in "tr":
                found.append(None)
        return found

    def count(self, letter: str) -> int:
        """How many steps of a kind it has."""
        return sum(one == letter for one, _ in self.parsed())


def module() -> bytes:
    """The guest."""
    return module_of_text(files(__package__).joinpath("guest.wat").read_text())


def job_input(program: Program, child: dict[str, Any]) -> msgspec.Raw:
    """What the job is given. ``child``: what its children have in common, as in ``POST /v1/jobs``."""
    children = [{**child, "input": [steps, None]} for steps in program.children]
    return msgspec.Raw(msgspec.json.encode([program.steps, {"jobs": children} if children else None]))


def computed(turns: int) -> str:
    """The value of the step ``c``."""
    # Turns are composed by doubling: nobody here does them one by one.
    factor, addend = 1, 0
    base_factor, base_addend = _FACTOR, _ADDEND
    while turns:
        if turns & 1:
            factor, addend = factor * base_factor & _MASK, (addend * base_factor + base_addend) & _MASK
        base_addend = base_addend * (base_factor + 1) & _MASK
        base_factor = base_factor * base_factor & _MASK
        turns >>= 1
    return f"{(factor + addend) & _MASK:016x}"


def words(result: str) -> list[str]:
    """The values in a result."""
    return [result[at : at + _DIGITS] for at in range(0, len(result), _DIGITS)]


def result_problem(program: Program, result: object) -> str | None:
    """What is wrong with a job's result, or None."""
    expected = program.values()
    if not isinstance(result, str) or len(result) != _DIGITS * len(expected):
        return f"the result is {str(result)[:80]!r}, and not {len(expected)} values"
    for at, (value, must) in enumerate(zip(words(result), expected, strict=True)):
        if must is not None and value != must:
            return f"value {at} of the result is {value}, and not {must}"
    clocks = _clocks(program, words(result))
    if clocks != sorted(clocks):
        return "its clock went back"
    return None


def journal_problem(program: Program, result: str, entries: Sequence[JournalEntry]) -> str | None:
    """What is wrong with the journal of a job that completed with ``result``: whether each of its effects is
    there once, and what it was told is what it answered.
    """
    if any(entry.kind == DAMAGE for entry in entries):
        return "its journal is damaged"
    if not entries or (entries[0].kind, entries[-1].kind) != ("Began", "Finished"):
        return "its journal does not go from its beginning to its end"
    written = [str(entry.fields.get("text", "")).strip() for entry in entries if entry.kind == "Logged"]
    told = [entry.fields["value_ns"] // 1_000_000 for entry in entries if entry.kind == "ClockRead"]
    started = sum(
        entry.kind == "Called" and "child.start" in str(entry.fields.get("summary")) for entry in entries
    )
    slept = sum(entry.kind == "Slept" for entry in entries)
    epochs = [entry.epoch for entry in entries]
    wrong = {
        f"its output has {len(written)} values that are not those of its result": written != words(result),
        "the clock that it was told is not the one in its result": told != _clocks(program, words(result)),
        f"it started children {started} times, and not {program.count('f')}": started != program.count("f"),
        f"it slept {slept} times, and not {program.count('z')}": slept != program.count("z"),
        "its epochs go back": epochs != sorted(epochs),
    }
    return next((text for text, is_so in wrong.items() if is_so), None)


def _clocks(program: Program, values: Sequence[str]) -> list[int]:
    letters = "".join(
        letter * (len(program.children) if letter == "f" else 1)
        for letter, _ in program.parsed()
        if letter != "z"
    )
    try:
        return [int(value, 16) for letter, value in zip(letters, values, strict=True) if letter == "t"]
    except ValueError:
        return []
